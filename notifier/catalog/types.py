"""Load the event types from ``config/events/*.yaml`` and check events against them.

Never decides who is told; that is the rules' part.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal, Self

import jsonschema_rs
from pydantic import AfterValidator, Field, field_validator, model_validator

from notifier.catalog.breaches import in_words, place_of
from notifier.catalog.paths import can_exist
from notifier.documents import ConfigErrors, Document, Documents, Duration, Strict
from notifier.errors import ConfigError, EventRefused
from notifier.events import Json, Urgency
from notifier.messages import MessageClass, Preference


def _is_audience(value: str) -> str:
    if not _AUDIENCE.fullmatch(value):
        raise ValueError("must be *, to, a list or role of notifier.yaml, or domain:example.com")
    return value


_AUDIENCE = re.compile(r"\*|[\w-]+|domain:[^\s@:.]+(\.[^\s@:.]+)+")
Audience = Annotated[str, AfterValidator(_is_audience)]
"""Who may receive a type: ``*``, ``to``, a list or role, or a whole domain."""


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
    sample: Json = None
    """A realistic answer, for previews and checks of templates."""

    @model_validator(mode="after")
    def _asks_in_one_way(self) -> Self:
        if (self.sql is None) == (self.url is None):
            raise ValueError("needs exactly one of sql and url")
        if self.many and self.sample is not None and not isinstance(self.sample, list):
            raise ValueError("the sample must be a list, since many is true")
        return self


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
    audience: tuple[Audience, ...] = Field(default=("*",), min_length=1)
    """Who may receive it: ``*``, ``to`` (addressed by the event), a role, or ``domain:example.com``."""
    is_tls_required: bool = Field(default=False, alias="tls_required")
    unknown: Literal["resend", "hold"] = "resend"
    """After a cut behind the final dot: send again with the same Message-ID, or wait for a person."""
    deadline: Duration | None = None
    preference: Preference = Preference.OPT_OUT
    """What a person may say about it; transactional types are told whatever stands here."""
    lookup: Mapping[str, Lookup] = Field(default_factory=dict)

    @field_validator("sample_subject")
    @classmethod
    def _subject_is_text(cls, value: str) -> str:
        if not value:
            raise ValueError("must name a realistic subject, such as R-1001")
        return value

    @model_validator(mode="after")
    def _preference_fits(self) -> Self:
        is_said = "preference" in self.model_fields_set
        if is_said and self.message_class is MessageClass.TRANSACTIONAL and self.is_refusable:
            raise ValueError(
                f"preference {self.preference.value} does not go with class transactional: what somebody ordered "
                "or owes is told whatever they prefer; leave it out, or choose another class"
            )
        return self

    @property
    def is_refusable(self) -> bool:
        """Tell whether a person has a say at all."""
        return self.preference is not Preference.CANT_UNSUBSCRIBE


class Catalog:
    """All event types. Immutable; read once when a process starts."""

    def __init__(self, types: Mapping[str, EventType]) -> None:
        self._types = MappingProxyType(dict(types))
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
        places: dict[str, str] = {}
        documents, errors = Documents.readable(folder)
        for document in documents:
            errors += _strangers(document)
            for path in _entries(document):
                try:
                    entry = _read(document, path)
                    if entry.type in types:
                        raise document.error(
                            f"{entry.type!r} stands twice, first in {places[entry.type]}", path, "keep one"
                        )
                    types[entry.type] = entry
                    places[entry.type] = f"{document.file}:{document.line(path)}"
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
                f"unknown event type {name!r}; `notifier events` lists the known ones",
                field="type",
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
            raise EventRefused(in_words(error), field=place_of(error), code="schema")
        return entry

    def lanes(self) -> dict[str, str]:
        """Return type → lane: the map the server publishes for clients."""
        return {name: entry.urgency.value for name, entry in self._types.items()}


def _entries(document: Document) -> list[tuple[str | int, ...]]:
    if not isinstance(document.value, dict) or "events" not in document.value:
        return [()]
    events = document.value["events"]
    return [("events", index) for index in range(len(events))] if isinstance(events, list) else []


def _strangers(document: Document) -> Iterator[ConfigError]:
    """Return an error for each key beside ``events``: its entry would silently be missing."""
    if isinstance(document.value, dict) and "events" in document.value:
        for key in document.value:
            if key != "events":
                yield document.error("unknown key", (key,), "only `events:` stands at the top")
        if not isinstance(document.value["events"], list):
            yield document.error("must be a list", ("events",), "start each entry with `- type:`")


def _read(document: Document, path: tuple[str | int, ...]) -> EventType:
    entry = document.read(EventType, path)
    try:
        validator = jsonschema_rs.Draft202012Validator(dict(entry.data_schema), validate_formats=True)
    except (ValueError, jsonschema_rs.ValidationError) as error:
        raise document.error(f"not a JSON Schema: {error}", (*path, "schema")) from error
    errors = [
        document.error(
            f"the sample breaks the schema: {place_of(wrong)}: {in_words(wrong)}", (*path, "sample")
        )
        for wrong in validator.iter_errors(dict(entry.sample))
    ]
    for key, paths in (("pii", entry.pii), ("secret", entry.secret)):
        errors += (
            document.error(
                f"the schema has no {one!r}",
                (*path, key, index),
                "write a path into data, such as customer.email",
            )
            for index, one in enumerate(paths)
            if not can_exist(entry.data_schema, one)
        )
    if errors:
        raise ConfigErrors(errors)
    return entry
