"""The picture and the links of mails whose readers agreed to be tracked: serve first, record second.

A link leads only where the mail we wrote said; consent is asked for at each hit, and the tenant's wish: without both
nothing is recorded.
"""

import base64
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from notifier.crypto import DataKey
from notifier.errors import CannotUnseal
from notifier.events import Json
from notifier.inbound.hits import Hit, judge
from notifier.logs import get_logger
from notifier.receipts import Receipt, ReceiptKind
from notifier.setting_tables import Brand, Tracking
from notifier.store.database import DatabaseUnavailable
from notifier.store.reports import ReportDesk
from notifier.store.tracked import TrackDesk, TrackedView
from notifier.tokens import TRAP, link_digest, link_seal_key, split_tracked_link
from notifier.web.link_frame import HEADERS
from notifier.web.throttle import Throttle, client_of
from notifier.web.unsubscribe_page import State, page

log = get_logger("web")

SOURCE = "tracking"
# The smallest picture there is: one transparent pixel.
_PIXEL = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
_HITS = 600
"""Of one client in a minute; what is more is served, and not recorded."""
_BUCKET = timedelta(minutes=1)
"""The same again within it is one: pictures are fetched twice, links pressed twice."""


def tracking_router(
    desk: TrackDesk, reports: ReportDesk, brand: Brand, wanted: Mapping[str, Tracking]
) -> APIRouter:
    """Make the endpoints."""
    router = APIRouter(tags=["links"], include_in_schema=False)
    tracking = _Tracking(desk, reports, brand, wanted)

    # Not async: they wait for the database, each in a thread of its own.
    @router.api_route("/o/{name}.gif", methods=["GET", "HEAD"])
    def opened(request: Request, name: str) -> Response:
        """Return the picture, whatever comes of the rest: nobody learns from it whether a mail is known."""
        tracking.open(request, name)
        return Response(_PIXEL, media_type="image/gif", headers={"cache-control": "no-store, private"})

    @router.api_route("/c/{name}", methods=["GET", "HEAD"])
    def followed(request: Request, name: str) -> Response:
        """Lead on to where the link led when the mail was written."""
        return tracking.follow(request, name)

    return router


class _Tracking:
    def __init__(
        self, desk: TrackDesk, reports: ReportDesk, brand: Brand, wanted: Mapping[str, Tracking]
    ) -> None:
        self._desk, self._reports, self._brand, self._wanted = desk, reports, brand, wanted
        self._throttle = Throttle(_HITS)

    def open(self, request: Request, name: str) -> None:
        parts = split_tracked_link(f"{name}.{TRAP}")
        try:
            view = self._look(parts[0]) if parts is not None else None
            if view is not None and view.opens:
                self._record(request, view, ReceiptKind.OPENED, {})
        except DatabaseUnavailable as error:
            log.warning("web.unanswered", part="opens", reason=type(error).__name__)

    def follow(self, request: Request, name: str) -> Response:
        parts = split_tracked_link(name)
        if parts is None:
            return self._message(request, State.UNKNOWN)
        token, number = parts
        try:
            view = self._look(token)
            if view is not None and number == TRAP and view.clicks:
                self._desk.trap(link_digest(token))
        except DatabaseUnavailable as error:
            log.warning("web.unanswered", part="clicks", reason=type(error).__name__)
            return self._message(request, State.AWAY)
        target = _target(view, token, number)
        if view is None or target is None:
            return self._message(request, State.UNKNOWN)
        if view.clicks:
            self._record_if_possible(request, view, int(number), target)
        headers = {"cache-control": "no-store", "referrer-policy": "no-referrer"}
        return RedirectResponse(target, status_code=302, headers=headers)

    def _look(self, token: str) -> TrackedView | None:
        """Return what is known of a mail, and what of it may be told now."""
        view = self._desk.look(link_digest(token))
        if view is None:
            return None
        wanted = self._wanted.get(view.tenant) or Tracking()
        return replace(view, opens=view.opens and wanted.opens, clicks=view.clicks and wanted.clicks)

    def _record_if_possible(self, request: Request, view: TrackedView, number: int, target: str) -> None:
        """Record it; whoever follows a link gets there although nobody could write it down."""
        try:
            self._record(request, view, ReceiptKind.CLICKED, {"link": number, "url": target})
        except DatabaseUnavailable as error:
            log.warning("web.unanswered", part="clicks", reason=type(error).__name__)

    def _record(
        self, request: Request, view: TrackedView, kind: ReceiptKind, detail: dict[str, Json]
    ) -> None:
        client = client_of(request)
        if view.message_id is None or not self._throttle.is_open(client):
            return
        self._throttle.count(client)
        now = datetime.now(UTC)
        headers = request.headers
        verdict = judge(
            Hit(
                method=request.method,
                user_agent=headers.get("user-agent", ""),
                purpose=headers.get("sec-purpose", "") + headers.get("purpose", ""),
                since_sent=now - view.sent_at if view.sent_at is not None else None,
                since_trap=now - view.trapped_at if view.trapped_at is not None else None,
            )
        )
        bucket = int(now.timestamp() // _BUCKET.total_seconds())
        told = Receipt(
            kind=kind,
            at=now,
            source=SOURCE,
            key=f"{kind.value}:{view.message_id}:{detail.get('link', '')}:{verdict.value}:{bucket}",
            message=view.message_id,
            detail={**detail, "verdict": verdict.value},
        )
        self._reports.hand_in(SOURCE, [told])

    def _message(self, request: Request, state: State) -> HTMLResponse:
        languages = request.headers.get("accept-language", "")
        shown = page(state, None, brand=self._brand, titles={}, languages=languages)
        return HTMLResponse(shown, status_code=state.code, headers=HEADERS)


def _target(view: TrackedView | None, token: str, number: str) -> str | None:
    """Return where a link led in the mail; nothing a visitor writes into it counts but its number."""
    if view is None or number == TRAP:
        return None
    try:
        targets: list[str] = orjson.loads(DataKey(link_seal_key(token), b"").unseal(view.targets, b"targets"))
    except (CannotUnseal, ValueError):
        return None
    return targets[int(number)] if int(number) < len(targets) else None
