"""Run the catcher: SMTP and its page in one process, until SIGTERM or Ctrl-C."""

import asyncio
from collections.abc import Mapping
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
) -> None:
    """Serve until told to stop."""
    asyncio.run(_run(host, smtp_port, http_port, Mailbox(directory), Behaviours(table)))


async def _run(host: str, smtp_port: int, http_port: int, mailbox: Mailbox, behaviours: Behaviours) -> None:
    # SMTP first: whoever sees the page answer may send.
    smtp = await serve(mailbox, behaviours, host=host, port=smtp_port)
    config = uvicorn.Config(
        create_page(mailbox), host=host, port=http_port, log_level="warning", access_log=False,
        lifespan="off", timeout_graceful_shutdown=1,
    )  # fmt: skip
    try:
        await uvicorn.Server(config).serve()
    finally:
        smtp.close()
