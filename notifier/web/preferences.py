"""The links to choose what one is told: what is set comes from the worker, sealed; what is chosen goes there so.

A GET changes nothing that is set; the link's token is what lets its reader read and act.
"""

import time
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse

from notifier.crypto import DataKey
from notifier.logs import get_logger
from notifier.pipeline.people.preference_pages import open_view, sealed_form
from notifier.settings import Settings
from notifier.store.database import DatabaseUnavailable
from notifier.store.person_links import PersonLinkDesk, PersonLinkView
from notifier.tokens import link_digest, link_seal_key, split_person_link
from notifier.web.bodies import read_body
from notifier.web.link_frame import HEADERS, language_of
from notifier.web.page_words import page_words
from notifier.web.preference_page import preference_page, read_form
from notifier.web.throttle import Throttle, client_of
from notifier.web.unsubscribe_page import State, page

log = get_logger("web")

_PATIENCE = 4.0
"""Seconds to wait for the sweep, which comes each second."""
_STEP = 0.03
_LIMIT = 120
"""Pages of one client in a minute, and wrong links: each page is work for the sweep."""
_BODY_LIMIT = 65_536

Fields = dict[str, list[str]]


def preference_router(desk: PersonLinkDesk, settings: Settings, *, patience: float = _PATIENCE) -> APIRouter:
    """Make the endpoints."""
    router = APIRouter(tags=["links"], include_in_schema=False)
    pages = _Pages(desk, settings, patience)

    # Not async: it waits for the database, in a thread of its own.
    @router.api_route("/p/{text}", methods=["GET", "HEAD"], response_class=HTMLResponse)
    def show(request: Request, text: str) -> HTMLResponse:
        """Show what is set."""
        return pages.answer(request, text, None)

    @router.post("/p/{text}", response_class=HTMLResponse)
    async def save(request: Request, text: str) -> HTMLResponse:
        """Save what was chosen, and show what is set then."""
        body = await read_body(request, _BODY_LIMIT)
        return await run_in_threadpool(pages.answer, request, text, _fields(body))

    return router


class _Pages:
    def __init__(self, desk: PersonLinkDesk, settings: Settings, patience: float) -> None:
        self._desk, self._settings, self._patience = desk, settings, patience
        self._throttle = Throttle(_LIMIT)

    def answer(self, request: Request, text: str, fields: Fields | None) -> HTMLResponse:
        client = client_of(request)
        languages = request.headers.get("accept-language", "")
        view = None
        if not self._throttle.is_open(client):
            return self._message(State.TOO_MANY, None, languages)
        self._throttle.count(client)
        try:
            parts = split_person_link(text)
            view = self._desk.look(link_digest(parts[0])) if parts is not None else None
            state = _state_of(view)
            if state is not State.OPEN or view is None or parts is None:
                return self._message(state, view, languages)
            if request.method == "HEAD":
                return HTMLResponse("", headers=HEADERS)
            return self._page(parts, text, view, fields, languages)
        except DatabaseUnavailable as error:
            log.warning("web.unanswered", part="preferences", reason=type(error).__name__)
            return self._message(State.AWAY, view, languages)

    def _page(
        self, parts: tuple[str, str | None], text: str, view: PersonLinkView, fields: Fields | None, languages: str
    ) -> HTMLResponse:  # fmt: skip
        token, tag = parts
        language = language_of(page_words(), view.locale, languages)
        key = DataKey(link_seal_key(token), b"")
        form = sealed_form(key, read_form(fields, language)) if fields is not None else None
        kind = "show" if form is None else "save"
        ask = self._desk.ask(link_digest(token), kind, how="preferences", tag=tag, form=form)
        end = time.monotonic() + self._patience
        while ask is not None:
            answer = self._desk.answer(link_digest(token), ask)
            if answer.is_done or time.monotonic() > end:
                break
            time.sleep(_STEP)
        else:
            return self._message(State.TOO_MANY, view, languages)
        shown = open_view(key, answer.answer)
        if shown is None:
            is_noted = form is not None and not answer.is_done
            state = State.ASKED if is_noted else State.FAILED if answer.is_done else State.AWAY
            return self._message(state, view, languages)
        said = answer.outcome if answer.outcome in ("saved", "refused") else ""
        html = preference_page(
            shown, language=language, brand=self._settings.brand, titles=self._settings.categories,
            said=said or "", unsubscribe=f"../u/{text}",
        )  # fmt: skip
        return HTMLResponse(html, headers=HEADERS)

    def _message(self, state: State, view: PersonLinkView | None, languages: str) -> HTMLResponse:
        shown = page(
            state, view, brand=self._settings.brand, titles=self._settings.categories,
            languages=languages, is_offered=False,
        )  # fmt: skip
        retry = {"retry-after": "60"} if state in (State.TOO_MANY, State.AWAY) else {}
        return HTMLResponse(shown, status_code=state.code, headers=HEADERS | retry)


def _state_of(view: PersonLinkView | None) -> State:
    if view is None:
        return State.UNKNOWN
    if view.is_erased:
        return State.NEUTRAL
    return State.EXPIRED if view.is_expired else State.OPEN


def _fields(body: bytes | None) -> Fields:
    try:
        return parse_qs((body or b"").decode(), keep_blank_values=True, max_num_fields=2000)
    except ValueError:
        return {}
