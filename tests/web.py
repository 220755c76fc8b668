"""The web process in a thread of the test, the sweep beside it, and what a page says; over real HTTP."""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI

from notifier.bootstrap import Services
from notifier.settings import Settings
from notifier.web.app import create_app
from tests.services import Flow


@contextmanager
def running(app: FastAPI) -> Iterator[httpx.Client]:
    """Run an application on a free port, in a thread."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def served(settings: Settings, **options: Any) -> Iterator[httpx.Client]:
    """Run the web process's application."""
    with running(create_app(Services(settings), **options)) as client:
        yield client


@contextmanager
def served_keyless(settings: Settings) -> Iterator[httpx.Client]:
    """Run it as it is run in production: without the master key and under its own role."""
    with served(settings.model_copy(update={"master_key": None})) as client:
        yield client


@contextmanager
def sweeping(part: Callable[[], object]) -> Iterator[None]:
    """Let a part of the sweep run beside, as it does each second, only oftener."""
    over = threading.Event()

    def sweep() -> None:
        while not over.wait(0.02):
            part()

    thread = threading.Thread(target=sweep)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def title(answer: httpx.Response) -> str:
    """Return what a page says first."""
    return answer.text.partition("<h1>")[2].partition("</h1>")[0]


def snapshot(flow: Flow) -> str:
    """Return a hash of everything stored but heartbeats."""
    tables = [
        row[0]
        for row in flow.query(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace "
            "AND relname NOT IN ('heartbeat', 'alembic_version') ORDER BY 1"
        )
    ]
    rows = [flow.query(f"SELECT t::text FROM {table} t ORDER BY 1") for table in tables]
    return hashlib.sha256(repr(rows).encode()).hexdigest()
