"""Sweep: find whatever is due or was left by the dead, and wake who takes care of it.

Runs each second, from any number of beats; everything it takes it takes with SKIP LOCKED.
"""

from collections import Counter
from datetime import timedelta

from notifier.broker.connection import BrokerUnavailable
from notifier.broker.intake import Intake
from notifier.broker.wakeups import WakeUp, WakeUps
from notifier.events import LANES
from notifier.logs import get_logger
from notifier.pipeline.ingest import Ingest
from notifier.pipeline.settle import Settler
from notifier.pipeline.timers import Timers
from notifier.store import heartbeats, work
from notifier.store.database import Database

log = get_logger("sweep")

_UPKEEP = timedelta(hours=6)


class Sweep:
    """The sweep stage."""

    def __init__(
        self,
        *,
        database: Database,
        intake: Intake,
        wake_ups: WakeUps,
        ingest: Ingest,
        settler: Settler,
        timers: Timers,
    ) -> None:
        self._database, self._intake, self._wake_ups = database, intake, wake_ups
        self._ingest, self._settler, self._timers = ingest, settler, timers

    def run(self) -> Counter[str]:
        """Do one round; return what was found."""
        found: Counter[str] = Counter()
        found["timers"] = self._ring_flows(self._timers.fire())
        unknown, expired = self._settler.unknown(), self._settler.expired()
        found["unknown"] = unknown.counts.total()
        found["expired"] = expired.counts.total()
        with self._database.connection() as connection:
            found["taken_back"] = work.take_back(connection)
            flows = work.lanes_with_work(connection)
            heartbeats.beat(connection, "sweep")
            if heartbeats.is_older(connection, "upkeep", _UPKEEP):
                heartbeats.make_partitions(connection)
        found["flows"] = self._ring_flows(set(flows))
        try:
            self._sweep_intake(found)
        except BrokerUnavailable:
            found["broker_away"] = 1
        return +found

    def _sweep_intake(self, found: Counter[str]) -> None:
        for lane, length in self._intake.lengths().items():
            if length:
                found["intake"] += self._wake_ups.ring(WakeUp("ingest", lane.value))
        for lane in LANES:
            found["taken_over"] += self._ingest.take_over(lane).total()

    def _ring_flows(self, flows: set[tuple[str, str]]) -> int:
        for channel, lane in sorted(flows):
            self._wake_ups.ring(WakeUp("deliver", lane, channel))
        return len(flows)
