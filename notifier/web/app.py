"""The HTTP application: liveness, readiness, metrics, links, SMS, callbacks; later parts add their routers here.

Every answer comes within seconds, whoever is away.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from notifier import __version__
from notifier.bootstrap import Services
from notifier.store import soundings
from notifier.store.ack_links import LinkDesk
from notifier.store.database import Database
from notifier.store.migrate import newest
from notifier.store.person_links import PersonLinkDesk
from notifier.store.reports import ReportDesk
from notifier.store.sms_in import SmsDesk
from notifier.store.tracked import TrackDesk
from notifier.web.acknowledge import ack_router
from notifier.web.believing import callback_desk
from notifier.web.broker import BrokerProbe
from notifier.web.callbacks import CallbackCounts, callbacks_router
from notifier.web.headers import SecurityHeaders
from notifier.web.inbound_sms import Gateway, sms_router
from notifier.web.metrics import render
from notifier.web.preferences import preference_router
from notifier.web.probes import Probe
from notifier.web.readiness import judge
from notifier.web.tracking import tracking_router
from notifier.web.unsubscribe import unsubscribe_router

_PATIENCE = 2.0
"""Seconds until a part counts as away; load balancers and Prometheus wait longer."""
_CONNECTIONS = 8


def create_app(services: Services, *, openapi: bool = False) -> FastAPI:
    """Make the application.

    Args:
        services: Whose settings say where database and Redis are.
        openapi: Serve the description of the API at ``/openapi.json``. There are no pages for it: they
            would load scripts from elsewhere.
    """
    settings = services.settings
    url = (settings.web_database_url or settings.database_url).get_secret_value()
    broker = BrokerProbe(settings.redis_url.get_secret_value(), within=_PATIENCE / 2)
    database = Database(url, size=_CONNECTIONS, timeout=timedelta(seconds=_PATIENCE), name="web")

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        broker.close()
        database.dispose()

    app = FastAPI(
        title="notifier", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None,
        openapi_url="/openapi.json" if openapi else None,
    )  # fmt: skip
    app.add_middleware(SecurityHeaders)
    callbacks = callback_desk(services, ReportDesk(database))
    app.include_router(_operations(url, broker, callbacks.counts, is_safe=settings.safe_mode is not None))
    app.include_router(callbacks_router(callbacks))
    app.include_router(ack_router(LinkDesk(database)))
    app.include_router(unsubscribe_router(PersonLinkDesk(database), settings))
    app.include_router(preference_router(PersonLinkDesk(database), settings))
    app.include_router(
        tracking_router(TrackDesk(database), ReportDesk(database), settings.brand, settings.tracking)
    )
    if (gateway := Gateway.of(settings)) is not None:
        app.include_router(sms_router(SmsDesk(database), gateway))
    return app


def _operations(url: str, broker: BrokerProbe, callbacks: CallbackCounts, *, is_safe: bool) -> APIRouter:
    router = APIRouter(tags=["operations"])
    within = timedelta(seconds=_PATIENCE)
    essentials = Probe("database", partial(soundings.essentials, url, within), within=_PATIENCE)
    totals = Probe("database", partial(soundings.sound, url, within), within=_PATIENCE)
    ping, view = Probe("redis", broker.ping, within=_PATIENCE), Probe("redis", broker.view, within=_PATIENCE)
    needed = newest()

    @router.get("/livez", response_class=PlainTextResponse)
    async def livez() -> str:
        """Tell that this process answers; asks nobody else."""
        return "alive\n"

    @router.get("/readyz")
    async def readyz() -> JSONResponse:
        """Tell whether everything the service needs is there: each check with its reason; 503 = no."""
        database, redis = await asyncio.gather(essentials.answer(), ping.answer())
        readiness = judge(database, redis, newest=needed)
        return JSONResponse(readiness.to_json(), status_code=200 if readiness.is_ready else 503)

    @router.get("/metrics")
    async def metrics(request: Request) -> Response:
        """Return the metrics in Prometheus' format."""
        database, redis = await asyncio.gather(totals.answer(), view.answer())
        page, media_type = render(
            database, redis, callbacks=callbacks.by_outcome, is_safe=is_safe,
            accept=request.headers.get("accept", ""),
        )  # fmt: skip
        return Response(page, headers={"content-type": media_type})

    return router
