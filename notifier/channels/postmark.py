"""Email over Postmark: its own JSON, one message a request; it signs and writes the MIME itself.

Sources: https://postmarkapp.com/developer/api/email-api (request, answer),
https://postmarkapp.com/developer/api/overview (statuses, error codes, size),
https://postmarkapp.com/support/article/1180-what-does-errorcode-300-mean (texts of 300),
https://postmarkapp.com/support/article/1037-how-do-i-set-a-custom-message-id (X-PM-KeepID).
"""

import base64
from typing import Any, Literal

import orjson
from pydantic import Field, SecretStr

from notifier.channels.base import Channel, Prepared
from notifier.channels.http_channel import HttpChannel
from notifier.channels.http_dialect import Answer, Refused, Request, Taken, Verdict
from notifier.channels.inquiry import Inquiry, Seen, named, refused
from notifier.channels.mail_writing import refusal, too_large
from notifier.channels.meaning import AWAY, CREDENTIALS, RATE, Meaning
from notifier.channels.provider import Capabilities, Kind, ProviderSettings, Surroundings, reference, secret
from notifier.errors import Fault
from notifier.messages import ChannelName, File, Outgoing
from notifier.mime import HeaderError, validate_address
from notifier.mime.headers import check_name, check_value

METADATA = "notifier-message"
"""The key of our message id with its MAC, in what callbacks quote; at most 20 characters."""
MAX_BYTES = 10_000_000
_OK = 0

_NO_SENDER = Meaning(Fault.SENDER, "sender-not-verified", is_account=True)
_STREAM = Meaning(Fault.SENDER, "message-stream", is_account=True)
_OUR_JSON = Meaning(Fault.PROVIDER, "protocol")

MEANINGS: dict[int, Meaning] = {
    10: CREDENTIALS,
    100: AWAY,
    300: Meaning(Fault.CONTENT, "invalid-request"),
    400: _NO_SENDER,
    401: _NO_SENDER,
    402: _OUR_JSON,
    403: _OUR_JSON,
    405: Meaning(Fault.SENDER, "no-credit", is_account=True),
    # It bounced, complained or was suppressed by hand there, which Postmark does not say: the address may live, and
    # somebody may reactivate it.
    406: Meaning(Fault.RECIPIENT, "suppressed-by-provider"),
    409: _OUR_JSON,
    411: Meaning(Fault.CONTENT, "attachment-type"),
    412: Meaning(Fault.SENDER, "account-pending", is_account=True),
    413: Meaning(Fault.SENDER, "account-may-not-send", is_account=True),
    429: RATE,
    1226: _STREAM,
    1235: _STREAM,
    1236: _STREAM,
}
_INVALID: tuple[tuple[str, Meaning], ...] = (
    ("'to'", Meaning(Fault.RECIPIENT, "invalid-address")),
    ("'from'", Meaning(Fault.SENDER, "invalid-sender", is_account=True)),
    ("'replyto'", Meaning(Fault.SENDER, "invalid-reply-to", is_account=True)),
)
"""Of 300, whose text alone names the field."""

_AUTOMATIC = {"Auto-Submitted": "auto-generated", "X-Auto-Response-Suppress": "All"}


class Postmark(ProviderSettings):
    """A server at Postmark."""

    kind: Literal["postmark"]
    server_token: SecretStr
    message_stream: str = Field(default="outbound", pattern=r"^[a-z0-9-]{1,30}$")
    webhook_user: str | None = None
    webhook_password: SecretStr | None = None
    """What Postmark's callbacks log in with; it has no signature."""

    def url(self, path: str) -> str:
        """Return the address of a part of the API."""
        return (self.base_url or "https://api.postmarkapp.com").rstrip("/") + path


class PostmarkDialect:
    """One message as JSON."""

    def __init__(self, settings: Postmark) -> None:
        self._settings = settings
        self._url = settings.url("/email")
        self._headers = (
            ("Content-Type", "application/json"),
            ("X-Postmark-Server-Token", secret(settings.server_token)),
        )

    def prepare(self, message: Outgoing) -> Prepared:
        """Write the JSON."""
        try:
            to, sender = validate_address(message.to, "To"), validate_address(message.sender, "From")
            wanted = self._written(message, to, sender)
        except HeaderError as error:
            raise refusal(error) from error
        wire = orjson.dumps(wanted)
        if len(wire) > MAX_BYTES:
            raise too_large(MAX_BYTES)
        return Prepared(outgoing=message, wire=wire, to=to, sender=sender)

    def request(self, message: Prepared) -> Request:
        """Return what was written."""
        return Request(url=self._url, headers=self._headers, body=message.wire)

    def judge(self, answer: Answer) -> Verdict | None:
        """Read a message id, or an error code; 200 has one too."""
        said = answer.json()
        code, remote_id, text = said.get("ErrorCode"), said.get("MessageID"), str(said.get("Message") or "")
        if answer.is_success and code in {_OK, None}:
            is_taken = isinstance(remote_id, str) and bool(remote_id)
            return Taken(remote_id=remote_id, text=text) if is_taken else None
        meaning = MEANINGS.get(code) if isinstance(code, int) else None
        if meaning is None:
            return None
        if code == 300:  # noqa: PLR2004 - the table's
            words = text.casefold()
            meaning = next((found for part, found in _INVALID if part in words), meaning)
        return Refused(meaning=meaning, code=str(code), text=text)

    def _written(self, message: Outgoing, to: str, sender: str) -> dict[str, Any]:
        content = message.content
        headers = {**message.headers, **_AUTOMATIC}
        if message.message_id:
            headers |= {"Message-ID": message.message_id, "X-PM-KeepID": "true"}
        wanted: dict[str, Any] = {
            "From": _mailbox("From", message.sender_name, sender),
            "To": _mailbox("To", message.to_name, to),
            "Subject": check_value("Subject", content.subject),
            "TextBody": content.text,
            "MessageStream": self._settings.message_stream,
            "Metadata": {METADATA: reference(message)},
            "TrackOpens": False,
            "TrackLinks": "None",
            "Headers": [
                {"Name": check_name(name), "Value": check_value(name, value)}
                for name, value in headers.items()
            ],
        }
        if content.html is not None:
            wanted["HtmlBody"] = content.html
        if message.reply_to:
            wanted["ReplyTo"] = validate_address(message.reply_to, "Reply-To")
        if message.files:
            wanted["Attachments"] = [_attached(file) for file in message.files]
        return wanted


def _mailbox(field: str, display: str | None, address: str) -> str:
    """Write a mailbox as Postmark reads it: the name in quotes, which may hold any character."""
    if not display:
        return address
    quoted = check_value(f"{field} name", display).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}" <{address}>'


def _attached(file: File) -> dict[str, str]:
    written = {
        "Name": file.name,
        "Content": base64.b64encode(file.content).decode(),
        "ContentType": file.media_type,
    }
    return written | ({"ContentID": f"cid:{file.cid}"} if file.cid is not None else {})


def _build(name: str, settings: Postmark, around: Surroundings) -> Channel:  # noqa: ARG001 - it needs nothing else
    return HttpChannel(name, ChannelName.EMAIL, settings, PostmarkDialect(settings))


def _inquire(settings: Postmark) -> Inquiry:
    """Ask for the server: https://postmarkapp.com/developer/api/server-api."""
    headers = (("X-Postmark-Server-Token", secret(settings.server_token)),)
    return Inquiry(request=Request(url=settings.url("/server"), headers=headers, body=b""), judge=_server)


def _server(answer: Answer) -> Seen:
    if found := refused(answer, "check server_token: that of a server, not of the account"):
        return found
    said = answer.json()
    words = f"the server {named(said, 'Name')!r} takes our token"
    if said.get("DeliveryType") == "Sandbox":
        return Seen(
            level="warn", words=f"{words}; a sandbox: it delivers nothing", mend="take a live server's token"
        )
    return Seen(level="pass", words=words)


KIND = Kind(
    settings=Postmark,
    build=_build,
    inquire=_inquire,
    capabilities=Capabilities(
        channel=ChannelName.EMAIL,
        receipts=("delivered", "bounced", "complained", "opened", "clicked", "unsubscribed"),
        keeps_message_id=True,
        has_own_signature=True,
        has_attachments=True,
        max_bytes=MAX_BYTES,
        cannot=(
            "take our own MIME or a signature of ours",
            "recognise a message it was handed twice",
            "use our return path: bounces come by callback",
            "sign its callbacks: they log in with a user and a password",
        ),
        documentation=(
            "https://postmarkapp.com/developer/api/email-api",
            "https://postmarkapp.com/developer/api/overview",
        ),
    ),
)
