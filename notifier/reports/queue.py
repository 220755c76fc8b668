"""Tell what waits in each flow, how fast it may go or goes, and when it will be gone.

Reads; changes nothing. What a limit says is exact, what was measured is a guess.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from notifier.delivery.destinations import WHOLE_RELAY
from notifier.delivery.outlook import Drain, drains_at
from notifier.ids import uuid7_floor
from notifier.pipeline.throttling import Throttling
from notifier.store import backlogs, throttles
from notifier.store.backlogs import FlowBacklog
from notifier.store.database import Connection
from notifier.store.throttles import Standing

_LATELY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueLine:
    """One flow; ``rate`` in messages a second, None where nobody can say."""

    relay: str
    channel: str
    lane: str
    destination: str
    waiting: int
    due: int
    tenants: int
    rate: float | None
    rate_is: str
    """``limit``, ``measured`` over the last minute, or nothing."""
    rests_until: datetime | None
    drains_at: datetime | None


def queue_lines(connection: Connection, throttling: Throttling, now: datetime) -> list[QueueLine]:
    """Return a line for each flow that has something waiting, the longest first."""
    rows = backlogs.flow_backlogs(connection)
    facts = _Facts(
        standing=throttles.standing(connection),
        rests=backlogs.rests(connection),
        recent=backlogs.sent_since(connection, uuid7_floor(now - _LATELY)),
        totals=_totals(rows),
    )
    return [_line(row, facts, throttling, now) for row in rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    """What is known of the relays: limits, rests, mails sent lately, and all that waits for each."""

    standing: Standing
    rests: dict[tuple[str, str], datetime]
    recent: dict[str, int]
    totals: Counter[str]


def _totals(rows: Sequence[FlowBacklog]) -> Counter[str]:
    totals: Counter[str] = Counter()
    for row in rows:
        totals[row.relay] += row.waiting
    return totals


def _line(row: FlowBacklog, facts: _Facts, throttling: Throttling, now: datetime) -> QueueLine:
    total = facts.totals[row.relay]
    own = throttling.rate(facts.standing, row.relay, row.destination)
    whole = throttling.rate(facts.standing, row.relay, WHOLE_RELAY)
    drains = [Drain(waiting=row.waiting, rate=own)] if own else []
    drains += [Drain(waiting=total, rate=whole)] if whole else []
    rate_is, rate = "limit", min((one.rate for one in drains), default=None)
    if rate is None and (sent := facts.recent.get(row.relay, 0)):
        rate_is, rate = "measured", sent / _LATELY.total_seconds()
        drains = [Drain(waiting=total, rate=rate)]
    keys = ((row.relay, row.destination), (row.relay, WHOLE_RELAY))
    until = max((facts.rests[key] for key in keys if key in facts.rests), default=None)
    return QueueLine(
        relay=row.relay, channel=row.channel, lane=row.lane, destination=row.destination, waiting=row.waiting,
        due=row.due, tenants=row.tenants, rate=rate, rate_is=rate_is if rate else "", rests_until=until,
        drains_at=drains_at(now, drains, until),
    )  # fmt: skip
