"""Turn an outgoing email into the bytes of RFC 5322.

Decides headers and structure; the same message and date always give the same bytes.
"""

from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache

from notifier.messages import Outgoing
from notifier.mime import headers
from notifier.mime.addresses import validate_address
from notifier.mime.errors import HeaderError
from notifier.mime.parts import file_part, multipart, text_part

# RFC 3834 §5 keeps auto-responders quiet; the X- header does so for Exchange.
_AUTOMATIC = "MIME-Version: 1.0\r\nAuto-Submitted: auto-generated\r\nX-Auto-Response-Suppress: All\r\n"

_OURS = frozenset({
    "date", "from", "to", "subject", "message-id", "reply-to", "mime-version", "auto-submitted",
    "x-auto-response-suppress", "sender", "cc", "bcc", "return-path", "received", "content-type",
    "content-transfer-encoding", "content-disposition", "content-id",
})  # fmt: skip

# Headers of URLs, ids and keywords: an encoded word in one of them makes it void.
_OPAQUE = frozenset({
    "list-unsubscribe", "list-unsubscribe-post", "list-id", "list-help", "list-archive", "list-post",
    "list-owner", "list-subscribe", "references", "in-reply-to", "feedback-id", "precedence", "importance",
    "priority", "x-priority", "errors-to", "disposition-notification-to",
})  # fmt: skip


def serialize(outgoing: Outgoing, *, date: datetime, is_utf8_taken: bool = False) -> bytes:
    """Return the mail as 7-bit bytes with CRLF line ends, not dot-stuffed.

    Only where ``is_utf8_taken`` and the recipient's local part is not ASCII, the header To is UTF-8 (RFC 6532).

    Raises:
        HeaderError: naming the header that cannot be written, never its value.
    """
    to = validate_address(outgoing.to, "To", is_utf8_taken=is_utf8_taken)
    charset = "ascii" if to.isascii() else "utf-8"
    return "".join(_headers(outgoing, date, to)).encode(charset) + _body(outgoing)


def _headers(outgoing: Outgoing, date: datetime, to: str) -> list[str]:
    lines = [
        _date(date.replace(microsecond=0)),
        _house("From", outgoing.sender_name, outgoing.sender),
        headers.mailbox("To", outgoing.to_name, to),
        headers.prose("Subject", outgoing.content.subject),
        f"Message-ID: {_message_id(outgoing.message_id)}\r\n",
    ]
    if outgoing.reply_to:
        lines.append(_house("Reply-To", "", outgoing.reply_to))
    lines.append(_AUTOMATIC)
    lines.extend(_extra(name, value) for name, value in outgoing.headers.items())
    return lines


@lru_cache(maxsize=8)
def _date(second: datetime) -> str:
    return f"Date: {format_datetime(second.astimezone(UTC))}\r\n"


@lru_cache(maxsize=256)
def _house(name: str, display: str | None, address: str) -> str:
    """Write one of our own mailboxes, which are the same in mail after mail."""
    return headers.mailbox(name, display, validate_address(address, name))


def _extra(name: str, value: str) -> str:
    key = headers.check_name(name).lower()
    if key in _OURS:
        raise HeaderError(name, "is written by notifier and must not be given twice")
    if key in _OPAQUE or headers.is_opaque(value):
        return headers.opaque(name, value)
    return headers.prose(name, value)


def _message_id(value: str) -> str:
    headers.check_value("Message-ID", value)
    inner = value[1:-1]
    if not (value.startswith("<") and value.endswith(">") and inner.isascii() and inner.isprintable()):
        raise HeaderError("Message-ID", "must have the form <id@domain> in printable ASCII")
    if (
        len(value) > headers.LINE_LIMIT // 4
        or any(char in inner for char in '<> "\\')
        or inner.count("@") != 1
    ):
        raise HeaderError("Message-ID", "must have the form <id@domain>, 249 octets at most")
    return value


def _body(outgoing: Outgoing) -> bytes:
    # "=_" occurs in neither quoted-printable nor base64 (RFC 2045 §6.7), so no content can hold a boundary.
    boundary = f"=_{outgoing.id.hex}"
    content = outgoing.content
    attached = [file for file in outgoing.files if content.html is None or file.cid is None]
    body = text_part("plain", content.text)
    if content.html is not None:
        html = text_part("html", content.html)
        inline = [file_part(file) for file in outgoing.files if file.cid is not None]
        if inline:
            html = multipart("related", f"{boundary}.r", [html, *inline])
        body = multipart("alternative", f"{boundary}.a", [body, html])
    if attached:
        body = multipart("mixed", f"{boundary}.m", [body, *map(file_part, attached)])
    return body if body.endswith(b"\r\n") else body + b"\r\n"
