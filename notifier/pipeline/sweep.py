"""Sweep: find whatever is due or was left by the dead, and wake who takes care of it.

Runs each second, from any number of beats; everything it takes it takes with SKIP LOCKED.
"""

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

from notifier.broker.connection import BrokerUnavailable
from notifier.broker.counters import Counters
from notifier.broker.intake import Intake
from notifier.broker.wakeups import WakeUp, WakeUps
from notifier.errors import NotifierError
from notifier.events import LANES
from notifier.logs import get_logger
from notifier.pipeline.alerting.ack_links import AckRequests
from notifier.pipeline.alerting.inbound_sms import InboundSms
from notifier.pipeline.alerting.lapses import Lapses
from notifier.pipeline.incoming import WAITING_ERRORS
from notifier.pipeline.intake.ingest import Ingest
from notifier.pipeline.intake.timers import Timers
from notifier.pipeline.people.link_requests import LinkRequests
from notifier.pipeline.planning.groups import Groups
from notifier.pipeline.planning.releases import Releases
from notifier.pipeline.relays.failover import Failover
from notifier.pipeline.sending.settle import Settler
from notifier.pipeline.sending.tools import Report
from notifier.pipeline.tracking.measuring import Measurer
from notifier.pipeline.tracking.track import WAKE_UP, Track
from notifier.store import (
    ack_links,
    heartbeats,
    lanes,
    person_links,
    sms_in,
    throttles,
    tracked,
    upkeep,
    work,
)
from notifier.store.database import Database, DatabaseUnavailable

log = get_logger("sweep")

_UPKEEP = timedelta(hours=6)
_RELEARN_SECONDS = 60.0


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
        lapses: Lapses,
        groups: Groups,
        releases: Releases,
        measurer: Measurer,
        ack_requests: AckRequests,
        inbound_sms: InboundSms | None,
        failover: Failover,
        track: Track,
        link_requests: LinkRequests,
        grace: timedelta,
        counters: Counters | None = None,
    ) -> None:
        """``grace``: how long after an outage a worker may take to record what it knows."""
        self._database, self._intake, self._wake_ups = database, intake, wake_ups
        self._ingest, self._settler, self._timers = ingest, settler, timers
        self._lapses, self._groups, self._releases = lapses, groups, releases
        self._measurer, self._ack_requests = measurer, ack_requests
        self._inbound_sms, self._link_requests, self._track = inbound_sms, link_requests, track
        self._failover = failover
        self._counters, self._grace = counters, grace.total_seconds()
        self._running, self._told = threading.Lock(), ""
        self._forget_after = self._relearn_after = 0.0

    def run(self) -> Counter[str]:
        """Do one round; return what was found: nothing where another thread of this process does one already.

        Beat rings each second and sweeps go first: rounds that take long would take every thread. A part
        that stumbles does not stop the others: each is the safety net of somebody else.

        Raises:
            DatabaseUnavailable: there is nothing to sweep.
            DatabaseSlow: it was too slow for a part, after all others had their turn.
            KeyMissing: something that is due needs a key this process lacks, after all others had theirs.
        """
        if not self._running.acquire(blocking=False):
            return Counter()
        try:
            return self._round()
        finally:
            self._running.release()

    def _round(self) -> Counter[str]:
        found: Counter[str] = Counter()
        waiting: NotifierError | None = None
        parts: dict[str, Callable[[Counter[str]], None]] = {
            "timers": self._fire,
            "alerts": self._lapse,
            "asked": self._carry_out,
            "groups": self._speak,
            "held": self._release,
            "measured": self._measure,
            "unknown": self._settle_unknown,
            "expired": lambda found: self._settle("expired", self._settler.expired, found),
            "failover": self._fail_over,
            "work": self._wake,
            "intake": self._sweep_intake,
            "upkeep": self._beat,
        }
        for name, part in parts.items():
            try:
                part(found)
            except WAITING_ERRORS as error:
                waiting = error
                self._tell(name, error)
            except DatabaseUnavailable:
                raise
            except BrokerUnavailable:
                found["broker_away"] = 1
            except Exception as error:  # noqa: BLE001 - whatever it is, the other parts are not at fault
                found["stumbled"] += 1
                log.error("sweep.stumbled", part=name, error=type(error).__name__)
        if waiting is not None:
            raise waiting
        self._told = ""
        return +found

    def _tell(self, part: str, error: NotifierError) -> None:
        """Log what a part waits for, once and not each second."""
        reason = str(error)
        if reason != self._told:
            log.warning("sweep.waiting", part=part, reason=reason)
        self._told = reason

    def _fire(self, found: Counter[str]) -> None:
        found["timers"] = self._ring_flows(self._timers.fire())
        self._timers.check()

    def _lapse(self, found: Counter[str]) -> None:
        found["alerts"] = self._lapses.run()

    def _carry_out(self, found: Counter[str]) -> None:
        """Do what people asked for by link and SMS, and have reports read; most rounds there is none: one look tells.

        Who hands in a report about a message can wake nobody.
        """
        self._track.publish_key()
        with self._database.connection() as connection:
            has_asks, has_sms, has_wishes, has_reports = sms_in.has_waiting(connection)
        if has_reports:
            found["reports"] = self._wake_ups.ring(WAKE_UP)
        if has_asks:
            found["asked"] = self._ack_requests.run()
        if has_sms and self._inbound_sms is not None:
            found["sms"] = self._inbound_sms.run()
        if has_wishes:
            found["wishes"] = self._link_requests.run()

    def _speak(self, found: Counter[str]) -> None:
        oldest = None
        with contextlib.suppress(BrokerUnavailable):  # what is not known to wait is not waited for
            oldest = self._intake.oldest()
        found["groups"] = self._ring_flows(self._groups.speak(oldest))

    def _release(self, found: Counter[str]) -> None:
        found["held"] = self._ring_flows(self._releases.run())

    def _measure(self, found: Counter[str]) -> None:
        found["measured"] = self._ring_flows(self._measurer.run())

    def _settle_unknown(self, found: Counter[str]) -> None:
        """Decide about leases that ran out; not while those who could not renew or record them still may."""
        if time.monotonic() - self._database.away_at > self._grace:
            self._settle("unknown", self._settler.unknown, found)

    def _settle(self, name: str, settle: Callable[[], Report], found: Counter[str]) -> None:
        report = settle()
        found[name] = report.counts.total()
        # Nothing else would tell /metrics.
        if self._counters is not None and report.flows:
            self._counters.add(report.flows)

    def _fail_over(self, found: Counter[str]) -> None:
        found["handed_over"], flows = self._failover.run()
        self._ring_flows(flows)

    def _wake(self, found: Counter[str]) -> None:
        with self._database.connection() as connection:
            found["taken_back"] = work.take_back(connection)
            flows = lanes.lanes_with_work(connection)
        found["flows"] = self._ring_flows(set(flows))

    def _beat(self, found: Counter[str]) -> None:
        with self._database.connection() as connection:
            heartbeats.beat(connection, "sweep")
            if heartbeats.is_older(connection, "upkeep", _UPKEEP):
                heartbeats.make_partitions(connection)
                ack_links.prune_links(connection)
                person_links.prune(connection)
                tracked.prune(connection)
            # By this process's own clock: a look at the database each second would cost more than it saves.
            if time.monotonic() > self._forget_after:
                self._forget_after = time.monotonic() + _UPKEEP.total_seconds()
                self._releases.forget(connection)
                found["let_go"] = upkeep.let_go(connection)
            if time.monotonic() > self._relearn_after:
                self._relearn_after = time.monotonic() + _RELEARN_SECONDS
                throttles.forget(connection)

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
