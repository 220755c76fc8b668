"""Load the event types from ``config/events/*.yaml`` and check events against them.

Never decides who is told; that is the rules' part.
"""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import jsonschema_rs
from pydantic import Field, field_validator

from notifier.documents import ConfigErrors, Document, Documents, Duration, Strict
from notifier.errors import ConfigError, EventRefused
from notifier.events import Json, Urgency
from notifier.messages import MessageClass


class Lookup(Strict):
    """Live data fetched when the message is rendered, merged into the template context under its name."""

    sql: str | None = None
    url: str | None = None
    source: str = "default"
    """Which entry of ``lookups`` in notifier.yaml: a database URL, or an HTTP base URL with its token."""
    params: Mapping[str, str] = Field(default_factory=dict)
    """Parameter name → path into the event, such as ``data.order_id`` or ``event.subject``."""
    timeout: Duration = timedelta(seconds=2)
    is_required: bool = Field(default=True, alias="required")
    """A required lookup that fails delays the message; another leaves its name ``None``."""
    many: bool = False
    """All rows as a list, instead of the first row as an object."""


class EventType(Strict):
    """One kind of event, as its entry in the catalogue says."""

    type: str = Field(pattern=r"^[a-z0-9_]+(\.[a-z0-9_]+)+$")
    title: str
    category: str = Field(pattern=r"^[a-z0-9_-]+$")
    message_class: MessageClass = Field(alias="class")
    urgency: Urgency = Urgency.NORMAL
    data_schema: Mapping[str, Json] = Field(alias="schema")
    sample: Mapping[str, Json]
    sample_subject: str
    pii: tuple[str, ...] = ()
    """Paths into ``data`` that hold personal data, such as ``customer.email``."""
    secret: tuple[str, ...] = ()
    """Paths into ``data`` never shown in a log, such as ``reset_url``."""
    audience: tuple[str, ...] = ("*",)
    """Who may receive it: ``*``, ``to`` (addressed by the event), a role, or ``domain:example.com``."""
    is_tls_required: bool = Field(default=False, alias="tls_required")
    unknown: Literal["resend", "hold"] = "resend"
    """After a cut behind the final dot: send again with the same Message-ID, or wait for a person."""
    deadline: Duration | None = None
    lookup: Mapping[str, Lookup] = Field(default_factory=dict)

    @field_validator("sample_subject")
    @classmethod
    def _subject_is_text(cls, value: str) -> str:
        if not value:
            raise ValueError("must name a realistic subject, such as R-1001")
        return value


class Catalog:
    """All event types. Immutable; read once when a process starts."""

    def __init__(self, types: Mapping[str, EventType]) -> None:
        self._types = dict(types)
        self._validators = {
            name: jsonschema_rs.Draft202012Validator(dict(entry.data_schema), validate_formats=True)
            for name, entry in types.items()
        }

    @classmethod
    def load(cls, folder: Path) -> "Catalog":
        """Read every entry; each file holds one entry or a list of them under ``events``.

        Raises:
            ConfigErrors: every entry that is wrong, with file and line.
        """
        types: dict[str, EventType] = {}
        errors: list[ConfigError] = []
        for document in Documents.of(folder):
            for path in _entries(document):
                try:
                    entry = _read(document, path)
                    if entry.type in types:
                        raise document.error(f"{entry.type!r} stands twice", path, "keep one")
                    types[entry.type] = entry
                except ConfigErrors as wrong:
                    errors += wrong.errors
                except ConfigError as wrong:
                    errors.append(wrong)
        if errors:
            raise ConfigErrors(errors)
        return cls(types)

    def __iter__(self) -> Iterator[EventType]:
        return iter(self._types.values())

    def __contains__(self, name: str) -> bool:
        return name in self._types

    def __getitem__(self, name: str) -> EventType:
        """Return the entry.

        Raises:
            EventRefused: there is none of that name.
        """
        try:
            return self._types[name]
        except KeyError:
            raise EventRefused(
                f"unknown event type {name!r}; `notifier events` lists the known ones", field="type",
                code="unknown_type",
            ) from None

    def check(self, name: str, data: Mapping[str, Json]) -> EventType:
        """Validate an event's data and return its entry.

        Raises:
            EventRefused: unknown type, or the first field that breaks the schema. Values are not quoted.
        """
        entry = self[name]
        error = next(self._validators[name].iter_errors(data), None)
        if error is not None:
            raise EventRefused(_explain(error), field=_field(error), code="schema")
        return entry

    def lanes(self) -> dict[str, str]:
        """Return type → lane: the map the server publishes for clients."""
        return {name: entry.urgency.value for name, entry in self._types.items()}


def _entries(document: Document) -> list[tuple[str | int, ...]]:
    if isinstance(document.value, dict) and isinstance(document.value.get("events"), list):
        return [("events", index) for index in range(len(document.value["events"]))]
    return [()]


def _read(document: Document, path: tuple[str | int, ...]) -> EventType:
    entry = document.read(EventType, path)
    try:
        validator = jsonschema_rs.Draft202012Validator(dict(entry.data_schema), validate_formats=True)
    except (ValueError, jsonschema_rs.ValidationError) as error:
        raise document.error(f"not a JSON Schema: {error}", (*path, "schema")) from error
    wrong = next(validator.iter_errors(dict(entry.sample)), None)
    if wrong is not None:
        raise document.error(f"the sample breaks the schema: {_field(wrong)}: {wrong.message}", (*path, "sample"))
    return entry


def _field(error: Any) -> str:
    path = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in error.instance_path)
    return f"data{path}"


def _explain(error: Any) -> str:
    """Say which rule is broken without quoting the value, which may be personal."""
    kind = error.kind
    name = type(kind).__name__.removeprefix("ValidationErrorKind_")
    match name:
        case "Required":
            return f"{kind.property!r} is required"
        case "AdditionalProperties":
            return f"unknown: {', '.join(kind.unexpected)}"
        case "Type":
            return f"must be of type {', '.join(kind.types)}"
        case "Enum":
            return f"must be one of {kind.options}"
        case "Format":
            return f"must be a {kind.format}"
    return f"breaks the rule {'/'.join(str(key) for key in error.schema_path)}"
