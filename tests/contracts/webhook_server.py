"""A stand-in for an endpoint that verifies Standard Webhooks, for tests.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import hmac
import json
import time
from typing import Any
from uuid import UUID

from notifier.errors import Fault, PermanentFailure, TemporaryFailure
from notifier.messages import ChannelName, Outgoing, Rendered
from tests.contracts.cases import Case, Refusal, Seen
from tests.contracts.http_server import Answer, HttpServer, Request
from tests.contracts.mails import sms

SECRET = "whsec_" + base64.b64encode(b"a-secret-of-thirty-two-bytes-or-so").decode()
OTHER = "whsec_" + base64.b64encode(b"another-secret-of-thirty-two-bytes").decode()
_TOLERANCE = 300


class WebhookServer(HttpServer[dict[str, Any]]):
    """Keeps the JSON of each message, with its id; verifies the signature."""

    def check(self, request: Request) -> Answer | None:
        """Demand a signature of ours, and of now."""
        headers = request.headers
        name, moment = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
        if abs(time.time() - int(moment)) > _TOLERANCE or headers["content-type"] != "application/json":
            return Answer(400, "")
        key = base64.b64decode(SECRET.removeprefix("whsec_"))
        signature = hmac.digest(key, f"{name}.{moment}.".encode() + request.body, "sha256")
        wanted = "v1," + base64.b64encode(signature).decode()
        return None if wanted in headers["webhook-signature"].split(" ") else Answer(401, "")

    def accept(self, kept: dict[str, Any]) -> Answer:  # noqa: ARG002
        """Say yes, with nothing else."""
        return Answer(204, "")

    def read(self, request: Request) -> dict[str, Any]:
        """Return the JSON, with the id of the header."""
        return {**json.loads(request.body), "webhook-id": request.headers["webhook-id"]}


def notice(**changes: object) -> Outgoing:
    """Return a message for the endpoint."""
    content = Rendered(
        subject=str(changes.pop("subject", "Shipped")), text=str(changes.pop("text", "On its way"))
    )
    values: dict[str, object] = {"channel": ChannelName.WEBHOOK, "to": "crm", "content": content}
    return sms(**(values | changes))


def endpoint(url: str, secret: str) -> dict[str, Any]:
    """Return the settings of the endpoint."""
    return {"endpoints": {"crm": {"url": url + "/in?key=1", "secret": secret}}}


def seen(kept: dict[str, Any]) -> Seen:
    """Return what the endpoint makes of it."""
    data = kept["data"]
    assert kept["webhook-id"] == data["id"]
    return Seen(to="crm", subject=data["subject"], text=data["text"], ours=UUID(data["id"]))


CASE = Case(
    server=WebhookServer,
    settings={},
    place=lambda url: endpoint(url, SECRET),
    wrong_secret=lambda url: endpoint(url, OTHER),
    message=notice,
    seen=seen,
    gone=Answer(410, "crm is gone"),
    slow=Answer(429, "", {"Retry-After": "7"}),
    refusals=[
        Refusal(Answer(401, ""), PermanentFailure, Fault.CREDENTIALS, "credentials"),
        Refusal(Answer(410, ""), PermanentFailure, Fault.RECIPIENT, "gone", is_hard=True),
        Refusal(Answer(413, ""), PermanentFailure, Fault.CONTENT, "too-long"),
        Refusal(Answer(404, ""), TemporaryFailure, Fault.PROVIDER, "provider"),
        Refusal(Answer(500, ""), TemporaryFailure, Fault.PROVIDER, "provider"),
        Refusal(Answer(504, ""), TemporaryFailure, Fault.PROVIDER, "provider"),
    ],
    is_any_2xx_a_yes=True,
)
