"""Run the HTTP application until told to stop."""

import uvicorn

from notifier import logs
from notifier.bootstrap import Services
from notifier.logs import get_logger
from notifier.web.app import create_app

log = get_logger("web")

_GRACE = 5


def serve(
    services: Services, *, host: str | None = None, port: int | None = None, openapi: bool = False
) -> None:
    """Listen until SIGTERM or Ctrl-C; requests under way get a few seconds to end.

    Args:
        services: What the application works with.
        host: The settings' ``web_host`` unless given.
        port: The settings' ``web_port`` unless given.
        openapi: Serve ``/openapi.json``.
    """
    settings = services.settings
    logs.configure("web", level=settings.log_level)
    address = (host or settings.web_host, port if port is not None else settings.web_port)
    log.info("web.starting", host=address[0], port=address[1])
    try:
        uvicorn.run(
            create_app(services, openapi=openapi), host=address[0], port=address[1], log_config=None,
            access_log=False, server_header=False, date_header=True, timeout_graceful_shutdown=_GRACE,
        )  # fmt: skip
    finally:
        services.close()
