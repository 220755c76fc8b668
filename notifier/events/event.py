"""The event: something happened, told by a producer in CloudEvents terms.

Knows its JSON form (CloudEvents 1.0 structured mode plus ``tenant``, ``to``, ``urgency``, ``attachments``,
``sealed``) and nothing of types, rules or storage. Imports only the standard library.
"""

import base64
import binascii
import re
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


DEFAULT_TENANT = "default"
"""Whose an event is that names no tenant."""

TEXT_LIMIT = 512
"""Characters of an attribute, or of a recipient's or attachment's field."""
URL_LIMIT = 2048

# NUL cannot be stored; line breaks would travel into headers and logs.
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_WORD = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"
# RFC 2045 §5.1, parameters included: text/calendar; method=REQUEST.
_MEDIA_TYPE = re.compile(rf'{_WORD}/{_WORD}(?:; ?{_WORD}=(?:{_WORD}|"[ !#-\[\]-~]{{0,60}}"))*')
_URL = re.compile(r"https?://[^\s/]+(/\S*)?", re.IGNORECASE)
# What stands after ``cid:`` (RFC 2392): no brackets, no blanks.
_CID = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.@-]{1,200}")
# CloudEvents 1.0: names of attributes; one we do not know is somebody's extension.
_ATTRIBUTE = re.compile(r"[a-z0-9]+")
_JSON_TYPE = re.compile(r"application/([\w.+-]+\+)?json(\s*;.*)?", re.IGNORECASE)

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
    endpoint: str | None = None
    """The name of a webhook's endpoint, or of a group of Apprise's targets, in the settings."""

    @property
    def identity(self) -> str:
        """The text that tells two recipients apart: address before phone before contact before endpoint."""
        return self.email or self.phone or self.contact or self.endpoint or ""

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
            _check_text(value, where)
            kind = "email" if "@" in value else "phone"
            return cls(**{kind: _reachable(kind, value, where)})
        if not isinstance(value, Mapping):
            raise EventRefused("must be an address or an object", field=where)
        for key, item in value.items():
            if key not in _RECIPIENT_FIELDS:
                raise EventRefused(
                    f"unknown key, known: {', '.join(_RECIPIENT_FIELDS)}", field=f"{where}.{key}"
                )
            _check_text(item, f"{where}.{key}", is_empty_allowed=key not in _IDENTITIES)
        recipient = cls(**value)
        for kind in _SHAPES:
            if address := getattr(recipient, kind):
                _reachable(kind, address, f"{where}.{kind}")
        if not recipient.identity:
            raise EventRefused("needs email, phone or contact", field=where)
        return recipient

    def checked(self, where: str = "to") -> "Recipient":
        """Return the recipient, made by hand, if it could also be read.

        Raises:
            EventRefused: with the path of the field that is wrong.
        """
        return Recipient.from_json(self.to_json(), where)


# No more than that somebody could be meant; channels judge what they can reach.
_SHAPES = {
    "email": (re.compile(r"[^@\s]+@[^@\s]+|\".+\"@[^@\s]+"), "an email address, local@domain"),
    "phone": (re.compile(r"\+?[\d\s()/.-]{3,}"), "a phone number, such as +49 30 123456"),
}


def _reachable(kind: str, address: str, where: str) -> str:
    shape, words = _SHAPES[kind]
    if not shape.fullmatch(address.strip()):
        raise EventRefused(f"is not {words}", field=where)
    return address


_IDENTITIES = ("email", "phone", "contact", "endpoint")
_RECIPIENT_FIELDS = ("email", "phone", "name", "locale", "zone", "contact", "role", "endpoint")


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
        if not isinstance(value, Mapping) or "name" not in value:
            raise EventRefused("must be an object with a name", field=where)
        for key in value:
            if key not in _ATTACHMENT_FIELDS:
                raise EventRefused(
                    f"unknown key, known: {', '.join(_ATTACHMENT_FIELDS)}", field=f"{where}.{key}"
                )
        if ("content" in value) == ("url" in value):
            raise EventRefused("needs exactly one of content and url", field=where)
        _check_text(value["name"], f"{where}.name")
        _check_form(value, "media_type", _MEDIA_TYPE, "a media type such as application/pdf", where)
        _check_form(value, "url", _URL, "an http or https URL", where)
        _check_form(value, "cid", _CID, "a Content-ID without brackets, such as logo@shop", where)
        content = _read_base64(value["content"], f"{where}.content") if "content" in value else None
        return cls(**{**value, "content": content})


_ATTACHMENT_FIELDS = ("name", "media_type", "content", "url", "cid")


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


def read_recipients(value: Json | Iterable[Json]) -> tuple[Recipient, ...]:
    """Read ``to``: one address, one object, or a list of them.

    Raises:
        EventRefused: naming the entry and field.
    """
    if value is None:
        return ()
    if isinstance(value, list | tuple):
        return tuple(
            item.checked(f"to[{n}]") if isinstance(item, Recipient) else Recipient.from_json(item, f"to[{n}]")
            for n, item in enumerate(value)
        )
    return (value.checked() if isinstance(value, Recipient) else Recipient.from_json(value),)


def _check_envelope(value: Mapping[str, Json]) -> None:
    """Refuse what is no CloudEvents 1.0 with JSON data; attributes we do not know are extensions."""
    if value.get("specversion", "1.0") != "1.0":
        raise EventRefused("must be 1.0", field="specversion")
    content = value.get("datacontenttype")
    if content is not None and not (isinstance(content, str) and _JSON_TYPE.fullmatch(content)):
        raise EventRefused("must be application/json", field="datacontenttype")
    for key in value:
        if key not in _OURS and not _ATTRIBUTE.fullmatch(key):
            name = _CONTROL.sub("?", key)[:100]
            raise EventRefused("unknown; extensions have names of small letters and digits", field=name)


def _text(value: Mapping[str, Json], name: str, default: str | None = None) -> str:
    text = value.get(name, default)
    if not isinstance(text, str) or not text:
        raise EventRefused("must be a text that is not empty", field=name)
    _check_text(text, name)
    return text


def _check_text(text: Json, where: str, *, is_empty_allowed: bool = False, limit: int = TEXT_LIMIT) -> None:
    if not isinstance(text, str):
        raise EventRefused("must be a text", field=where)
    if not text and not is_empty_allowed:
        raise EventRefused("must not be empty", field=where)
    if len(text) > limit:
        raise EventRefused(f"is longer than {limit} characters", field=where)
    if _CONTROL.search(text):
        raise EventRefused("holds control characters", field=where)


def _check_form(value: Mapping[str, Json], key: str, form: re.Pattern[str], wanted: str, where: str) -> None:
    if key in value:
        _check_text(value[key], f"{where}.{key}", limit=URL_LIMIT)
        if not form.fullmatch(value[key]):
            raise EventRefused(f"must be {wanted}", field=f"{where}.{key}")


def _read_base64(value: Json, where: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise EventRefused("must be base64", field=where) from None


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
