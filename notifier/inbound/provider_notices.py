"""Read the JSON with which Amazon SES tells bounces and complaints, where SNS sends it by mail.

Source: docs.aws.amazon.com/ses, "Amazon SNS notification contents". Decides no reason.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from notifier.inbound.delivery_status import StatusGroup
from notifier.inbound.structure import Fields

_OBJECT = re.compile(r"^\s{0,200}\{\s{0,20}\"")
_LINE = re.compile(r"\r?\n[ \t]?")
_STATUS = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")
_RECIPIENTS = 100
_LISTS = {
    "Bounce": "bouncedRecipients",
    "Complaint": "complainedRecipients",
    "DeliveryDelay": "delayedRecipients",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One notification."""

    kind: str
    """``Bounce``, ``Complaint``, ``Delivery``, ``DeliveryDelay``, as Amazon names them."""
    groups: tuple[StatusGroup, ...]
    feedback_type: str | None
    copy: Fields
    message_id: str | None


def read_notice(text: str) -> Notice | None:
    """Return the notification a text begins with."""
    if not _OBJECT.match(text):
        return None
    value = _decode(text)
    if isinstance(value, dict) and isinstance(value.get("Message"), str):
        value = _decode(value["Message"])
    if not isinstance(value, dict):
        return None
    kind = value.get("notificationType") or value.get("eventType")
    if kind not in {"Bounce", "Complaint", "Delivery", "DeliveryDelay"}:
        return None
    body, mail = _object(value, kind[0].lower() + kind[1:]), _object(value, "mail")
    headers = _object(mail, "commonHeaders")
    return Notice(
        kind=kind,
        groups=tuple(_groups(kind, body)),
        feedback_type=_text(body.get("complaintFeedbackType")) or None,
        copy=Fields(tuple(_fields(mail, headers))),
        message_id=_text(headers.get("messageId")) or None,
    )


def _decode(text: str) -> Any:
    # A line that a mail program broke inside a string is one line again.
    start = text.index("{") if "{" in text else 0
    try:
        return json.JSONDecoder(strict=False).raw_decode(_LINE.sub("", text[start:]))[0]
    except (ValueError, RecursionError):
        return None


def _object(value: dict[str, Any], name: str) -> dict[str, Any]:
    found = value.get(name)
    return found if isinstance(found, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _groups(kind: str, body: dict[str, Any]) -> Iterator[StatusGroup]:
    if kind == "Delivery":
        listed: Any = [{"emailAddress": one, "action": "delivered"} for one in _list(body.get("recipients"))]
    else:
        listed = _list(body.get(_LISTS[kind]))
    for one in listed[:_RECIPIENTS]:
        if not isinstance(one, dict) or "@" not in _text(one.get("emailAddress")):
            continue
        said = _text(one.get("diagnosticCode")) or _text(body.get("smtpResponse"))
        given = _text(one.get("status")) or said
        status = _STATUS.search(given)
        yield StatusGroup(
            address=_text(one["emailAddress"]).rpartition("<")[2].strip("> "),
            aliases=(),
            action=_text(one.get("action")).lower() or ("delayed" if kind == "DeliveryDelay" else "failed"),
            status=status[0] if status else None,
            comment=_text(body.get("bounceSubType")),
            diagnostic=said.partition(";")[2].strip() or said,
            is_local=False,
        )


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _fields(mail: dict[str, Any], headers: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name in ("from", "to", "subject", "messageId"):
        value = headers.get(name)
        text = ", ".join(_text(one) for one in value) if isinstance(value, list) else _text(value)
        if text:
            yield ("message-id" if name == "messageId" else name), text
    if source := _text(mail.get("source")):
        yield "return-path", source
