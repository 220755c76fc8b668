"""What every part of delivery works with, and the report of what it did."""

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar
from uuid import UUID

from notifier.broker.counters import Counters
from notifier.broker.wakeups import WakeUps
from notifier.clock import Clock
from notifier.delivery.policy import DeliveryPolicy
from notifier.messages import MessageStatus
from notifier.pipeline.composing.composer import Composer
from notifier.pipeline.composing.lookups import Lookups
from notifier.pipeline.relays.flows import Flows
from notifier.pipeline.relays.throttling import Throttling
from notifier.pipeline.sending.record import Outcome, Recorder
from notifier.setting_tables import Tuning
from notifier.store.database import Database, DatabaseUnavailable
from notifier.store.jobs import JobRow
from notifier.store.partitions import Partitions

ResultT = TypeVar("ResultT")

_PATIENCE_SECONDS = 0.1
TERMINAL_FAILURES = frozenset({MessageStatus.FAILED, MessageStatus.EXPIRED, MessageStatus.UNKNOWN})


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """The services of delivery, shared by its threads."""

    database: Database
    partitions: Partitions
    wake_ups: WakeUps
    counters: Counters
    composer: Composer
    recorder: Recorder
    flows: Flows
    throttling: Throttling
    lookups: Lookups
    policy: DeliveryPolicy
    clock: Clock
    tuning: Tuning
    stopping: threading.Event
    """Set on TERM: finish the message at hand, give the others back."""

    def insisting(self, record: Callable[[], ResultT]) -> ResultT:
        """Record what a provider said, again and again until the database is there: nobody else knows it.

        Raises:
            DatabaseUnavailable: it was still away when the process had to stop.
        """
        while True:
            try:
                return record()
            except DatabaseUnavailable:
                if self.stopping.wait(_PATIENCE_SECONDS):
                    raise


@dataclass(slots=True)
class Report:
    """What became of some messages: counts by outcome, and the ids of those that ended badly."""

    counts: Counter[str] = field(default_factory=Counter)
    failed: list[UUID] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    """Seconds from the event's arrival to the relay's acceptance."""
    events: list[str] = field(default_factory=list)
    """The ids of the messages' events: what ties the log lines of all processes together."""
    flows: Counter[str] = field(default_factory=Counter)
    """What was not simply sent, as ``/metrics`` counts it: by ``channel|outcome|lane``."""

    def sent(self, event: UUID, seconds: float) -> None:
        """Count one message that its relay took over."""
        self.counts[MessageStatus.SENT.value] += 1
        self.latencies.append(seconds)
        self.events.append(str(event))

    def add(self, message: UUID, row: JobRow | None, outcome: Outcome) -> None:
        """Count one message that was not simply sent; without a row where its event is gone."""
        self.counts[outcome.status.value] += 1
        if row is not None:
            self.events.append(str(row.event_id))
            self.flows[f"{row.channel}|{outcome.status.value}|{row.lane}"] += 1
        if outcome.is_final and outcome.status in TERMINAL_FAILURES:
            self.failed.append(message)
