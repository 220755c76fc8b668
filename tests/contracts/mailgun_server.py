"""A stand-in for Mailgun, for tests.

https://documentation.mailgun.com/docs/mailgun/api-reference/send/mailgun/messages
"""

import base64
from dataclasses import dataclass
from email import message_from_bytes
from email.message import Message
from uuid import UUID

from notifier.errors import Fault, PermanentFailure, TemporaryFailure
from tests.contracts.cases import Case, Refusal, Seen
from tests.contracts.http_server import Answer, HttpServer, Request, as_json
from tests.contracts.mails import TO, mail, parsed

KEY, DOMAIN = "key-0123456789", "mg.example.com"
_LOGIN = "Basic " + base64.b64encode(f"api:{KEY}".encode()).decode()


@dataclass(frozen=True, slots=True)
class Sent:
    """The fields of one form, and the mail in it."""

    fields: dict[str, str]
    mail: bytes


class MailgunServer(HttpServer[Sent]):
    """Keeps the form of each message; with ``may_ask`` unset as its sending keys see it."""

    may_ask = True

    def tell(self, request: Request) -> Answer:
        """Answer for the domain: https://documentation.mailgun.com/docs/mailgun/api-reference/send/mailgun/domains."""
        if not self.may_ask or request.headers.get("authorization") != _LOGIN:
            return Answer(401, "Forbidden")
        if request.path != f"/v4/domains/{DOMAIN}":
            return as_json(404, message="Domain not found")
        return as_json(
            200, domain={"name": DOMAIN, "state": "active", "type": "custom", "is_disabled": False}
        )

    def check(self, request: Request) -> Answer | None:
        """Demand key, domain and form."""
        if request.headers.get("authorization") != _LOGIN:
            return Answer(401, "Forbidden")
        if request.path != f"/v3/{DOMAIN}/messages.mime":
            return as_json(404, message=f"Domain not found: {request.path}")
        if not request.body:
            return as_json(400, message="from parameter is missing")
        sent = self.read(request)
        is_good = sent.fields.keys() == {"to", "v:notifier-message", "o:tracking"} and sent.mail
        return None if is_good else as_json(400, message="'to' parameter is missing")

    def accept(self, kept: Sent) -> Answer:  # noqa: ARG002
        """Answer with an id."""
        return as_json(200, id=f"<20260101.{next(self.numbers)}@{DOMAIN}>", message="Queued. Thank you.")

    def read(self, request: Request) -> Sent:
        """Take the form apart (RFC 7578)."""
        head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
        form = message_from_bytes(head + request.body)
        assert form.is_multipart()
        fields = {}
        for part in form.get_payload():
            assert isinstance(part, Message)
            fields[str(part.get_param("name", header="content-disposition"))] = part
        boundary = form.get_boundary()
        # The mail as it stands there, byte by byte: no parser may touch what is signed.
        raw = request.body.split(b"Content-Type: message/rfc822\r\n\r\n", 1)[1]
        raw = raw[: -len(f"\r\n--{boundary}--\r\n")]
        del fields["message"]
        return Sent({name: str(part.get_payload()) for name, part in fields.items()}, raw)


def seen(sent: Sent) -> Seen:
    """Return what Mailgun makes of it."""
    assert sent.fields["o:tracking"] == "no"
    return parsed(sent.mail, to=sent.fields["to"], ours=UUID(sent.fields["v:notifier-message"]))


CASE = Case(
    server=MailgunServer,
    settings={"api_key": KEY, "domain": DOMAIN},
    wrong_secret=lambda _: {"api_key": "wrong-secret"},
    message=mail,
    seen=seen,
    gone=as_json(400, message=f"'to' parameter is not a valid address: {TO}. please check documentation"),
    slow=Answer(429, '{"message": "rate limited"}', {"Retry-After": "7"}),
    refusals=[
        Refusal(as_json(400, message="'from' parameter is not a valid address."), PermanentFailure, Fault.SENDER,
                "invalid-sender", is_account=True),
        Refusal(as_json(400, message="message is invalid"), PermanentFailure, Fault.CONTENT, "bad-request"),
        Refusal(as_json(401, message="Invalid private key"), PermanentFailure, Fault.CREDENTIALS, "credentials"),
        Refusal(as_json(402, message="Request failed"), PermanentFailure, Fault.SENDER, "request-failed",
                is_account=True),
        Refusal(as_json(403, message="Domain mg.example.com is not allowed to send: account disabled"),
                PermanentFailure, Fault.SENDER, "domain-may-not-send", is_account=True),
        Refusal(Answer(403, "Forbidden"), PermanentFailure, Fault.CREDENTIALS, "forbidden"),
        Refusal(
            as_json(403, message="Domain mg.example.com is not allowed to send: recipient limit exceeded"),
            TemporaryFailure, Fault.RATE, "rate-limited",
        ),
        Refusal(
            as_json(402, message="Domain mg.example.com is not allowed to send: request limit exceeded, try again"),
            TemporaryFailure, Fault.RATE, "rate-limited",
        ),
        Refusal(as_json(400, message="The domain is disabled. Please contact support"),
                PermanentFailure, Fault.SENDER, "domain-may-not-send", is_account=True),
        Refusal(as_json(404, message="Domain not found"), PermanentFailure, Fault.SENDER, "domain-not-found",
                is_account=True),
        Refusal(Answer(413, "too large"), PermanentFailure, Fault.CONTENT, "too-long"),
        Refusal(as_json(500, message="Internal Server Error"), TemporaryFailure, Fault.PROVIDER, "provider"),
        Refusal(Answer(502, ""), TemporaryFailure, Fault.PROVIDER, "provider"),
    ],
)  # fmt: skip
