"""Count what waits, by flow and by lane, and what went out lately; for people who look, not for the stages.

Domains with a flow of their own are told together: there may be many, and none has a name.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from notifier.store.database import Connection


@dataclass(frozen=True, slots=True)
class FlowBacklog:
    """What waits for one destination over one relay."""

    relay: str
    channel: str
    lane: str
    destination: str
    waiting: int
    """Ready, now or later."""
    due: int
    tenants: int
    last_due: datetime


def flow_backlogs(connection: Connection) -> list[FlowBacklog]:
    """Return what waits, the most first; not what is paused with its tenant or held for a person."""
    rows = connection.execute(
        """SELECT relay, channel, lane, CASE WHEN destination LIKE 'd:%' THEN 'own' ELSE destination END AS destination,
                  count(*), count(*) FILTER (WHERE due_at <= now()), count(DISTINCT tenant), max(due_at)
           FROM work WHERE state < 2 GROUP BY 1, 2, 3, 4 ORDER BY 5 DESC, 1, 2, 3, 4"""
    ).fetchall()
    return [FlowBacklog(*row) for row in rows]


def single_backlogs(connection: Connection) -> list[tuple[str, str, str, int]]:
    """Return (relay, lane, destination, how much waits) of the domains with a flow of their own."""
    rows = connection.execute(
        """SELECT relay, lane, destination, count(*) FROM work WHERE state < 2 AND destination LIKE 'd:%'
           GROUP BY relay, lane, destination"""
    ).fetchall()
    return [(row[0], row[1], row[2], row[3]) for row in rows]


def sent_since(connection: Connection, first: UUID) -> dict[str, int]:
    """Return how many messages each relay took since ``first``, the smallest id of that moment."""
    rows = connection.execute(
        "SELECT relay, count(*) FROM attempt WHERE id >= %s AND outcome = 'sent' GROUP BY relay", [first]
    ).fetchall()
    return {row[0]: row[1] for row in rows}


@dataclass(frozen=True, slots=True)
class ThrottleLevel:
    """A learned rate, and for how many seconds more the flow rests."""

    relay: str
    destination: str
    rate: float
    resting: float


def throttle_levels(connection: Connection) -> tuple[ThrottleLevel, ...]:
    """Return what the web role may see too: a function of the owner's reads it."""
    rows = connection.execute("SELECT relay, destination, rate, resting FROM notifier_throttles()")
    return tuple(ThrottleLevel(*row) for row in rows.fetchall())


def rests(connection: Connection) -> dict[tuple[str, str], datetime]:
    """Return (relay, destination) → until when it rests; destination ``*`` is the whole relay."""
    rows = connection.execute(
        """SELECT relay, destination, until FROM throttle WHERE until > now()
           UNION ALL
           SELECT relay, '*', greatest(until, tried_until) FROM relay_pause
           WHERE greatest(until, tried_until) > now()"""
    ).fetchall()
    found: dict[tuple[str, str], datetime] = {}
    for relay, destination, until in rows:
        key = (relay, destination)
        found[key] = max(until, found.get(key, until))
    return found


def backlog(connection: Connection) -> list[tuple[str, str, int, float]]:
    """Return (channel, lane, waiting, seconds the oldest due one has waited) of what is not held.

    What rests with its tenant waits, and is not late.
    """
    rows = connection.execute(
        """SELECT channel, lane, count(*),
                  coalesce(extract(epoch FROM now() - min(due_at) FILTER (WHERE state < 2 AND due_at <= now())),
                           0)::float8
           FROM work WHERE state < 3 GROUP BY channel, lane ORDER BY channel, lane"""
    ).fetchall()
    return [(row[0], row[1], row[2], row[3]) for row in rows]


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits on a channel and lane, over all tenants; ``oldest`` = seconds the oldest due one waited."""

    channel: str
    lane: str
    waiting: int
    held: int
    oldest: float


def all_backlogs(connection: Connection) -> list[Backlog]:
    """Return the totals that the web role may see too: a function of the owner's adds them up."""
    rows = connection.execute("SELECT channel, lane, waiting, held, oldest FROM notifier_backlog()")
    return [Backlog(*row) for row in rows.fetchall()]
