"""The links to unsubscribe: a POST asks, a GET only shows; one click is one POST (RFC 8058).

Knows tokens only as far as to look them up; what is asked for, the sweep carries out.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from email import message_from_bytes, policy
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse

from notifier.logs import get_logger
from notifier.settings import Settings
from notifier.store.database import DatabaseUnavailable
from notifier.store.person_links import PersonLinkDesk, PersonLinkView
from notifier.tokens import link_digest, split_person_link
from notifier.web.bodies import read_body
from notifier.web.link_frame import HEADERS
from notifier.web.throttle import Throttle, client_of
from notifier.web.unsubscribe_page import State, page, state_of

log = get_logger("web")

_PATIENCE = 3.0
"""Seconds to wait for the sweep, which comes each second."""
_STEP = 0.05
_GUESSES = 120
"""Wrong links of one client in a minute. What is pressed is not counted: one provider presses for many."""
_BODY_LIMIT = 8192
_KINDS = frozenset({"unsubscribe", "all", "undo"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a POST asks for, and whether a mail program asked it."""

    kind: str
    is_one_click: bool = False

    @property
    def how(self) -> str:
        """Return what is put on record."""
        return "one_click" if self.is_one_click else "page"


def unsubscribe_router(desk: PersonLinkDesk, settings: Settings, *, patience: float = _PATIENCE) -> APIRouter:
    """Make the endpoints."""
    router = APIRouter(tags=["links"], include_in_schema=False)
    pages = _Pages(desk, settings, patience)

    # Not async: it waits for the database, in a thread of its own.
    @router.api_route("/u/{text}", methods=["GET", "HEAD"], response_class=HTMLResponse)
    def show(request: Request, text: str) -> HTMLResponse:
        """Show what a link is for; changes nothing, whoever looks: scanners open every link."""
        return pages.answer(request, text, None)

    @router.post("/u/{text}", response_class=HTMLResponse)
    async def take(request: Request, text: str) -> HTMLResponse:
        """Unsubscribe at once; no cookie, no redirect, no second page (RFC 8058 §3.2)."""
        wanted = read_wanted(await read_body(request, _BODY_LIMIT), request.headers.get("content-type", ""))
        return await run_in_threadpool(pages.answer, request, text, wanted)

    return router


class _Pages:
    def __init__(self, desk: PersonLinkDesk, settings: Settings, patience: float) -> None:
        self._desk, self._settings, self._patience = desk, settings, patience
        self._throttle = Throttle(_GUESSES)

    def answer(self, request: Request, text: str, wanted: Wanted | None) -> HTMLResponse:
        client, view = client_of(request), None
        is_open = self._throttle.is_open(client)
        # Who guesses behind the same proxy, or at the same provider, must keep nobody from unsubscribing.
        if not is_open and not (wanted is not None and wanted.is_one_click):
            state = State.TOO_MANY
        else:
            try:
                view = self._look(text, wanted)
                state = state_of(view)
            except DatabaseUnavailable as error:
                log.warning("web.unanswered", part="unsubscribe", reason=type(error).__name__)
                state = State.AWAY
            if state is State.UNKNOWN:
                self._throttle.count(client)
                state = State.UNKNOWN if is_open else State.TOO_MANY
        retry = {"retry-after": "60"} if state in (State.TOO_MANY, State.AWAY) else {}
        shown = page(
            state,
            view,
            brand=self._settings.brand,
            titles=self._settings.categories,
            languages=request.headers.get("accept-language", ""),
            preferences=f"../p/{text}" if view is not None else "",
        )
        return HTMLResponse(shown, status_code=state.code, headers=HEADERS | retry)

    def _look(self, text: str, wanted: Wanted | None) -> PersonLinkView | None:
        parts = split_person_link(text)
        if parts is None:
            return None
        token, tag = parts
        digest = link_digest(token)
        view = self._desk.look(digest)
        if wanted is None or view is None or view.is_expired:
            return view
        ask = self._desk.ask(digest, wanted.kind, how=wanted.how, tag=tag)
        # What is asked is kept: a mail program need not wait for it.
        end = time.monotonic() + (0 if wanted.is_one_click or ask is None else self._patience)
        while ask is not None and not self._desk.answer(digest, ask).is_done and time.monotonic() < end:
            time.sleep(_STEP)
        return self._desk.look(digest)


def read_wanted(body: bytes | None, media_type: str) -> Wanted | None:
    """Return what a POST asks for; None where it asks for nothing: then the page is shown as it is."""
    fields = _fields(body, media_type) if body is not None else {}
    # Some end the body with a line break, which then is part of the last value.
    if fields.get("List-Unsubscribe", "").strip() == "One-Click":
        return Wanted(kind="unsubscribe", is_one_click=True)
    kind = fields.get("do", "")
    return Wanted(kind=kind) if kind in _KINDS else None


def _fields(body: bytes, media_type: str) -> Mapping[str, str]:
    """Return the fields of a form, in either of the two shapes RFC 8058 §3.1 allows."""
    if media_type.lower().startswith("multipart/form-data"):
        head = f"Content-Type: {media_type}\r\n\r\n".encode("latin-1", "replace")
        parts = message_from_bytes(head + body, policy=policy.HTTP)
        found = {}
        for part in parts.iter_parts() if parts.is_multipart() else ():
            name = part.get_param("name", header="content-disposition")
            if isinstance(name, str):
                found[name] = str(part.get_payload()).strip()
        return found
    try:
        return {name: values[-1] for name, values in parse_qs(body.decode(), max_num_fields=20).items()}
    except ValueError:
        return {}
