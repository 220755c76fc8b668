"""One stage of notifier in a process of its own, without Celery: quick to start, dead like any other.

For tests that need a kill at one exact moment; the rig's kills come at random ones.
"""

import contextlib
import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.process import BaseProcess
from uuid import uuid4

import psycopg
import redis

from notifier.bootstrap import Services
from notifier.client import Client
from notifier.embedded.proxy import Proxy
from notifier.errors import NotifierError
from notifier.events import LANES, Urgency
from notifier.messages import ChannelName
from notifier.settings import Settings
from tests.faults.ledger import Allowance, Ledger, Promises, Rows, Way, read_rows
from tests.faults.producers import shipped
from tests.faults.recording_sink import RecordingSink
from tests.faults.sabotage import apply
from tests.services import Flow, shipped_templates

SINK = "relay"
THREADS = 3
TIGHT = {
    "claim_lease": "1s",
    "claim_idle": "200ms",
    "lease_margin": "1ms",
    "ingest_batch": 20,
    "deliver_chunk": 10,
}
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload([__name__])
shipped_templates()


def relay_of(port: int, dot_timeout: str) -> dict[str, object]:
    """Return settings of a relay on a port of this machine, with short time limits."""
    return {
        "host": "127.0.0.1", "port": port, "security": "none", "connections": 8,
        "connect_timeout": "200ms", "login_timeout": "400ms", "command_timeout": "400ms",
        "data_timeout": "200ms", "dot_timeout": dot_timeout,
    }  # fmt: skip


@dataclass(slots=True)
class Bench:
    """A notifier run by hand, its ledger, and children that run a stage of it."""

    flow: Flow
    sink: RecordingSink
    line: Proxy
    """Stands before the sink."""
    url: str
    redis_url: str
    promises: Promises = field(default_factory=lambda: Promises(source=f"bench-{uuid4().hex[:8]}"))

    def enqueue(self, count: int, *, again: bool = False, way: Way = Way.STREAM, name: str = "") -> set[str]:
        """Hand over events and return their ids; ``again`` sends the same ones once more."""
        ids = [f"{self.promises.source}{name}-{number}" for number in range(count)]
        url, began = self.url if way is Way.OUTBOX else self.redis_url, time.monotonic()
        with Client(url, source=self.promises.source, durable=way is Way.DURABLE) as client:
            client.enqueue_many(shipped(one, "normal") for one in ids)
        if not again:
            self.promises.asked |= dict.fromkeys(ids, way)
            self.promises.accepted |= dict.fromkeys(ids, way)
            self.promises.handed_over_at |= dict.fromkeys(ids, began)
        return set(ids)

    def ingest(self) -> None:
        """Ingest all that waits."""
        self.flow.services.ingest.run(Urgency.NORMAL)

    def deliver(self) -> None:
        """Send one chunk."""
        self.flow.services.deliver.run(ChannelName.EMAIL, "normal")

    @contextlib.contextmanager
    def child(self, stage: str, sabotage: str = "") -> Iterator[BaseProcess]:
        """Run a stage in a process until the context ends; then kill it, if it is not dead yet."""
        process = _context.Process(
            target=_run, args=(stage, self.flow.services.settings, sabotage), daemon=True
        )
        process.start()
        try:
            yield process
        finally:
            process.kill()
            process.join()

    def recover(self, *, timeout: float = 15.0) -> None:
        """Do what the workers do, sweep first, until nothing is left or the time is over."""
        services, deadline = self.flow.services, time.monotonic() + timeout
        steps: list[Callable[[], object]] = [services.sweep.run, self.flow.deliver]
        steps += [partial(services.ingest.run, lane) for lane in LANES]
        steps += [one.drain for one in services.outboxes]
        while time.monotonic() < deadline:
            for step in steps:
                # A server is away, or does not obey: as patient as a worker.
                with contextlib.suppress(NotifierError, redis.RedisError):
                    step()
            if self.rows().is_settled and not any(services.intake.lengths().values()):
                return
            time.sleep(0.02)

    def rows(self) -> Rows:
        """Return what the database says."""
        return read_rows(self.url, self.promises.source)

    def books(self, allowance: Allowance | None = None) -> Ledger:
        """Return the ledger as it stands."""
        mails = [mail for mail in list(self.sink.mails) if mail.event.startswith(self.promises.source)]
        return Ledger(
            promises=self.promises,
            rows=self.rows(),
            mails=mails,
            allowance=allowance or Allowance(),
        )


MakeBench = Callable[..., Bench]


def await_true(condition: Callable[[], object], *, timeout: float = 30.0) -> None:
    """Poll until the condition holds."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout:g} s"
        time.sleep(0.002)


@contextlib.contextmanager
def held_ingest(url: str) -> Iterator[None]:
    """Let nobody store an event: what is read from a stream meanwhile waits at its commit."""
    with psycopg.connect(url) as lock:
        lock.execute("LOCK TABLE event_key IN ACCESS EXCLUSIVE MODE")
        yield


def is_over_within(seconds: float, call: Callable[[], object]) -> bool:
    """Tell whether a call ends in time, well or badly; a thread of its own may hang on."""
    thread = threading.Thread(target=_quietly, args=(call,), daemon=True)
    thread.start()
    thread.join(seconds)
    return not thread.is_alive()


def _quietly(call: Callable[[], object]) -> None:
    with contextlib.suppress(NotifierError):
        call()


def _run(stage: str, settings: Settings, sabotage: str) -> None:
    apply(sabotage)
    services = Services(settings, process=f"child-{stage}")
    vars(services)["templates"] = shipped_templates()
    step = {"deliver": _deliver, "ingest": _ingest, "sweep": _sweep, "track": _track}[stage]
    threads = [threading.Thread(target=_forever, args=(step, services)) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _forever(step: Callable[[Services], object], services: Services) -> None:
    while True:
        try:
            step(services)
        except NotifierError:  # a server is away: as patient as a worker
            time.sleep(0.05)
        time.sleep(0.01)


def _deliver(services: Services) -> object:
    return services.deliver.run(ChannelName.EMAIL, "normal")


def _ingest(services: Services) -> object:
    return services.ingest.run(Urgency.NORMAL)


def _sweep(services: Services) -> object:
    return services.sweep.run()


def _track(services: Services) -> object:
    return services.track.run()
