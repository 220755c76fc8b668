"""Links by which people take charge: GET shows, POST asks, and the sweep carries it out within a second.

Changes nothing on GET: mail scanners and previews open every link they see.
"""

import time
from collections.abc import Callable

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from notifier.logs import get_logger
from notifier.store.ack_links import LinkDesk, LinkView
from notifier.store.database import DatabaseUnavailable
from notifier.tokens import ack_digest
from notifier.web.ack_page import HEADERS, State, page, state_of
from notifier.web.throttle import Throttle, client_of

log = get_logger("web")

_PATIENCE = 3.0
"""Seconds a POST waits for the sweep, so that its answer says what came of it."""
_STEP = 0.1
_LIMIT = 60
"""Wrong links and presses of one client in a minute."""


def ack_router(desk: LinkDesk, *, patience: float = _PATIENCE) -> APIRouter:
    """Make the endpoints."""
    router = APIRouter(tags=["links"], include_in_schema=False)
    throttle = Throttle(_LIMIT)

    # Not async: they wait for the database, each in a thread of its own.
    @router.get("/ack/{token}", response_class=HTMLResponse)
    def show(request: Request, token: str) -> HTMLResponse:
        """Show what a link is about; changes nothing."""
        return _answer(request, throttle, lambda: _look(desk, token))

    @router.post("/ack/{token}", response_class=HTMLResponse)
    def take(request: Request, token: str) -> HTMLResponse:
        """Take charge."""
        if throttle.is_open(client_of(request)):
            throttle.count(client_of(request))
        return _answer(request, throttle, lambda: _take(desk, token, patience))

    return router


def _answer(request: Request, throttle: Throttle, look: Callable[[], LinkView | None]) -> HTMLResponse:
    client, view = client_of(request), None
    if not throttle.is_open(client):
        state = State.TOO_MANY
    else:
        try:
            view = look()
            state = state_of(view)
        except DatabaseUnavailable as error:
            log.warning("web.unanswered", part="links", reason=type(error).__name__)
            state = State.AWAY
        if state is State.UNKNOWN:
            throttle.count(client)
    headers = HEADERS | ({"retry-after": "60"} if state in (State.TOO_MANY, State.AWAY) else {})
    languages = request.headers.get("accept-language", "")
    return HTMLResponse(page(state, view, languages=languages), status_code=state.code, headers=headers)


def _look(desk: LinkDesk, token: str) -> LinkView | None:
    digest = ack_digest(token)
    return desk.look(digest) if digest is not None else None


def _take(desk: LinkDesk, token: str, patience: float) -> LinkView | None:
    digest = ack_digest(token)
    view = desk.look(digest) if digest is not None else None
    if digest is None or view is None or state_of(view) not in (State.OPEN, State.FAILED):
        return view
    desk.ask(digest)
    end = time.monotonic() + patience
    while (view := desk.look(digest)) is not None and view.is_asked and time.monotonic() < end:
        time.sleep(_STEP)
    return view
