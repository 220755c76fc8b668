"""Measure, each minute, how sending goes for every tenant, type and channel, and make events of what is worth a look.

Judges nothing: rules do (``config/rules/operations.yaml``). Without a rule that asks, nothing is measured.
"""

from datetime import datetime, timedelta

from notifier.catalog import Catalog
from notifier.clock import Clock
from notifier.events import DEFAULT_TENANT, Event, Urgency
from notifier.logs import get_logger
from notifier.pipeline.incoming import Incoming
from notifier.pipeline.planning.decide import Decider
from notifier.rules.ruleset import RuleSet
from notifier.store import heartbeats
from notifier.store.database import Connection, Database
from notifier.store.measures import Measure, measure

log = get_logger("sweep")

TYPE = "notifier.delivery.measured"
WINDOW = timedelta(minutes=15)
"""What is counted: the messages made so long before."""
_EVERY = timedelta(minutes=1)
_LATE_SECONDS = 60
"""A message that waited no longer is worth no event."""


class Measurer:
    """Makes the events."""

    def __init__(
        self, *, database: Database, decider: Decider, catalog: Catalog, rules: RuleSet, clock: Clock
    ) -> None:
        self._database, self._decider, self._catalog, self._clock = database, decider, catalog, clock
        self._is_asked = TYPE in catalog and bool(rules.rules_for(TYPE))
        self._looked_at: datetime | None = None

    def run(self) -> set[tuple[str, str]]:
        """Measure, where a minute has passed since anybody did; return the (channel, lane) pairs with new work."""
        now = self._clock.now()
        if not self._is_asked or (self._looked_at is not None and now - self._looked_at < _EVERY):
            return set()
        self._looked_at = now
        return self._database.retrying(lambda connection: self._measure(connection, now))

    def _measure(self, connection: Connection, now: datetime) -> set[tuple[str, str]]:
        if not heartbeats.is_older(connection, "measured", _EVERY * 0.9):
            return set()
        heartbeats.beat(connection, "measured")
        found = [one for one in measure(connection, now - WINDOW) if _is_worth_a_look(one)]
        if not found:
            return set()
        flows = self._decider.run(connection, [self._event(one, now) for one in found], now).flows
        log.info("sweep.measured", types=len(found))
        return flows

    def _event(self, one: Measure, now: datetime) -> Incoming:
        minute = now.replace(second=0, microsecond=0)
        data = {
            "tenant": one.tenant,
            "type": one.type,
            "channel": one.channel,
            "minutes": int(WINDOW / timedelta(minutes=1)),
            "total": one.total,
            "failed": one.failed,
            "bounced": one.bounced,
            "complained": one.complained,
            "failure_rate": round((one.failed + one.bounced) / one.total, 4),
            "waiting": one.waiting,
            "oldest_seconds": one.oldest_seconds,
        }
        event = Event(
            # Two sweeps that measure the same minute say the same: the second is a duplicate.
            id=f"{one.tenant}/{one.type}/{one.channel}@{minute.isoformat()}",
            source="notifier",
            type=TYPE,
            subject=f"{one.tenant}/{one.type}/{one.channel}",
            time=now,
            data=data,
            tenant=DEFAULT_TENANT,
        )
        entry = self._catalog.check(TYPE, data)
        return Incoming(event=event, entry=entry, lane=Urgency(entry.urgency), at=now)


def _is_worth_a_look(one: Measure) -> bool:
    """Tell whether something failed or waits; once that is over for a window, an alert ends by itself."""
    return bool(one.failed or one.bounced or one.complained) or one.oldest_seconds > _LATE_SECONDS
