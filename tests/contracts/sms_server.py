"""A stand-in for Twilio's Messages API, for tests: https://www.twilio.com/docs/messaging/api/message-resource.

with SmsServer() as server:
    server.for_number("+15005550001", error(400, 21211))              # whenever this number is meant
    ...
    server.received[0]["Body"]
"""

import base64
import json
import time
from pathlib import Path
from urllib.parse import parse_qsl

from notifier.errors import Fault, PermanentFailure, TemporaryFailure
from tests.contracts.cases import Case, Refusal, Seen
from tests.contracts.http_server import Act, Answer, Dribble, HangUp, HttpServer, Request, Silence
from tests.contracts.mails import PHONE, sms

__all__ = ["ACCOUNT", "CASE", "TOKEN", "Act", "Answer", "Dribble", "HangUp", "Silence", "SmsServer", "error"]

ACCOUNT = "AC00000000000000000000000000000001"
TOKEN = "0123456789abcdef0123456789abcdef"


def error(status: int, code: int, message: str = "An error") -> Answer:
    """Return an answer as Twilio words its errors."""
    return Answer(status, json.dumps({"code": code, "message": message, "status": status}))


class SmsServer(HttpServer[dict[str, str]]):
    """Keeps the form of each message."""

    def __init__(
        self, *, account: str = ACCOUNT, token: str = TOKEN, port: int = 0, certificate: Path | None = None
    ) -> None:
        self.account, self.token = account, token
        self._numbers: dict[str, Act] = {}
        super().__init__(port=port, certificate=certificate)

    def for_number(self, number: str, act: Act) -> None:
        """Do this whenever a message is for this number."""
        with self._lock:
            self._numbers[number] = act

    def tell(self, request: Request) -> Answer:
        """Answer for the account, its token and all: https://www.twilio.com/docs/iam/api/account."""
        token = base64.b64encode(f"{self.account}:{self.token}".encode()).decode()
        if request.headers.get("authorization") != f"Basic {token}":
            return error(401, 20003, "Authenticate")
        if request.path != f"/2010-04-01/Accounts/{self.account}.json":
            return error(404, 20404)
        said = {"sid": self.account, "status": "active", "type": "Full", "auth_token": self.token}
        return Answer(200, json.dumps(said))

    def check(self, request: Request) -> Answer | None:
        """Demand the account's path and its token."""
        if request.path != f"/2010-04-01/Accounts/{self.account}/Messages.json":
            return error(404, 20404)
        token = base64.b64encode(f"{self.account}:{self.token}".encode()).decode()
        return (
            None
            if request.headers["authorization"] == f"Basic {token}"
            else error(401, 20003, "Authenticate")
        )

    def accept(self, kept: dict[str, str]) -> Answer:  # noqa: ARG002
        """Answer with a sid."""
        sid = f"SM{time.monotonic_ns():032x}"
        return Answer(201, json.dumps({"sid": sid, "status": "queued", "error_code": None}))

    def read(self, request: Request) -> dict[str, str]:
        """Return the form."""
        return dict(parse_qsl(request.body.decode(), keep_blank_values=True))

    def standing(self, kept: dict[str, str]) -> Act | None:
        """Look at the number first."""
        return self._numbers.get(kept.get("To", "")) or super().standing(kept)


CASE = Case(
    server=SmsServer,
    settings={"account_sid": ACCOUNT, "auth_token": TOKEN, "sender": "+15005550000"},
    wrong_secret=lambda _: {"auth_token": "wrong-secret"},
    message=sms,
    seen=lambda form: Seen(to=form["To"], text=form["Body"]),
    gone=error(400, 21211, f"{PHONE} is not valid"),
    slow=Answer(429, '{"code": 20429}', {"Retry-After": "7"}),
    refusals=[
        Refusal(error(400, 21610), PermanentFailure, Fault.RECIPIENT, "unsubscribed"),
        Refusal(error(400, 21606), PermanentFailure, Fault.SENDER, "sender-number"),
        Refusal(error(503, 20503), TemporaryFailure, Fault.PROVIDER, "provider"),
    ],
)
