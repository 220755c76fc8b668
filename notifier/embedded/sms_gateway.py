"""A local stand-in for an SMS provider: speaks Twilio's Messages API, sends nothing.

Answers as https://www.twilio.com/docs/messaging/api/message-resource says; misbehaves by the number's last
digits: see :data:`ENDINGS`.
"""

import asyncio
import base64
import binascii
import secrets
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from hmac import compare_digest
from http import HTTPStatus
from typing import Any, Literal
from urllib.parse import parse_qs

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse

from notifier.events import Json

_VERSION = "2010-04-01"
_LIMIT = 1_600
"""Characters in a body; Twilio refuses more with 21617."""
_KEPT = 5_000
_SILENCE = 600.0
"""Seconds without an answer: longer than any client waits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """What happens to numbers with these last digits."""

    kind: Literal["refuse", "fail", "throttle", "garbage", "silence"]
    code: int = 0
    """Twilio's error code, for ``refuse``."""
    times: int | None = None
    """How often per number; for ever if not set."""


ENDINGS: Mapping[str, Ending] = {
    "0211": Ending(kind="refuse", code=21211),
    "0614": Ending(kind="refuse", code=21614),
    "0610": Ending(kind="refuse", code=21610),
    "0500": Ending(kind="fail", times=1),
    "0429": Ending(kind="throttle", times=1),
    "0200": Ending(kind="garbage"),
    "0504": Ending(kind="silence"),
}
"""``0211`` invalid, ``0614`` no mobile, ``0610`` opted out; ``0500`` answers 500 and ``0429`` 429 once;
``0200`` answers 200 with what is no JSON; ``0504`` never answers."""

_MESSAGES = {
    20003: "Authenticate",
    20429: "Too Many Requests",
    20500: "Internal Server Error",
    21211: "Invalid 'To' Phone Number: {to}",
    21602: "Message body is required.",
    21603: "A 'From' phone number is required.",
    21604: "A 'To' phone number is required.",
    21610: "Attempt to send to unsubscribed recipient",
    21614: "'To' number is not a valid mobile number: {to}",
    21617: "The concatenated message body exceeds the 1600 character limit",
}


class Gateway:
    """What was sent, and how often a number was treated oddly."""

    def __init__(self, *, account: str, token: str, endings: Mapping[str, Ending] = ENDINGS) -> None:
        self._account, self._token, self._endings = account, token, endings
        self._seen: Counter[str] = Counter()
        self.messages: deque[dict[str, Json]] = deque(maxlen=_KEPT)

    def is_authentic(self, account: str, header: str) -> bool:
        """Check basic authentication against the account in the path and ours."""
        try:
            given = base64.b64decode(header.removeprefix("Basic "), validate=True)
        except (binascii.Error, ValueError):
            return False
        return account == self._account and compare_digest(given, f"{self._account}:{self._token}".encode())

    async def send(self, form: Mapping[str, str]) -> Response:
        """Answer one request to send, as the number's ending says."""
        refusal = _missing(form)
        if refusal:
            return _error(HTTPStatus.BAD_REQUEST, refusal, to=form.get("To", ""))
        ending = self._treatment(form["To"])
        if ending is None:
            return JSONResponse(self._accept(form), HTTPStatus.CREATED)
        if ending.kind == "silence":
            await asyncio.sleep(_SILENCE)
        return _odd(ending, form["To"])

    def _treatment(self, to: str) -> Ending | None:
        for digits, ending in self._endings.items():
            if to.endswith(digits):
                self._seen[to] += 1
                return None if ending.times is not None and self._seen[to] > ending.times else ending
        return None

    def _accept(self, form: Mapping[str, str]) -> dict[str, Json]:
        sid, now = f"SM{secrets.token_hex(16)}", format_datetime(datetime.now(UTC))
        uri = f"/{_VERSION}/Accounts/{self._account}/Messages/{sid}"
        message: dict[str, Json] = {
            "account_sid": self._account, "api_version": _VERSION, "body": form["Body"], "date_created": now,
            "date_sent": None, "date_updated": now, "direction": "outbound-api", "error_code": None,
            "error_message": None, "from": form.get("From"),
            "messaging_service_sid": form.get("MessagingServiceSid"), "num_media": "0",
            "num_segments": str(segments(form["Body"])), "price": None, "price_unit": "USD", "sid": sid,
            "status": "queued", "subresource_uris": {"media": f"{uri}/Media.json"}, "to": form["To"],
            "uri": f"{uri}.json",
        }  # fmt: skip
        self.messages.appendleft(message)
        return message


_GSM = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM_EXTENDED = frozenset("^{}\\[~]|€\f")


def segments(body: str) -> int:
    """Return how many SMS a text takes (3GPP TS 23.038: 160 septets or 70 UTF-16 units, less when joined)."""
    if all(char in _GSM or char in _GSM_EXTENDED for char in body):
        size, one, joined = sum(2 if char in _GSM_EXTENDED else 1 for char in body), 160, 153
    else:
        size, one, joined = len(body.encode("utf-16-be")) // 2, 70, 67
    return 1 if size <= one else -(-size // joined)


def create_gateway(gateway: Gateway) -> FastAPI:
    """Return the application: Twilio's one resource, and ``/api/messages`` to read what was sent."""
    app = FastAPI(title="SMS gateway", docs_url=None, redoc_url=None)

    @app.post(f"/{_VERSION}/Accounts/{{account}}/Messages.json")
    async def create_message(account: str, request: Request) -> Response:
        if not gateway.is_authentic(account, request.headers.get("Authorization", "")):
            return _error(HTTPStatus.UNAUTHORIZED, 20003)
        fields = parse_qs((await request.body()).decode("utf-8", "replace"), keep_blank_values=True)
        return await gateway.send({name: values[-1] for name, values in fields.items()})

    @app.get("/api/messages")
    async def list_messages(to: str | None = None) -> list[dict[str, Json]]:
        return [message for message in gateway.messages if to is None or message["to"] == to]

    @app.delete("/api/messages", status_code=204)
    async def clear() -> None:
        gateway.messages.clear()

    return app


def run(*, host: str, port: int, account: str, token: str, endings: Mapping[str, Ending] = ENDINGS) -> None:
    """Serve until SIGTERM or Ctrl-C."""
    app = create_gateway(Gateway(account=account, token=token, endings=endings))
    uvicorn.run(
        app, host=host, port=port, log_level="warning", access_log=False, lifespan="off",
        timeout_graceful_shutdown=1,
    )  # fmt: skip


def _odd(ending: Ending, to: str) -> Response:
    match ending.kind:
        case "refuse":
            return _error(HTTPStatus.BAD_REQUEST, ending.code, to=to)
        case "fail":
            return _error(HTTPStatus.INTERNAL_SERVER_ERROR, 20500)
        case "throttle":
            return _error(HTTPStatus.TOO_MANY_REQUESTS, 20429, headers={"Retry-After": "1"})
        case "garbage":
            return PlainTextResponse("<html>It works!</html>", media_type="text/html")
        case "silence":
            return Response(status_code=HTTPStatus.GATEWAY_TIMEOUT)


def _missing(form: Mapping[str, str]) -> int | None:
    if not form.get("To"):
        return 21604
    if not form.get("From") and not form.get("MessagingServiceSid"):
        return 21603
    body = form.get("Body", "")
    if not body:
        return 21602
    if len(body) > _LIMIT:
        return 21617
    number = form["To"]
    return None if number.startswith("+") and number[1:].isdigit() else 21211


def _error(status: HTTPStatus, code: int, *, to: str = "", headers: dict[str, str] | None = None) -> Response:
    content: dict[str, Any] = {
        "code": code, "message": _MESSAGES.get(code, "Refused").format(to=to),
        "more_info": f"https://www.twilio.com/docs/errors/{code}", "status": status.value,
    }  # fmt: skip
    return JSONResponse(content, status, headers=headers)
