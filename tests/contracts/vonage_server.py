"""A stand-in for Vonage's SMS API, for tests: https://developer.vonage.com/en/api/sms."""

import base64
from urllib.parse import parse_qsl
from uuid import UUID

from notifier.errors import Fault, OutcomeUnknown, PermanentFailure, TemporaryFailure
from tests.contracts.cases import Case, Refusal, Seen
from tests.contracts.http_server import Answer, HttpServer, Request, as_json
from tests.contracts.mails import PHONE, sms

KEY, SECRET = "abcd1234", "0123456789abcdef"


def error(*statuses: str, text: str = "No.") -> Answer:
    """Return an answer with these statuses, one for each part: 200, whatever became of it."""
    parts = [
        {"status": "0", "message-id": f"0A{number}", "to": PHONE} if status == "0"
        else {"status": status, "error-text": text}
        for number, status in enumerate(statuses)
    ]  # fmt: skip
    return as_json(200, **{"message-count": str(len(parts)), "messages": parts})


class VonageServer(HttpServer[dict[str, str]]):
    """Keeps the form of each message."""

    def tell(self, request: Request) -> Answer:
        """Answer for the balance: https://developer.vonage.com/en/account/code-snippets/account-balance."""
        if (
            request.headers.get("authorization")
            != "Basic " + base64.b64encode(f"{KEY}:{SECRET}".encode()).decode()
        ):
            return as_json(401, **{"error-code": "401", "error-code-label": "authentication failed"})
        is_known = request.path == "/account/get-balance"
        return as_json(200, value=10.28, autoReload=False) if is_known else Answer(404, "")

    def check(self, request: Request) -> Answer | None:
        """Demand path, key and secret in the body."""
        form = self.read(request)
        if request.path != "/sms/json" or "authorization" in request.headers:
            return Answer(404, "")
        if not {"from", "to", "text"} <= form.keys():
            return error("2", text="Missing api_key")
        return (
            None
            if (form["api_key"], form["api_secret"]) == (KEY, SECRET)
            else error("4", text="Bad Credentials")
        )

    def accept(self, kept: dict[str, str]) -> Answer:
        """Answer for each part, of up to 67 characters."""
        return error(*["0"] * (1 + len(kept["text"]) // 153))

    def is_yes(self, answer: Answer) -> bool:
        """Look at the first part: the status of HTTP says nothing."""
        return answer.status == 200 and '"status": "0"' in answer.body

    def read(self, request: Request) -> dict[str, str]:
        """Return the form."""
        return dict(parse_qsl(request.body.decode(), keep_blank_values=True))


CASE = Case(
    server=VonageServer,
    settings={"api_key": KEY, "api_secret": SECRET, "sender": "Example"},
    wrong_secret=lambda _: {"api_secret": "wrong-secret"},
    message=sms,
    seen=lambda form: Seen(to="+" + form["to"], text=form["text"], ours=UUID(form["client-ref"])),
    gone=error("3", text=f"Invalid value for parameter: to {PHONE}"),
    slow=Answer(200, error("1").body, {"Retry-After": "7"}),
    refusals=[
        Refusal(error("2"), PermanentFailure, Fault.PROVIDER, "protocol"),
        Refusal(error("3", text="Invalid from param"), PermanentFailure, Fault.SENDER, "sender-number"),
        Refusal(error("4"), PermanentFailure, Fault.CREDENTIALS, "credentials"),
        Refusal(error("5"), TemporaryFailure, Fault.PROVIDER, "provider"),
        Refusal(error("6"), PermanentFailure, Fault.PROVIDER, "unroutable"),
        Refusal(error("7"), PermanentFailure, Fault.RECIPIENT, "blocked"),
        Refusal(error("9"), PermanentFailure, Fault.CREDENTIALS, "no-credit"),
        Refusal(error("12"), PermanentFailure, Fault.CONTENT, "too-long"),
        Refusal(error("15"), PermanentFailure, Fault.SENDER, "sender-number"),
        Refusal(error("29"), PermanentFailure, Fault.SENDER, "trial-account"),
        Refusal(error("33"), PermanentFailure, Fault.RECIPIENT, "unknown-recipient", is_hard=True),
        Refusal(error("77"), TemporaryFailure, Fault.PROVIDER, "provider"),
        Refusal(error("0", "5"), OutcomeUnknown, Fault.NETWORK, "partly-taken"),
        Refusal(as_json(200, messages=[]), OutcomeUnknown, Fault.NETWORK, "protocol"),
        Refusal(Answer(503, ""), TemporaryFailure, Fault.PROVIDER, "provider"),
    ],
)  # fmt: skip
