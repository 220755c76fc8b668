"""What a worker does beside its tasks: watch the rules; in core, ring the bell, drain outboxes, answer asks.

Each loop only notices; what it notices is done by the stages. A loop that ends is no loss: the sweep finds
the same work, later.
"""

import threading
import time
from collections.abc import Callable
from datetime import timedelta

from notifier.bootstrap import Services
from notifier.broker.connection import BrokerUnavailable
from notifier.broker.lanes import has_lanes, publish_lanes
from notifier.broker.wakeups import WakeUp
from notifier.clock import Clock
from notifier.errors import KeyMissing
from notifier.events import Urgency
from notifier.health import Health
from notifier.logs import get_logger
from notifier.store.database import DatabaseUnavailable

log = get_logger("worker")

_PATIENCE = timedelta(seconds=2)
_ASK_INTERVAL = 0.05
_RULES_INTERVAL = 2.0
_LANES_SECONDS, _LANES_CHECK = 60.0, 1.0


class Loops:
    """The loops of one process, each a daemon thread."""

    def __init__(self, services: Services, health: Health) -> None:
        self._services, self._health = services, health
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self, *, takes_in: bool = True) -> None:
        """Start them all, or, in a process that takes no events in, the one that watches the rules."""
        loops: list[tuple[str, Callable[[], None]]] = [("rules", self._rules)]
        if takes_in:
            loops += [("doorbell", self._doorbell()), ("asks", self._asks)]
            loops += [(f"outbox-{n}", self._outbox(n)) for n in range(len(self._services.outboxes))]
        for name, step in loops:
            thread = threading.Thread(target=self._forever, args=(step,), name=name, daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Let each end its round."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(timeout=3)

    def _forever(self, step: Callable[[], None]) -> None:
        while not self._stopping.is_set():
            try:
                step()
            except (BrokerUnavailable, DatabaseUnavailable, KeyMissing) as error:
                self._health.waiting(str(error))
                self._stopping.wait(0.5)
            except Exception as error:  # noqa: BLE001 - a loop must outlive what it does not know
                log.error("worker.stumbled", error=type(error).__name__)
                self._stopping.wait(1.0)

    def _doorbell(self, patience: timedelta = _PATIENCE) -> Callable[[], None]:
        services, last = self._services, dict[Urgency, bytes]()
        lanes = _Lanes(services)

        def ring() -> None:
            lanes.publish()
            for lane in services.intake.wait(last, patience):
                services.wake_ups.ring(WakeUp("ingest", lane.value))
            # A burst needs one ring, not one per event.
            self._stopping.wait(0.002)

        return ring

    def _asks(self) -> None:
        services = self._services
        if not services.asks.wait(1):
            return
        for ask in services.asks.take(_seconds(services.clock)):
            try:
                result = services.answers.result(ask)
                if result is not None:
                    services.asks.answer(ask, result)
            except (BrokerUnavailable, DatabaseUnavailable):
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is, the other requests are not at fault
                log.error("worker.ask_dropped", error=type(error).__name__)
                services.asks.drop(ask)
        self._stopping.wait(_ASK_INTERVAL)

    def _outbox(self, number: int) -> Callable[[], None]:
        services = self._services
        pause = services.settings.tuning.outbox_interval.total_seconds()

        def drain() -> None:
            # Found anew each time: other rules make another one.
            services.outboxes[number].drain()
            self._stopping.wait(pause)

        return drain

    def _rules(self) -> None:
        """Look whether the files of the rules have changed."""
        rulebook = self._services.rulebook
        rulebook.look(self._services.adopt_rules)
        rulebook.note()
        self._stopping.wait(_RULES_INTERVAL)


class _Lanes:
    """The map of types to lanes, as clients find it: kept up, since Redis may lose its memory."""

    def __init__(self, services: Services) -> None:
        self._services, self._due, self._look = services, 0.0, 0.0

    def publish(self) -> None:
        """Publish the map when it is due, or gone."""
        now, client = time.monotonic(), self._services.redis
        if now < self._look:
            return
        if now >= self._due or not has_lanes(client):
            limit = self._services.settings.limits.intake_entries
            publish_lanes(client, self._services.catalog.lanes(), limit=limit)
            self._due = now + _LANES_SECONDS
        self._look = now + _LANES_CHECK


def _seconds(clock: Clock) -> float:
    return clock.now().timestamp()
