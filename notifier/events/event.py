"""The event itself: what happened, told by a producer in CloudEvents terms.

Knows its JSON form (CloudEvents 1.0 structured mode plus ``tenant``, ``to``, ``urgency``, ``attachments``,
``sealed``) and nothing of types, rules or storage.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from notifier.errors import EventRefused
from notifier.events.attachment import Attachment
from notifier.events.checks import CONTROL, Json, check_text
from notifier.events.recipient import Recipient, read_recipients


class Urgency(StrEnum):
    """How much a message hurries; also the name of its lane, from intake to delivery."""

    URGENT = "urgent"
    NORMAL = "normal"
    BULK = "bulk"


DEFAULT_TENANT = "default"
"""Whose an event is that names no tenant."""

# CloudEvents 1.0: names of attributes; one we do not know is somebody's extension.
_ATTRIBUTE = re.compile(r"[a-z0-9]+")
_JSON_TYPE = re.compile(r"application/([\w.+-]+\+)?json(\s*;.*)?", re.IGNORECASE)

LANES: tuple[Urgency, ...] = (Urgency.URGENT, Urgency.NORMAL, Urgency.BULK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something happened. ``id`` is the producer's: one per (tenant, source, id) is stored."""

    id: str
    source: str
    type: str
    subject: str
    time: datetime
    data: Mapping[str, Json] = field(default_factory=dict)
    tenant: str = DEFAULT_TENANT
    to: tuple[Recipient, ...] = ()
    urgency: Urgency | None = None
    attachments: tuple[Attachment, ...] = ()
    sealed: str | None = None
    """Data, ``to`` and attachments sealed by the client with the server's public key; base64."""
    alert: Mapping[str, Json] | None = None
    """What an alert group says; only we make such events."""

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes two deliveries of an event the same event."""
        return (self.tenant, self.source, self.id)

    def private_json(self) -> dict[str, Json]:
        """Return the part that may hold personal data: what gets sealed."""
        out: dict[str, Json] = {"data": dict(self.data)}
        if self.to:
            out["to"] = [recipient.to_json() for recipient in self.to]
        if self.attachments:
            out["attachments"] = [attachment.to_json() for attachment in self.attachments]
        if self.alert is not None:
            out["alert"] = dict(self.alert)
        return out

    def to_json(self) -> dict[str, Json]:
        """Return the CloudEvents structured form."""
        out: dict[str, Json] = {
            "specversion": "1.0",
            "id": self.id,
            "source": self.source,
            "type": self.type,
            "subject": self.subject,
            "time": self.time.isoformat(),
            "tenant": self.tenant,
        }
        if self.urgency is not None:
            out["urgency"] = self.urgency.value
        if self.sealed is not None:
            return {**out, "sealed": self.sealed}
        return {**out, **self.private_json()}

    @classmethod
    def from_json(cls, value: Json) -> "Event":
        """Read the structured form, strictly.

        Raises:
            EventRefused: naming the field, the rule it breaks.
        """
        if not isinstance(value, Mapping):
            raise EventRefused("the event must be a JSON object")
        _check_envelope(value)
        return cls(
            id=_text(value, "id"),
            source=_text(value, "source"),
            type=_text(value, "type"),
            subject=_text(value, "subject"),
            time=_moment(value.get("time")),
            tenant=_text(value, "tenant", DEFAULT_TENANT),
            urgency=_urgency(value.get("urgency")),
            sealed=_sealed(value.get("sealed")),
            **read_private(value),
        )


_OURS = frozenset(
    {"specversion", "datacontenttype", "id", "source", "type", "subject", "time", "tenant", "urgency"}
    | {"data", "to", "attachments", "sealed"}
)


def read_private(value: Mapping[str, Json]) -> dict[str, Json]:
    """Read ``data``, ``to`` and ``attachments`` into what :class:`Event` takes.

    Raises:
        EventRefused: naming the field.
    """
    data = value.get("data", {})
    if not isinstance(data, Mapping):
        raise EventRefused("must be an object", field="data")
    attachments = value.get("attachments", [])
    if not isinstance(attachments, list):
        raise EventRefused("must be a list", field="attachments")
    return {
        "data": data,
        "to": read_recipients(value.get("to")),
        "attachments": tuple(
            Attachment.from_json(item, f"attachments[{n}]") for n, item in enumerate(attachments)
        ),
    }


def _check_envelope(value: Mapping[str, Json]) -> None:
    """Refuse what is no CloudEvents 1.0 with JSON data; attributes we do not know are extensions."""
    if value.get("specversion", "1.0") != "1.0":
        raise EventRefused("must be 1.0", field="specversion")
    content = value.get("datacontenttype")
    if content is not None and not (isinstance(content, str) and _JSON_TYPE.fullmatch(content)):
        raise EventRefused("must be application/json", field="datacontenttype")
    for key in value:
        if key not in _OURS and not _ATTRIBUTE.fullmatch(key):
            name = CONTROL.sub("?", key)[:100]
            raise EventRefused("unknown; extensions have names of small letters and digits", field=name)


def _text(value: Mapping[str, Json], name: str, default: str | None = None) -> str:
    text = value.get(name, default)
    if not isinstance(text, str) or not text:
        raise EventRefused("must be a text that is not empty", field=name)
    check_text(text, name)
    return text


def _sealed(value: Json) -> str | None:
    if value is not None and not (isinstance(value, str) and value):
        raise EventRefused("must be a text that is not empty", field="sealed")
    return value


def _moment(value: Json) -> datetime:
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise EventRefused("must be an ISO 8601 time with an offset", field="time") from None
    if moment.tzinfo is None:
        raise EventRefused("must have an offset, such as Z or +01:00", field="time")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise EventRefused("lies outside the calendar", field="time") from None


def _urgency(value: Json) -> Urgency | None:
    if value is None:
        return None
    try:
        return Urgency(value)
    except ValueError:
        raise EventRefused(f"must be one of {', '.join(Urgency)}", field="urgency") from None
