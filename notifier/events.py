"""The event: something happened, told by a producer in CloudEvents terms.

Knows its JSON form (CloudEvents 1.0 structured mode plus ``tenant``, ``to``, ``urgency``, ``attachments``,
``sealed``) and nothing of types, rules or storage. Imports only the standard library.
"""

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from notifier.errors import EventRefused

Json = Any
"""A value of JSON: dict, list, str, int, float, bool or None."""


class Urgency(StrEnum):
    """How much a message hurries; also the name of its lane, from intake to delivery."""

    URGENT = "urgent"
    NORMAL = "normal"
    BULK = "bulk"


LANES: tuple[Urgency, ...] = (Urgency.URGENT, Urgency.NORMAL, Urgency.BULK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """Who is to be told, as far as the producer or the configuration knows."""

    email: str | None = None
    phone: str | None = None
    name: str | None = None
    locale: str | None = None
    zone: str | None = None
    contact: str | None = None
    role: str | None = None

    @property
    def identity(self) -> str:
        """The text that tells two recipients apart: address before phone before contact reference."""
        return self.email or self.phone or self.contact or ""

    def to_json(self) -> dict[str, str]:
        """Return the fields that are set."""
        return {name: value for name in _RECIPIENT_FIELDS if (value := getattr(self, name)) is not None}

    @classmethod
    def from_json(cls, value: Json, where: str = "to") -> "Recipient":
        """Read an address text or an object.

        Raises:
            EventRefused: with the path of the field that is wrong.
        """
        if isinstance(value, str):
            return cls(email=value) if "@" in value else cls(phone=value)
        if not isinstance(value, Mapping):
            raise EventRefused("must be an address or an object", field=where)
        for key, item in value.items():
            if key not in _RECIPIENT_FIELDS:
                raise EventRefused(f"unknown key, known: {', '.join(_RECIPIENT_FIELDS)}", field=f"{where}.{key}")
            if not isinstance(item, str):
                raise EventRefused("must be a text", field=f"{where}.{key}")
        recipient = cls(**value)
        if not recipient.identity:
            raise EventRefused("needs email, phone or contact", field=where)
        return recipient


_RECIPIENT_FIELDS = ("email", "phone", "name", "locale", "zone", "contact", "role")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A file that goes with the message, by content or by reference; inline where ``cid`` is set."""

    name: str
    media_type: str = "application/octet-stream"
    content: bytes | None = None
    url: str | None = None
    cid: str | None = None

    def to_json(self) -> dict[str, str]:
        """Return the JSON form; content as base64."""
        out = {"name": self.name, "media_type": self.media_type}
        if self.content is not None:
            out["content"] = base64.b64encode(self.content).decode()
        if self.url is not None:
            out["url"] = self.url
        if self.cid is not None:
            out["cid"] = self.cid
        return out

    @classmethod
    def from_json(cls, value: Json, where: str = "attachments") -> "Attachment":
        """Read the JSON form.

        Raises:
            EventRefused: with the path of the field that is wrong.
        """
        if not isinstance(value, Mapping) or not isinstance(value.get("name"), str):
            raise EventRefused("must be an object with a name", field=where)
        if ("content" in value) == ("url" in value):
            raise EventRefused("needs exactly one of content and url", field=where)
        content = None
        if "content" in value:
            try:
                content = base64.b64decode(value["content"], validate=True)
            except (binascii.Error, TypeError, ValueError):
                raise EventRefused("must be base64", field=f"{where}.content") from None
        return cls(
            name=value["name"], media_type=value.get("media_type", "application/octet-stream"),
            content=content, url=value.get("url"), cid=value.get("cid"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something happened. ``id`` is the producer's: one per (tenant, source, id) is stored."""

    id: str
    source: str
    type: str
    subject: str
    time: datetime
    data: Mapping[str, Json] = field(default_factory=dict)
    tenant: str = "default"
    to: tuple[Recipient, ...] = ()
    urgency: Urgency | None = None
    attachments: tuple[Attachment, ...] = ()
    sealed: str | None = None
    """Data, ``to`` and attachments sealed by the client with the server's public key; base64."""

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
        return out

    def to_json(self) -> dict[str, Json]:
        """Return the CloudEvents structured form."""
        out: dict[str, Json] = {
            "specversion": "1.0", "id": self.id, "source": self.source, "type": self.type,
            "subject": self.subject, "time": self.time.isoformat(), "tenant": self.tenant,
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
        texts = {name: _text(value, name) for name in ("id", "source", "type", "subject")}
        private = read_private(value)
        return cls(
            **texts, **private,
            time=_moment(value.get("time")),
            tenant=_text(value, "tenant", "default"),
            urgency=_urgency(value.get("urgency")),
            sealed=value.get("sealed"),
        )


TEXT_LIMIT = 512


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


def read_recipients(value: Json | Iterable[Json]) -> tuple[Recipient, ...]:
    """Read ``to``: one address, one object, or a list of them.

    Raises:
        EventRefused: naming the entry and field.
    """
    if value is None:
        return ()
    if isinstance(value, list | tuple):
        return tuple(
            item if isinstance(item, Recipient) else Recipient.from_json(item, f"to[{n}]")
            for n, item in enumerate(value)
        )
    return (value,) if isinstance(value, Recipient) else (Recipient.from_json(value),)


def _text(value: Mapping[str, Json], name: str, default: str | None = None) -> str:
    text = value.get(name, default)
    if not isinstance(text, str) or not text:
        raise EventRefused("must be a text that is not empty", field=name)
    if len(text) > TEXT_LIMIT:
        raise EventRefused(f"is longer than {TEXT_LIMIT} characters", field=name)
    # NUL cannot be stored; line breaks would travel into headers and logs.
    if any(char < " " or char == "\x7f" for char in text):
        raise EventRefused("holds control characters", field=name)
    return text


def _moment(value: Json) -> datetime:
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise EventRefused("must be an ISO 8601 time with an offset", field="time") from None
    if moment.tzinfo is None:
        raise EventRefused("must have an offset, such as Z or +01:00", field="time")
    return moment.astimezone(UTC)


def _urgency(value: Json) -> Urgency | None:
    if value is None:
        return None
    try:
        return Urgency(value)
    except ValueError:
        raise EventRefused(f"must be one of {', '.join(Urgency)}", field="urgency") from None
