"""The SMS gateway's webhook: believe it by its signature, hand the SMS to the worker, answer with its reply.

Reads no words and knows no numbers but to pass them on, sealed.
"""

import time
from dataclasses import dataclass
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

import orjson
from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from notifier.crypto import SmsKeys
from notifier.inbound.callbacks.twilio_signature import is_signed
from notifier.logs import get_logger
from notifier.settings import Settings
from notifier.store.database import DatabaseUnavailable
from notifier.store.sms_in import SmsDesk
from notifier.web.bodies import read_body

log = get_logger("web")

_PATIENCE = 8.0
"""Seconds to wait for the worker's reply; the gateway waits 15 (https://www.twilio.com/docs/usage/webhooks)."""
_STEP = 0.1
_BODY_LIMIT = 65_536
_WORDS_LIMIT = 1600


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """The account whose SMS we believe."""

    account: str
    token: str
    public_url: str

    @classmethod
    def of(cls, settings: Settings) -> "Gateway | None":
        """Return it; None where no SMS can come in."""
        if settings.sms is None or settings.public_url is None:
            return None
        return cls(
            account=settings.sms.account_sid,
            token=settings.sms.auth_token.get_secret_value(),
            public_url=settings.public_url.rstrip("/"),
        )


def sms_router(desk: SmsDesk, gateway: Gateway, *, patience: float = _PATIENCE) -> APIRouter:
    """Make the endpoints."""
    router = APIRouter(tags=["webhooks"], include_in_schema=False)
    keys = SmsKeys.of(gateway.token)

    @router.post("/inbound/sms")
    @router.post("/inbound/sms/{account}")
    async def receive(request: Request, account: str | None = None) -> Response:
        """Take an SMS."""
        body = await read_body(request, _BODY_LIMIT)
        # The URL as the gateway knows it, not as the proxy before us passed it on.
        query = f"?{request.url.query}" if request.url.query else ""
        url = f"{gateway.public_url}{request.url.path}{query}"
        try:
            sms = _believed(gateway, url, body, request.headers.get("x-twilio-signature", ""), account)
            reply = await run_in_threadpool(_reply, desk, sms.id, keys.seal(sms.content), patience)
        except _Refused as refused:
            log.warning("web.refused", part="sms", status=refused.status)
            return Response(status_code=refused.status)
        except DatabaseUnavailable as error:
            # The gateway tries its fallback URL, or shows the failure in its console.
            log.warning("web.unanswered", part="sms", reason=type(error).__name__)
            return Response(status_code=503)
        return _twiml(None if sms.is_answered else reply)

    return router


class _Refused(Exception):
    """The request is none of the gateway's, or no SMS."""

    def __init__(self, status: int) -> None:
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sms:
    """What came in."""

    id: str
    content: bytes
    is_answered: bool
    """The gateway has seen to STOP and the like, and answered, itself."""


def _believed(gateway: Gateway, url: str, body: bytes | None, signature: str, account: str | None) -> _Sms:
    """Return the SMS of a request that the gateway signed."""
    if body is None:
        raise _Refused(413)
    try:
        parameters = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=200)
    except ValueError:
        raise _Refused(400) from None
    if not is_signed(gateway.token, url, parameters, signature):
        raise _Refused(403)
    fields = dict(parameters)
    if {account or gateway.account, fields.get("AccountSid", gateway.account)} != {gateway.account}:
        raise _Refused(403)
    remote = fields.get("MessageSid") or fields.get("SmsMessageSid")
    if not remote or not fields.get("From"):
        raise _Refused(400)
    content = {"from": fields["From"], "body": fields.get("Body", "")[:_WORDS_LIMIT]}
    return _Sms(id=remote[:64], content=orjson.dumps(content), is_answered=bool(fields.get("OptOutType")))


def _reply(desk: SmsDesk, remote: str, sealed: bytes, patience: float) -> str | None:
    """Hand it in, and wait for the reply; without one in time the SMS is acted on all the same."""
    waiting, end = desk.hand_in(remote, sealed), time.monotonic() + patience
    while True:
        is_done, reply = desk.reply(waiting)
        if is_done or time.monotonic() > end:
            return reply
        time.sleep(_STEP)


def _twiml(reply: str | None) -> Response:
    message = f"<Message>{escape(reply)}</Message>" if reply else ""
    page = f'<?xml version="1.0" encoding="UTF-8"?><Response>{message}</Response>'
    return Response(page, media_type="text/xml")
