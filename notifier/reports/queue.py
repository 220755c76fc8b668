"""Tell what waits in each flow, how fast it may go or goes, and when it will be gone.

Reads; changes nothing. What a limit says is exact, what was measured is a guess.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from notifier.delivery.destinations import WHOLE_RELAY
from notifier.delivery.outlook import Drain, drains_at
from notifier.events import LANES
from notifier.ids import uuid7_floor
from notifier.pipeline.relays.throttling import Throttling
from notifier.store import backlogs, throttles
from notifier.store.backlogs import FlowBacklog
from notifier.store.database import Connection
from notifier.store.throttles import Standing

_LATELY = timedelta(minutes=1)
_SINGLES = "own"
"""The domains with a flow of their own, told together."""
_RANKS = {lane.value: rank for rank, lane in enumerate(LANES)}


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
    has_singles = any(row.destination == _SINGLES for row in rows)
    facts = _Facts(
        standing=throttles.standing(connection),
        rests=backlogs.rests(connection),
        recent=backlogs.sent_since(connection, uuid7_floor(now - _LATELY)),
        rows=rows,
        singles=backlogs.single_backlogs(connection) if has_singles else (),
        throttling=throttling,
    )
    return [_line(row, facts, now) for row in rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    """What is known of the relays: limits, rests, mails sent lately, and all that waits for each."""

    standing: Standing
    rests: Mapping[tuple[str, str], datetime]
    recent: Mapping[str, int]
    rows: Sequence[FlowBacklog]
    singles: Sequence[tuple[str, str, str, int]]
    throttling: Throttling

    def rate(self, relay: str, destination: str) -> float | None:
        """Return the limit that holds, if any does."""
        return self.throttling.rate(self.standing, relay, destination)

    def ahead(self, row: FlowBacklog) -> Iterator[FlowBacklog]:
        """Return the flows of a relay that are as urgent or more, this one among them: they have their turn first."""
        return (one for one in self.rows if one.relay == row.relay and _RANKS[one.lane] <= _RANKS[row.lane])

    def groups(self, row: FlowBacklog) -> dict[str, int]:
        """Return the destinations of a line, with what waits for each and goes before its last message."""
        if row.destination != _SINGLES:
            waiting = sum(one.waiting for one in self.ahead(row) if one.destination == row.destination)
            return {row.destination: waiting}
        waiting_at: Counter[str] = Counter()
        for relay, lane, destination, count in self.singles:
            if relay == row.relay and _RANKS[lane] <= _RANKS[row.lane]:
                waiting_at[destination] += count
        return waiting_at


def _line(row: FlowBacklog, facts: _Facts, now: datetime) -> QueueLine:
    groups = facts.groups(row)
    drains = [
        Drain(waiting=waiting, rate=rate) for name, waiting in groups.items()
        if (rate := facts.rate(row.relay, name)) is not None
    ]  # fmt: skip
    if (whole := facts.rate(row.relay, WHOLE_RELAY)) is not None:
        drains.append(Drain(waiting=sum(one.waiting for one in facts.ahead(row)), rate=whole))
    rate_is = "limit"
    if not drains and (measured := _measured(row, facts)) is not None:
        rate_is, drains = "measured", [measured]
    slowest = max(drains, key=lambda one: one.waiting / one.rate, default=None)
    keys = [(row.relay, WHOLE_RELAY), *((row.relay, name) for name in groups)]
    until = max((facts.rests[key] for key in keys if key in facts.rests), default=None)
    return QueueLine(
        relay=row.relay, channel=row.channel, lane=row.lane, destination=row.destination, waiting=row.waiting,
        due=row.due, tenants=row.tenants, rate=slowest.rate if slowest else None,
        rate_is=rate_is if slowest else "", rests_until=until,
        drains_at=drains_at(now, drains, until, row.last_due),
    )  # fmt: skip


def _measured(row: FlowBacklog, facts: _Facts) -> Drain | None:
    """Return what goes by a relay besides the destinations that have limits, and what waits for it."""
    limited = {
        one.destination: rate for one in facts.rows
        if one.relay == row.relay and (rate := facts.rate(row.relay, one.destination)) is not None
    }  # fmt: skip
    free = facts.recent.get(row.relay, 0) / _LATELY.total_seconds() - sum(limited.values())
    waiting = sum(one.waiting for one in facts.ahead(row) if one.destination not in limited)
    return Drain(waiting=waiting, rate=free) if free > 0 else None
