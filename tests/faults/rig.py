"""A whole notifier in real processes, a proxy on every line, and the means to break any of it.

Time limits are short, so that what takes minutes in production takes seconds here. The laws are the same.
"""

import contextlib
import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Self
from uuid import uuid4

import psycopg
import redis
from psycopg import sql
from sqlalchemy.engine import make_url

from notifier.client.outbox import install
from notifier.client.wire import OUTBOX_TABLE, stream_key
from notifier.embedded import stack as stack_module
from notifier.embedded.proxy import Mode, Proxy
from notifier.embedded.stack import DATABASE, Stack, Urls
from notifier.embedded.supervisor import Backoff, Supervisor
from notifier.events import LANES
from tests.faults.ledger import Allowance, Ledger, Promises, Rows, Way, read_rows
from tests.faults.producers import Producers
from tests.faults.recording_sink import RecordingSink

ROOT = Path(__file__).parent.parent.parent
SENDERS = ("urgent", "deliver")
"""The processes that hold connections to a provider."""
PROCESSES = ("core", *SENDERS, "beat")
CONNECTIONS = 3
"""From one process to the relay."""

LIMITS = {
    "NOTIFIER_TUNING__CLAIM_LEASE": "2s",
    "NOTIFIER_TUNING__CLAIM_IDLE": "1s",
    "NOTIFIER_TUNING__LEASE_MARGIN": "1500ms",
    "NOTIFIER_TUNING__DATABASE_TIMEOUT": "5s",
    "NOTIFIER_TUNING__INGEST_BATCH": "20",
    "NOTIFIER_TUNING__DELIVER_CHUNK": "8",
    "NOTIFIER_DELIVERY__NORMAL__FIRST": "1s",
    "NOTIFIER_DELIVERY__URGENT__FIRST": "1s",
    "NOTIFIER_DELIVERY__BULK__FIRST": "1s",
    "NOTIFIER_RELAYS__DEFAULT__HOST": "127.0.0.1",
    "NOTIFIER_RELAYS__DEFAULT__SECURITY": "none",
    "NOTIFIER_RELAYS__DEFAULT__CONNECTIONS": str(CONNECTIONS),
    "NOTIFIER_RELAYS__DEFAULT__CONNECT_TIMEOUT": "400ms",
    "NOTIFIER_RELAYS__DEFAULT__LOGIN_TIMEOUT": "1s",
    "NOTIFIER_RELAYS__DEFAULT__COMMAND_TIMEOUT": "400ms",
    "NOTIFIER_RELAYS__DEFAULT__DATA_TIMEOUT": "400ms",
    # Generous: a busy machine must not make an outcome unknown that no fault of ours did.
    "NOTIFIER_RELAYS__DEFAULT__DOT_TIMEOUT": "2s",
    "NOTIFIER_LOG_LEVEL": "WARNING",
}


class Rig:
    """Servers, workers, proxies and the sink; one set for many runs, each with a source of its own."""

    def __init__(self, folder: Path, *, sabotage: str = "") -> None:
        self.folder, self.sabotage = folder, sabotage
        self.stack = Stack(folder, durable=False)
        self.stack.supervisor = Supervisor(backoff=Backoff(first=0.05, ceiling=0.5))
        self.sink = RecordingSink(*SENDERS)
        self.proxies: dict[str, Proxy] = {}
        self.kills = 0
        self._urls: Urls | None = None
        self._shop = ""

    def start(self) -> Self:
        """Start everything."""
        urls = self._urls = self.stack.start_servers()
        self._shop = _make_shop(urls)
        self.proxies = {
            "postgres": Proxy(self.stack.postgres.port).start(),
            "valkey": Proxy(self.stack.valkey.port).start(),
        }
        self.sink.__enter__()
        self.proxies |= {name: Proxy(self.sink.ports[name]).start() for name in SENDERS}
        self.stack.env |= LIMITS | {
            "NOTIFIER_DATABASE_URL": self._through("postgres", urls.worker),
            "NOTIFIER_REDIS_URL": self._through("valkey", urls.redis),
            "NOTIFIER_OUTBOXES": f'["{self._through("postgres", self._shop)}"]',
            "NOTIFIER_CONFIG_DIR": str(ROOT / "config"),
            "NOTIFIER_TEMPLATES_DIR": str(ROOT / "templates"),
            "PYTHONPATH": str(ROOT),
        }
        if self.sabotage:
            self.stack.env["NOTIFIER_TEST_SABOTAGE"] = self.sabotage
            stack_module.CELERY = (*stack_module.CELERY[:-1], "tests.faults.sabotaged")
        for name in PROCESSES:
            self.launch(name)
        self.await_ready()
        return self

    def stop(self) -> None:
        """Stop everything; the processes without grace, which they must bear anyway."""
        for name in tuple(self.stack.supervisor.alive()):
            self.drop(name)
        for proxy in self.proxies.values():
            proxy.stop()
        self.sink.__exit__()
        self.stack.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def launch(self, process: str, name: str | None = None) -> None:
        """Start one of the processes, under another name if one is given."""
        stack, label = self.stack, name or process
        line = self.proxies.get(process, self.proxies["deliver"])
        env = {"NOTIFIER_RELAYS__DEFAULT__PORT": str(line.port)}
        if process == "core":
            stack.core(label, env=env)
        elif process == "urgent":
            stack.urgent(label, CONNECTIONS, env=env)
        elif process == "deliver":
            stack.deliver(label, CONNECTIONS, env=env)
        else:
            stack.beat(label)

    def drop(self, name: str) -> None:
        """End a process for good."""
        self.stack.supervisor.kill(name)
        self.stack.supervisor.stop(name)

    def await_ready(self, *names: str) -> None:
        """Wait until the processes that were started last take work; all of them, unless some are named."""
        for name in names or tuple(self.stack.supervisor.alive()):
            self.await_true(partial(self._is_ready, name), f"{name} is ready", timeout=60)

    @contextlib.contextmanager
    def load(self, *, rate: float = 60.0) -> Iterator[Producers]:
        """Let producers hand over events, under a source of their own, until the context ends."""
        with Producers(f"run-{uuid4().hex[:8]}", self.ways, rate=rate) as producers:
            yield producers

    @property
    def ways(self) -> Mapping[Way, str]:
        """Where producers hand events over: straight to the servers, past the proxies."""
        assert self._urls is not None
        return {Way.STREAM: self._urls.redis, Way.DURABLE: self._urls.redis, Way.OUTBOX: self._shop}

    def kill(self, *names: str) -> int:
        """Kill -9 processes; return how many connections to the relay they held at the most."""
        held = 0
        for name in names:
            self.await_true(partial(self._pid, name), f"{name} is up")
            torn = self.sink.torn[name]
            held_before = self.sink.open_now(name) if name in SENDERS else 0
            self.stack.supervisor.kill(name)
            self.kills += 1
            if name in SENDERS:
                self.await_true(partial(self._is_gone, name), f"{name} is gone")
                held += max(held_before, self.sink.torn[name] - torn)
        return held

    def break_line(self, name: str, mode: Mode, **how: float) -> None:
        """Cut, stop or slow the lines to a server; the relay has one per sending process."""
        for one in SENDERS if name == "relay" else (name,):
            self.proxies[one].set_mode(mode, **how)

    def mend(self) -> None:
        """Undo every fault: lines pass, servers run, processes are up."""
        for proxy in self.proxies.values():
            proxy.set_mode(Mode.PASS)
        self.stack.valkey.start()
        self.stack.postgres.start()
        self.await_ready()

    def books(self, promises: Promises, allowance: Allowance | None = None) -> Ledger:
        """Return the ledger of one run as it stands now."""
        mails = [mail for mail in list(self.sink.mails) if mail.event.startswith(promises.source)]
        return Ledger(
            promises=promises, rows=self.rows(promises), mails=mails, allowance=allowance or Allowance()
        )

    def settle(
        self, promises: Promises, allowance: Allowance | None = None, *, timeout: float = 60.0
    ) -> Ledger:
        """Wait until nothing is left to do, or the time is over, and return the ledger."""
        deadline = time.monotonic() + timeout
        while not (self._is_quiet() and self.rows(promises).is_settled) and time.monotonic() < deadline:
            time.sleep(0.1)
        return self.books(promises, allowance)

    def rows(self, promises: Promises) -> Rows:
        """Return what the database says of one run."""
        return read_rows(self.stack.postgres.url(DATABASE), promises.source)

    def await_true(self, condition: Callable[[], object], what: str, *, timeout: float = 30.0) -> None:
        """Poll until the condition holds."""
        deadline = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < deadline, f"waited {timeout:g} s, but not: {what}"
            time.sleep(0.01)

    def await_mails(self, promises: Promises, count: int = 1, *, timeout: float = 60.0) -> None:
        """Wait until so many mails of the run are out: the load is flowing."""
        self.await_true(
            lambda: sum(mail.event.startswith(promises.source) for mail in list(self.sink.mails)) >= count,
            f"{count} mails are out",
            timeout=timeout,
        )

    def _pid(self, name: str) -> int | None:
        return self.stack.supervisor.pid(name)

    def _is_ready(self, name: str) -> bool:
        """Tell by the file in which a worker says how it is; a beat has none."""
        pid = self._pid(name)
        if name.startswith("beat"):
            return pid is not None
        return (self.folder / "health" / f"{name}-{pid}.json").exists()

    def _is_gone(self, name: str) -> bool:
        """Tell whether the sink has seen the end of a dead process's connections, or a new one is up."""
        return self.sink.open_now(name) == 0 or self._pid(name) is not None

    def _is_quiet(self) -> bool:
        with contextlib.closing(redis.Redis.from_url(self.ways[Way.STREAM])) as client:
            if any(client.xlen(stream_key(lane)) for lane in LANES):
                return False
        with psycopg.connect(self._shop) as connection:
            row = connection.execute(
                sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(OUTBOX_TABLE))
            ).fetchone()
        return row == (0,)

    def _through(self, proxy: str, url: str) -> str:
        parts = make_url(url).set(port=self.proxies[proxy].port)
        return parts.render_as_string(hide_password=False)


def some_moment(most: float = 0.6) -> None:
    """Wait for a random moment, so that a fault hits anywhere."""
    time.sleep(random.uniform(0.0, most))


@contextlib.contextmanager
def a_rig(sabotage: str = "") -> Iterator[Rig]:
    """Run a rig in a folder of its own, kept if ``NOTIFIER_TEST_KEEP`` is set."""
    folder = Path(tempfile.mkdtemp(prefix="notifier-faults-"))
    try:
        with Rig(folder, sabotage=sabotage) as rig:
            yield rig
    finally:
        if os.environ.get("NOTIFIER_TEST_KEEP"):
            print(f"kept {folder}")  # noqa: T201 - asked for
        else:
            shutil.rmtree(folder, ignore_errors=True)


def _make_shop(urls: Urls) -> str:
    """Make a producer's database with an outbox on the same server."""
    with psycopg.connect(urls.admin, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE shop"))
    shop = make_url(urls.admin).set(database="shop").render_as_string(hide_password=False)
    install(shop)
    return shop
