"""Show caught mails on a page, and to tests as JSON.

A mail's HTML is hostile here: it is shown in a sandboxed frame that may load nothing.
"""

import base64
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, HTTPException, Request, Response
from fastapi.responses import HTMLResponse, PlainTextResponse
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.middleware.base import RequestResponseEndpoint
from starlette.middleware.trustedhost import TrustedHostMiddleware

from notifier.embedded.catcher.mailbox import Mail, Mailbox
from notifier.events import Json

_HERE = Path(__file__).parent
_PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; frame-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_MAIL_POLICY = (
    "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'; font-src data:; "
    "frame-ancestors 'self'"
)
# A name in DNS that points here must not let a web page read the mails (DNS rebinding).
_HOSTS = ("127.0.0.1", "localhost", "catcher")
_SHOWN = 200


def create_page(mailbox: Mailbox, *, hosts: tuple[str, ...] = _HOSTS) -> FastAPI:
    """Return the application."""
    app = FastAPI(title="Mail catcher", docs_url=None, redoc_url=None)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))
    app.middleware("http")(_harden)
    app.mount("/static", StaticFiles(directory=_HERE / "static"), name="static")
    app.include_router(_pages(mailbox))
    app.include_router(_api(mailbox))
    return app


def _pages(mailbox: Mailbox) -> APIRouter:
    router = APIRouter()
    templates = Environment(
        loader=FileSystemLoader(_HERE / "pages"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )

    def shown(name: str, **values: Any) -> HTMLResponse:
        return HTMLResponse(templates.get_template(name).render(**values))

    @router.get("/")
    async def list_page() -> HTMLResponse:
        return shown("list.html.j2", mails=mailbox.newest(limit=_SHOWN), total=mailbox.total)

    @router.get("/mails/{mail_id}")
    async def mail_page(mail_id: str) -> HTMLResponse:
        return shown("mail.html.j2", mail=_found(mailbox, mail_id))

    @router.get("/mails/{mail_id}/html")
    async def mail_html(mail_id: str) -> HTMLResponse:
        framed = _framed(_found(mailbox, mail_id))
        return HTMLResponse(framed, headers={"Content-Security-Policy": _MAIL_POLICY})

    @router.get("/mails/{mail_id}/raw")
    async def mail_raw(mail_id: str) -> PlainTextResponse:
        return PlainTextResponse(_found(mailbox, mail_id).raw)

    return router


def _api(mailbox: Mailbox) -> APIRouter:
    router = APIRouter(prefix="/api")

    @router.get("/mails")
    async def list_mails(to: str | None = None, limit: int | None = None) -> list[dict[str, Json]]:
        return [mail.to_json() for mail in mailbox.newest(to=to, limit=limit)]

    @router.delete("/mails", status_code=204)
    async def clear() -> None:
        mailbox.clear()

    @router.get("/mails/{mail_id}")
    async def one_mail(mail_id: str) -> dict[str, Json]:
        mail = _found(mailbox, mail_id)
        return mail.to_json() | {"text": mail.body("plain"), "html": mail.body("html")}

    @router.get("/total")
    async def total() -> dict[str, int]:
        return {"total": mailbox.total}

    return router


async def _harden(request: Request, call_next: RequestResponseEndpoint) -> Response:
    response = await call_next(request)
    response.headers.setdefault("Content-Security-Policy", _PAGE_POLICY)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


def _found(mailbox: Mailbox, mail_id: str) -> Mail:
    mail = mailbox.get(mail_id)
    if mail is None:
        raise HTTPException(404, "There is no such mail; it may have been deleted.")
    return mail


def _framed(mail: Mail) -> str:
    html = mail.body("html") or ""
    for cid, kind, content in mail.images():
        html = html.replace(f"cid:{cid}", f"data:{kind};base64,{base64.b64encode(content).decode()}")
    return html
