"""One stage of notifier in a process of its own, without Celery: quick to start, dead like any other.

For tests that need a kill at one exact moment; the rig's kills come at random ones.
"""

import contextlib
import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from uuid import uuid4

from notifier.bootstrap import Services
from notifier.client import Client
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


def relay_of(sink: RecordingSink) -> dict[str, object]:
    """Return settings of the sink as a relay whose sending lease is five seconds."""
    return {
        "host": "127.0.0.1", "port": sink.ports[SINK], "security": "none", "connections": 8,
        "connect_timeout": "200ms", "login_timeout": "400ms", "command_timeout": "400ms",
        "data_timeout": "200ms", "dot_timeout": "1s",
    }  # fmt: skip


@dataclass(slots=True)
class Bench:
    """A notifier run by hand, its ledger, and children that run a stage of it."""

    flow: Flow
    sink: RecordingSink
    url: str
    redis_url: str
    promises: Promises = field(default_factory=lambda: Promises(source=f"bench-{uuid4().hex[:8]}"))

    def enqueue(self, count: int, *, again: bool = False) -> None:
        """Hand over events by the stream; ``again`` sends the same ones once more."""
        ids = [f"{self.promises.source}-{number}" for number in range(count)]
        with Client(self.redis_url, source=self.promises.source) as client:
            client.enqueue_many(shipped(one, "normal") for one in ids)
        if not again:
            self.promises.asked |= dict.fromkeys(ids, Way.STREAM)
            self.promises.accepted |= dict.fromkeys(ids, Way.STREAM)
            self.promises.accepted_at |= dict.fromkeys(ids, time.monotonic())

    def ingest(self) -> None:
        """Ingest all that waits."""
        self.flow.services.ingest.run(Urgency.NORMAL)

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
        while time.monotonic() < deadline:
            services.sweep.run()
            for lane in LANES:
                services.ingest.run(lane)
            self.flow.deliver()
            rows = self.rows()
            if rows.is_settled and not any(services.intake.lengths().values()):
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


def await_true(condition: Callable[[], object], *, timeout: float = 30.0) -> None:
    """Poll until the condition holds."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout:g} s"
        time.sleep(0.002)


def _run(stage: str, settings: Settings, sabotage: str) -> None:
    apply(sabotage)
    services = Services(settings, process=f"child-{stage}")
    vars(services)["templates"] = shipped_templates()
    step = {"deliver": _deliver, "ingest": _ingest}[stage]
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
