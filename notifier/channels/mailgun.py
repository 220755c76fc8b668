"""Email over Mailgun: our own MIME in one POST, so that headers and signature stay ours.

Sources: https://documentation.mailgun.com/docs/mailgun/api-reference/send/mailgun/messages (messages.mime,
its o: and v: options, regions), https://documentation.mailgun.com/docs/mailgun/quickstart-guide/responses and
https://documentation.mailgun.com/docs/mailgun/user-manual/errors (statuses), texts as the API words them.
"""

import base64
from http import HTTPStatus
from typing import Literal

from pydantic import SecretStr

from notifier.channels.base import Channel, Prepared
from notifier.channels.http_channel import HttpChannel
from notifier.channels.http_dialect import Answer, Refused, Request, Taken, Verdict, meaning_of
from notifier.channels.mail_writing import MailWriter
from notifier.channels.meaning import RATE, Meaning
from notifier.channels.provider import Capabilities, Kind, ProviderSettings, Surroundings, reference, secret
from notifier.errors import Fault
from notifier.forms import Host
from notifier.messages import ChannelName, Outgoing

VARIABLE = "notifier-message"
"""The variable that carries our message id with its MAC; events quote it."""
MAX_BYTES = 25_000_000
_REGIONS = {"us": "https://api.mailgun.net", "eu": "https://api.eu.mailgun.net"}

_BY_STATUS: dict[int, Meaning] = {
    400: Meaning(Fault.CONTENT, "bad-request"),
    # "Parameters were valid but the request failed": unpaid, or over the plan.
    402: Meaning(Fault.SENDER, "request-failed", is_account=True),
    404: Meaning(Fault.SENDER, "domain-not-found", is_account=True),
    420: RATE,
}
_MAY_NOT_SEND = Meaning(Fault.SENDER, "domain-may-not-send", is_account=True)
_BY_TEXT: tuple[tuple[int, str, Meaning], ...] = (
    (400, "'to' parameter", Meaning(Fault.RECIPIENT, "invalid-address")),
    (400, "to parameter", Meaning(Fault.RECIPIENT, "invalid-address")),
    (400, "'from' parameter", Meaning(Fault.SENDER, "invalid-sender", is_account=True)),
    (400, "free accounts are for test purposes only", _MAY_NOT_SEND),
    (400, "limit exceeded", RATE),
    (402, "limit exceeded", RATE),
    (403, "limit exceeded", RATE),
    (403, "try again after", RATE),
    (400, "domain is disabled", _MAY_NOT_SEND),
    (403, "is not allowed to send", _MAY_NOT_SEND),
    (403, "sandbox subdomains", _MAY_NOT_SEND),
    (403, "unverified", _MAY_NOT_SEND),
    (403, "account disabled", _MAY_NOT_SEND),
)
"""(status, words of the text, verdict): a 400 or 403 alone does not say who is at fault."""


class Mailgun(ProviderSettings):
    """A sending domain at Mailgun."""

    kind: Literal["mailgun"]
    domain: Host
    api_key: SecretStr
    region: Literal["us", "eu"] = "us"
    webhook_signing_key: SecretStr | None = None
    """What its callbacks are signed with; another key than the API's."""


class MailgunDialect:
    """messages.mime as multipart/form-data."""

    def __init__(self, settings: Mailgun, around: Surroundings) -> None:
        self._writer = MailWriter(clock=around.clock, signer=around.signer, max_bytes=MAX_BYTES)
        base = settings.base_url or _REGIONS[settings.region]
        self._url = f"{base.rstrip('/')}/v3/{settings.domain}/messages.mime"
        token = base64.b64encode(f"api:{secret(settings.api_key)}".encode()).decode()
        self._authorization = ("Authorization", f"Basic {token}")

    def prepare(self, message: Outgoing) -> Prepared:
        """Write the mail."""
        return self._writer.write(message)

    def request(self, message: Prepared) -> Request:
        """Return the form around the mail."""
        fields = {"to": message.to, f"v:{VARIABLE}": reference(message.outgoing), "o:tracking": "no"}
        boundary, body = _form(fields, message.wire, message.outgoing.id.hex)
        kind = ("Content-Type", f"multipart/form-data; boundary={boundary}")
        return Request(url=self._url, headers=(self._authorization, kind), body=body)

    def judge(self, answer: Answer) -> Verdict | None:
        """Read an id, or a text beside a status."""
        said = answer.json()
        text = str(said.get("message") or "")
        if answer.is_success:
            remote_id = said.get("id")
            # Callbacks name it without the brackets.
            bare = remote_id.strip("<> ") if isinstance(remote_id, str) else ""
            return Taken(remote_id=bare, text=text) if bare else None
        words = text.casefold()
        meaning = next(
            (found for status, part, found in _BY_TEXT if status == answer.status and part in words),
            _BY_STATUS.get(answer.status),
        )
        # A gateway's words are not Mailgun's.
        if meaning is None and (not text or answer.status == HTTPStatus.GATEWAY_TIMEOUT):
            return None
        return Refused(meaning=meaning or meaning_of(answer.status), text=text)


def _form(fields: dict[str, str], mail: bytes, salt: str) -> tuple[str, bytes]:
    """Return boundary and body (RFC 7578)."""
    # "=_" cannot stand in a boundary without quotes; dots can, and no line of our 7-bit MIME begins so.
    boundary = f"notifier.form.{salt}"
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="message"; filename="message.mime"\r\n'
        "Content-Type: message/rfc822\r\n\r\n"
    )
    return boundary, "".join([*parts, head]).encode() + mail + f"\r\n--{boundary}--\r\n".encode()


def _build(name: str, settings: Mailgun, around: Surroundings) -> Channel:
    return HttpChannel(name, ChannelName.EMAIL, settings, MailgunDialect(settings, around))


KIND = Kind(
    settings=Mailgun,
    build=_build,
    capabilities=Capabilities(
        channel=ChannelName.EMAIL,
        receipts=(
            "sent", "deferred", "delivered", "bounced", "rejected", "complained", "opened", "clicked",
            "unsubscribed",
        ),
        has_raw_mime=True,
        keeps_message_id=True,
        has_own_signature=True,
        has_attachments=True,
        max_bytes=MAX_BYTES,
        cannot=(
            "recognise a message it was handed twice",
            "use our return path: bounces come by callback",
            "sign what its callbacks say: only their time and token are signed",
        ),
        documentation=(
            "https://documentation.mailgun.com/docs/mailgun/api-reference/send/mailgun/messages",
            "https://documentation.mailgun.com/docs/mailgun/quickstart-guide/responses",
        ),
    ),
)  # fmt: skip
