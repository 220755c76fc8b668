"""Run the catcher: SMTP and its page in one process, until SIGTERM or Ctrl-C."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path

import uvicorn

from notifier.embedded.catcher.behaviours import TABLE, Behaviour, Behaviours
from notifier.embedded.catcher.mailbox import Mailbox
from notifier.embedded.catcher.page import create_page
from notifier.embedded.catcher.smtp import serve


def run(
    *,
    host: str,
    smtp_port: int,
    http_port: int,
    directory: Path | None,
    table: Mapping[str, Behaviour] = TABLE,
    tls: ssl.SSLContext | None = None,
) -> None:
    """Serve until told to stop."""
    mailbox = Mailbox(directory)
    asyncio.run(
        _run(
            partial(serve, mailbox, Behaviours(table), host=host, port=smtp_port, tls=tls),
            uvicorn.Config(
                create_page(mailbox), host=host, port=http_port, log_level="warning", access_log=False,
                lifespan="off", timeout_graceful_shutdown=1,
            ),
        )
    )  # fmt: skip


async def _run(listen: Callable[[], Awaitable[asyncio.Server]], page: uvicorn.Config) -> None:
    # SMTP first: whoever sees the page answer may send.
    smtp = await listen()
    try:
        await uvicorn.Server(page).serve()
    finally:
        smtp.close()
