"""Callbacks of providers: read once, believed by their signature, answered when they are on disk.

Knows no provider: ``notifier.inbound.callbacks`` reads, the worker's track stage acts.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from notifier.clock import Clock
from notifier.inbound.callbacks.base import Callback, CallbackReader, Reading, Refusal
from notifier.logs import get_logger
from notifier.store.database import DatabaseUnavailable
from notifier.web.bodies import read_body
from notifier.web.handover import Desk, Handover

log = get_logger("web")

BODY_LIMIT = 524_288
"""Bytes: an SNS message has at most 256 kB, which JSON in JSON may double."""
_BODY_SECONDS = 15.0
_RETRY_SECONDS = "30"
_AWAY = 503


@dataclass(frozen=True, slots=True)
class CallbackCounts:
    """What became of callbacks since this process started, for ``/metrics``."""

    by_outcome: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By provider and outcome."""

    def add(self, provider: str, outcome: str) -> None:
        """Count one."""
        self.by_outcome[provider, outcome] += 1


class CallbackDesk:
    """Takes callbacks in.

    Args:
        desk: Where receipts go.
        readers: By the provider's name.
        confirm: Reads the URL that confirms a subscription; raises a Refusal.
        public_url: How the world calls this process, without a slash at its end; empty = as the request says.
        clock: Tells when a request came in.
    """

    def __init__(
        self,
        desk: Desk,
        readers: Mapping[str, CallbackReader],
        *,
        confirm: Callable[[str], None],
        public_url: str,
        clock: Clock,
    ) -> None:
        self._handover = Handover(desk)
        self._readers, self._confirm = readers, confirm
        self._public_url, self._clock = public_url, clock
        self.counts = CallbackCounts()

    async def take(self, request: Request, provider: str) -> Response:
        """Answer a request: 200 once what it says is stored, or says nothing we want to know."""
        reader = self._readers.get(provider)
        if reader is None:
            return Response(status_code=404)
        try:
            outcome = await self._taken(request, provider, reader)
        except Refusal as refusal:
            return self._refuse(provider, refusal)
        except DatabaseUnavailable as error:
            log.warning("web.unanswered", part="callbacks", provider=provider, reason=type(error).__name__)
            self.counts.add(provider, "unavailable")
            return Response(status_code=_AWAY, headers={"retry-after": _RETRY_SECONDS})
        self.counts.add(provider, outcome)
        return Response(status_code=200)

    async def _taken(self, request: Request, provider: str, reader: CallbackReader) -> str:
        callback = await self._callback(request)
        reading = await _read(reader, callback)
        if reading.confirm:
            await run_in_threadpool(self._confirm, reading.confirm)
            log.info("web.confirmed", part="callbacks", provider=provider)
            return "confirmed"
        if not reading.receipts:
            log.debug("web.ignored", part="callbacks", provider=provider, kind=reading.ignored[:60])
            return "ignored"
        await self._handover.hand_in(provider, reading.receipts)
        return "taken"

    async def _callback(self, request: Request) -> Callback:
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                body = await read_body(request, BODY_LIMIT)
        except TimeoutError:
            raise TooSlow("slow") from None
        if body is None:
            raise TooLarge("too large")
        return Callback(
            url=self._url(request),
            headers={name.lower(): value for name, value in request.headers.items()},
            body=body,
            at=self._clock.now(),
        )

    def _url(self, request: Request) -> str:
        """Return the URL as the provider called it, to the letter; never parsed, since anybody may write it."""
        scope = request.scope
        base = self._public_url or f"{scope['scheme']}://{request.headers.get('host', '')}"
        path, query = scope["raw_path"].decode("latin-1"), scope["query_string"].decode("latin-1")
        return f"{base}{path}?{query}" if query else f"{base}{path}"

    def _refuse(self, provider: str, refusal: Refusal) -> Response:
        log.warning(
            "web.refused", part="callbacks", provider=provider, status=refusal.status, reason=refusal.reason,
            field=refusal.field,
        )  # fmt: skip
        self.counts.add(provider, f"refused: {refusal.reason}")
        headers = {"www-authenticate": 'Basic realm="callbacks"'} if refusal.status == _UNAUTHORISED else {}
        if refusal.status == _AWAY:
            headers = {"retry-after": _RETRY_SECONDS}
        return Response(status_code=refusal.status, headers=headers)


_UNAUTHORISED = 401


class TooLarge(Refusal):
    """No callback is as large as this."""

    status = 413


class TooSlow(Refusal):
    """The request did not come to its end in time."""

    status = 408


def callbacks_router(desk: CallbackDesk) -> APIRouter:
    """Make the endpoint."""
    router = APIRouter(tags=["webhooks"], include_in_schema=False)

    async def take(request: Request) -> Response:
        """Take a callback."""
        return await desk.take(request, request.path_params["provider"])

    # A plain route: what FastAPI does for others costs as much as reading a callback does, and none of it is needed.
    router.add_route("/callbacks/{provider}", take, methods=["POST"], include_in_schema=False)
    return router


async def _read(reader: CallbackReader, callback: Callback) -> Reading:
    if reader.may_wait:
        return await run_in_threadpool(reader.read, callback)
    return reader.read(callback)
