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
from notifier.channels.inquiry import Inquiry, Seen, named, refused
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

    def url(self, path: str) -> str:
        """Return the address of a part of the API."""
        return (self.base_url or _REGIONS[self.region]).rstrip("/") + path

    @property
    def authorization(self) -> tuple[str, str]:
        """The header that logs us in."""
        token = base64.b64encode(f"api:{secret(self.api_key)}".encode()).decode()
        return "Authorization", f"Basic {token}"


class MailgunDialect:
    """messages.mime as multipart/form-data."""

    def __init__(self, settings: Mailgun, around: Surroundings) -> None:
        self._writer = MailWriter(clock=around.clock, signer=around.signer, max_bytes=MAX_BYTES)
        self._url = settings.url(_messages(settings))
        self._authorization = settings.authorization

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


def _messages(settings: Mailgun) -> str:
    return f"/v3/{settings.domain}/messages.mime"


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


def _inquire(settings: Mailgun) -> Inquiry:
    """Ask for the domain: https://documentation.mailgun.com/docs/mailgun/api-reference/send/mailgun/domains."""
    request = Request(
        url=settings.url(f"/v4/domains/{settings.domain}"), headers=(settings.authorization,), body=b""
    )
    return Inquiry(request=request, judge=lambda answer: _domain(settings, answer))


def _domain(settings: Mailgun, answer: Answer) -> Seen | Inquiry:
    if answer.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        # A domain's sending key may POST messages and nothing else
        # (https://documentation.mailgun.com/docs/mailgun/api-reference/authentication): one without recipient and
        # content is refused with 400, and so shows that the key is taken.
        request = Request(url=settings.url(_messages(settings)), headers=(settings.authorization,), body=b"")
        return Inquiry(request=request, judge=_sending_key, method="POST")
    if found := refused(answer, "check domain and region"):
        return found
    said = answer.json().get("domain")
    domain = said if isinstance(said, dict) else {}
    state = named(domain, "state")
    if domain.get("is_disabled") is True or state == "disabled":
        return Seen(
            level="fail", words="the domain is disabled", mend="see the domain in Mailgun's dashboard"
        )
    if state and state != "active":
        return Seen(
            level="warn", words=f"the domain is {state}", mend="add the DNS records Mailgun's dashboard shows"
        )
    if domain.get("type") == "sandbox":
        words = "a sandbox: it sends to authorised recipients only"
        return Seen(level="warn", words=words, mend="add a domain of your own at Mailgun")
    return Seen(level="pass", words="the domain is active")


def _sending_key(answer: Answer) -> Seen:
    if answer.status == HTTPStatus.BAD_REQUEST:
        return Seen(level="pass", words="takes our key, which may only send")
    mend = "check api_key, domain and region"
    return refused(answer, mend) or Seen(level="warn", words=f"answers {answer.status}", mend=mend)


KIND = Kind(
    settings=Mailgun,
    build=_build,
    inquire=_inquire,
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
