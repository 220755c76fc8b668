"""Turn what a producer says into one event's JSON, and refuse what no server could accept.

Checks form and size only: types, schemas and rules are the server's. Talks to nobody.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Required, TypedDict

from notifier.client import wire
from notifier.client.flaws import find_flaw
from notifier.errors import EventRefused
from notifier.events import Attachment, Event, Json, Recipient, Urgency, read_recipients
from notifier.ids import uuid7

To = str | Recipient | Mapping[str, str] | Sequence[str | Recipient | Mapping[str, str]]
"""One recipient or several: an address, a phone number, a :class:`Recipient` or its JSON form."""

UrgencyText = Urgency | str
EventKey = tuple[str, str, str]
"""Tenant, source and id: what makes two tries the same event."""

Seal = Callable[[Mapping[str, Json], EventKey], str]


class EventSpec(TypedDict, total=False):
    """One event for ``enqueue_many``; the arguments of ``Client.enqueue`` by name."""

    type: Required[str]
    subject: Required[str]
    data: Required[Mapping[str, Json]]
    to: To | None
    tenant: str
    id: str | None
    time: datetime | None
    urgency: UrgencyText | None
    attachments: Sequence[Attachment]


def event(
    type: str,  # noqa: A002 - CloudEvents' name
    *,
    subject: str,
    data: Mapping[str, Json],
    to: To | None = None,
    tenant: str = "default",
    id: str | None = None,  # noqa: A002 - CloudEvents' name
    time: datetime | None = None,
    urgency: UrgencyText | None = None,
    attachments: Sequence[Attachment] = (),
) -> EventSpec:
    """Return one event for ``enqueue_many``; the arguments are those of ``Client.enqueue``."""
    return {
        "type": type, "subject": subject, "data": data, "to": to, "tenant": tenant,
        "id": id, "time": time, "urgency": urgency, "attachments": attachments,
    }  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How large one event may be, in bytes of JSON."""

    event: int = wire.MAX_EVENT_BYTES
    with_files: int = wire.MAX_EVENT_BYTES_WITH_FILES


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """One event, ready to travel."""

    key: EventKey
    type: str
    urgency: Urgency | None
    payload: bytes


# The same rule as the events module's, as one C call: it runs five times per event.
_TEXT = re.compile(r"[^\x00-\x1f\x7f]{1,512}")
_URGENCIES: Final = frozenset(Urgency)
_KNOWN: Final = frozenset(EventSpec.__annotations__)
_ENCODE = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


class Writer:
    """Write the events of one source."""

    def __init__(self, source: str, *, limits: Limits, seal: Seal | None = None) -> None:
        self._source, self._limits, self._seal = source, limits, seal

    def write(self, spec: EventSpec) -> Written:
        """Check one event and return what travels; mints its id if it has none.

        Raises:
            EventRefused: naming the field.
        """
        if not _KNOWN.issuperset(spec):
            raise EventRefused(
                f"unknown key, known: {', '.join(sorted(_KNOWN))}",
                field=str(min(set(spec) - _KNOWN, key=str)),
            )
        head, private = self._head(spec), _private(spec)
        key: EventKey = (head["tenant"], head["source"], head["id"])
        payload = self._encode({**head, **private})
        if self._seal is not None:
            payload = _ENCODE({**head, "sealed": self._seal(private, key)}).encode()
        urgency = Urgency(head["urgency"]) if "urgency" in head else None
        return Written(key=key, type=head["type"], urgency=urgency, payload=payload)

    def _head(self, spec: EventSpec) -> dict[str, Json]:
        given = spec.get("id")
        head: dict[str, Json] = {
            "specversion": "1.0", "id": str(uuid7()) if given is None else given, "source": self._source,
            "type": spec.get("type"), "subject": spec.get("subject"), "time": _moment(spec.get("time")),
            "tenant": spec.get("tenant", "default"),
        }  # fmt: skip
        urgency = spec.get("urgency")
        if urgency is not None:
            head["urgency"] = str(urgency)
        texts = (head["id"], head["type"], head["subject"], head["tenant"])
        if not all(isinstance(text, str) and _TEXT.fullmatch(text) for text in texts):
            Event.from_json(head)  # says which, and why
        if urgency is not None and urgency not in _URGENCIES:
            Event.from_json(head)
        return head

    def _encode(self, whole: dict[str, Json]) -> bytes:
        try:
            payload = _ENCODE(whole).encode()
        except (TypeError, ValueError, RecursionError):  # UnicodeEncodeError is a ValueError
            raise _flawed(whole) from None
        if b"\\u0000" in payload and (flaw := find_flaw(whole)):
            raise EventRefused(flaw[1], field=flaw[0])
        if len(payload) > self._limits.event:
            self._refuse_large(whole, len(payload))
        return payload

    def _refuse_large(self, whole: dict[str, Json], size: int) -> None:
        files = whole.get("attachments", [])
        content = sum(len(file.get("content", "")) for file in files)
        if size - content > self._limits.event:
            field = max(
                ("data", "to", "attachments"),
                key=lambda name: len(_ENCODE(whole.get(name))) - (content if name == "attachments" else 0),
            )
            raise EventRefused(_too_large(size - content, self._limits.event), field=field, code="too_large")
        if size > self._limits.with_files:
            raise EventRefused(
                _too_large(size, self._limits.with_files) + "; attach by reference (url) instead",
                field="attachments", code="too_large",
            )  # fmt: skip


def _flawed(whole: dict[str, Json]) -> EventRefused:
    field, problem = find_flaw(whole) or ("data", "is not JSON")
    return EventRefused(problem, field=field)


def _private(spec: EventSpec) -> dict[str, Json]:
    data = spec.get("data")
    if not isinstance(data, Mapping):
        raise EventRefused("must be an object", field="data")
    private: dict[str, Json] = {"data": data if type(data) is dict else dict(data)}
    if (to := spec.get("to")) is not None:
        private["to"] = [_recipient(who, f"to[{n}]") for n, who in enumerate(read_recipients(to))]
    if files := spec.get("attachments"):
        private["attachments"] = [_attachment(file, f"attachments[{n}]") for n, file in enumerate(files)]
    return private


def _recipient(who: Recipient, where: str) -> dict[str, str]:
    if not who.identity:
        raise EventRefused("needs email, phone or contact", field=where)
    return who.to_json()


def _attachment(file: Attachment, where: str) -> dict[str, str]:
    if not isinstance(file, Attachment):
        raise EventRefused("must be an Attachment", field=where)
    if (file.content is None) == (file.url is None):
        raise EventRefused("needs exactly one of content and url", field=where)
    if file.content is not None and not isinstance(file.content, bytes | bytearray | memoryview):
        raise EventRefused("must be bytes; read a file with open(path, 'rb')", field=f"{where}.content")
    written = file.to_json()
    # The server's own rules; the content is base64 of ours, and large: it need not be read back.
    Attachment.from_json({**written, "content": ""} if "content" in written else written, where)
    return written


def _moment(time: datetime | None) -> str:
    if time is None:
        return datetime.now(UTC).isoformat()
    if not isinstance(time, datetime):
        raise EventRefused("must be a datetime", field="time")
    if time.tzinfo is None:
        raise EventRefused("must have a zone, such as datetime.now(UTC)", field="time")
    return time.isoformat()


def _too_large(size: int, limit: int) -> str:
    return f"makes the event {size} bytes of JSON, the limit is {limit}"
