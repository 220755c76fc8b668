"""A stand-in for Postmark, for tests: https://postmarkapp.com/developer/api/email-api."""

import base64
import json
from typing import Any, ClassVar
from uuid import UUID

from notifier.errors import Fault, PermanentFailure, TemporaryFailure
from tests.contracts.cases import Case, Refusal, Seen
from tests.contracts.http_server import Answer, HttpServer, Request, as_json
from tests.contracts.mails import TO, mail

TOKEN = "00000000-1111-2222-3333-444444444444"
_KNOWN = {
    "From", "To", "Cc", "Bcc", "Subject", "Tag", "HtmlBody", "TextBody", "ReplyTo", "Headers", "TrackOpens",
    "TrackLinks", "Metadata", "Attachments", "MessageStream",
}  # fmt: skip


def error(status: int, code: int, message: str = "No.") -> Answer:
    """Return an answer as Postmark words its errors."""
    return as_json(status, ErrorCode=code, Message=message)


class PostmarkServer(HttpServer[dict[str, Any]]):
    """Keeps the JSON of each message."""

    about: ClassVar[dict[str, Any]] = {
        "ID": 1,
        "Name": "Production",
        "DeliveryType": "Live",
        "ApiTokens": [TOKEN],
    }

    def tell(self, request: Request) -> Answer:
        """Answer for the server: https://postmarkapp.com/developer/api/server-api."""
        if request.headers.get("x-postmark-server-token") != TOKEN:
            return error(401, 10, "Request does not contain a valid Server token.")
        return as_json(200, **self.about) if request.path == "/server" else error(404, 404)

    def check(self, request: Request) -> Answer | None:
        """Demand token, path and fields."""
        if request.headers.get("x-postmark-server-token") != TOKEN:
            return error(401, 10, "Request does not contain a valid Server token.")
        if request.path != "/email" or request.headers.get("accept") != "application/json":
            return error(404, 404)
        wanted = json.loads(request.body)
        is_small = all(len(key) <= 20 and len(value) <= 80 for key, value in wanted["Metadata"].items())
        is_good = wanted.keys() <= _KNOWN and is_small and wanted["MessageStream"] == "outbound"
        return None if is_good else error(422, 403)

    def accept(self, kept: dict[str, Any]) -> Answer:
        """Answer with a MessageID."""
        number = f"0a129aee-e1cd-480d-b08d-{next(self.numbers):012x}"
        return as_json(200, To=kept["To"], SubmittedAt="2026-01-01T00:00:00Z", MessageID=number, ErrorCode=0,
                       Message="OK")  # fmt: skip

    def read(self, request: Request) -> dict[str, Any]:
        """Return the JSON."""
        wanted: dict[str, Any] = json.loads(request.body)
        return wanted


def seen(wanted: dict[str, Any]) -> Seen:
    """Return what Postmark makes of it."""
    files = [
        (one["Name"], one["ContentType"], base64.b64decode(one["Content"], validate=True))
        for one in wanted.get("Attachments", [])
    ]
    return Seen(
        to=wanted["To"].rpartition("<")[2].removesuffix(">"),
        text=wanted["TextBody"],
        html=wanted.get("HtmlBody"),
        subject=wanted["Subject"],
        ours=UUID(wanted["Metadata"]["notifier-message"]),
        headers={one["Name"]: one["Value"] for one in wanted["Headers"]},
        files=files,
    )


CASE = Case(
    server=PostmarkServer,
    settings={"server_token": TOKEN},
    wrong_secret=lambda _: {"server_token": "wrong-secret"},
    message=mail,
    seen=seen,
    gone=error(422, 406, f"You tried to send to a recipient marked as inactive. Found inactive addresses: {TO}."),
    slow=Answer(429, '{"ErrorCode": 429, "Message": "Rate limit exceeded"}', {"Retry-After": "7"}),
    refusals=[
        Refusal(error(422, 300, f"Error parsing 'To': Illegal email address '{TO}'."), PermanentFailure,
                Fault.RECIPIENT, "invalid-address"),
        Refusal(error(422, 300, "Error parsing 'From': Illegal email domain."), PermanentFailure, Fault.SENDER,
                "invalid-sender", is_account=True),
        Refusal(error(422, 300, "Provide either email TextBody or HtmlBody or both."), PermanentFailure,
                Fault.CONTENT, "invalid-request"),
        Refusal(error(422, 400), PermanentFailure, Fault.SENDER, "sender-not-verified", is_account=True),
        Refusal(error(422, 401), PermanentFailure, Fault.SENDER, "sender-not-verified", is_account=True),
        Refusal(error(422, 405), PermanentFailure, Fault.SENDER, "no-credit", is_account=True),
        Refusal(error(422, 406), PermanentFailure, Fault.RECIPIENT, "suppressed-by-provider"),
        Refusal(error(422, 411), PermanentFailure, Fault.CONTENT, "attachment-type"),
        Refusal(error(422, 412), PermanentFailure, Fault.SENDER, "account-pending", is_account=True),
        Refusal(error(422, 1235), PermanentFailure, Fault.SENDER, "message-stream", is_account=True),
        Refusal(error(200, 406), PermanentFailure, Fault.RECIPIENT, "suppressed-by-provider"),
        Refusal(error(503, 100, "Maintenance"), TemporaryFailure, Fault.PROVIDER, "provider"),
        Refusal(error(422, 99999), PermanentFailure, Fault.PROVIDER, "provider"),
        Refusal(Answer(500, "<html>"), TemporaryFailure, Fault.PROVIDER, "provider"),
    ],
)  # fmt: skip
