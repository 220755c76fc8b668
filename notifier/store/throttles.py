"""Keep which flows were told to slow down: how fast they may go since, and until when they rest.

Few rows, and mostly none: only flows that were refused for their rate have one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from notifier.delivery import aimd
from notifier.delivery.aimd import Pace
from notifier.delivery.destinations import WHOLE_RELAY
from notifier.store.database import Connection

_FORGOTTEN_AFTER = timedelta(hours=1)
_TOGETHER = timedelta(seconds=10)
_MANY = 3
"""Refused for so many destinations at a time, it is the relay itself that limits us."""

Flow = tuple[str, str]
"""Relay and destination."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttle:
    """A flow's learned pace."""

    pace: Pace
    is_resting: bool
    seconds: float
    """Since it last changed."""
    refused_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What is known against relays and flows."""

    relays: Mapping[str, tuple[bool, int]]
    """Relay → (must rest now, failures in a row)."""
    throttles: Mapping[Flow, Throttle]


def standing(connection: Connection) -> Standing:
    """Return which relays and flows rest or failed, in one look."""
    rows = connection.execute(
        """SELECT relay, '' AS destination, greatest(until, tried_until) > now(), failures, 0::float8, 0::float8,
                  0::float8, NULL::timestamptz FROM relay_pause
           UNION ALL
           SELECT relay, destination, until > now(), refusals, rate, step,
                  extract(epoch FROM now() - changed_at)::float8, refused_at FROM throttle""",
        prepare=True,
    ).fetchall()
    return Standing(
        relays={row[0]: (row[2], row[3]) for row in rows if not row[1]},
        throttles={
            (row[0], row[1]): Throttle(
                pace=Pace(rate=row[4], step=row[5], refusals=row[3]),
                is_resting=row[2],
                seconds=row[6],
                refused_at=row[7],
            )
            for row in rows
            if row[1]
        },
    )


def refuse(
    connection: Connection,
    flow: Flow,
    *,
    observed: float,
    hint: timedelta | None,
    reason: str,
    known: Mapping[Flow, Throttle] | None = None,
    is_alone: bool = False,
) -> tuple[str, float, timedelta]:
    """Note that a flow was refused for its rate.

    Refusals while it rests already, or of messages that were claimed before it was refused, are of the same round.

    Args:
        connection: To the database.
        flow: Which one.
        observed: How many messages a second it took just before.
        hint: How long the other side asked to wait.
        reason: For people.
        known: What was known when the message was claimed.
        is_alone: It says nothing of the relay's other flows.

    Returns:
        The destination that was slowed down, which is the whole relay where many were refused at a time, or it takes
        nothing already; its new rate; and how long it rests.
    """
    relay, destination = flow
    with connection.transaction():
        if destination != WHOLE_RELAY and not is_alone and _is_of_all(connection, relay, destination):
            destination = WHOLE_RELAY
        before = connection.execute(
            """SELECT rate, step, refusals, until > now(), refused_at FROM throttle
               WHERE relay = %s AND destination = %s FOR UPDATE""",
            [relay, destination],
        ).fetchone()
        seen = known.get((relay, destination)) if known is not None else None
        is_same_round = before is not None and (
            before[3] or (known is not None and (seen is None or before[4] > seen.refused_at))
        )
        pace = Pace(rate=before[0], step=before[1], refusals=before[2]) if before else None
        is_first = pace is None or not pace.refusals
        if pace is None or not is_same_round:
            pace = aimd.after_refusal(pace, observed)
        span = aimd.rest(pace, hint)
        connection.execute(
            """INSERT INTO throttle (relay, destination, rate, step, until, refusals, reason)
               VALUES (%s, %s, %s, %s, now() + %s, %s, %s)
               ON CONFLICT (relay, destination) DO UPDATE
               SET rate = excluded.rate, step = excluded.step, refusals = excluded.refusals, reason = excluded.reason,
                   until = greatest(throttle.until, excluded.until), refused_at = now(), changed_at = now(),
                   since = CASE WHEN %s THEN now() ELSE throttle.since END""",
            [relay, destination, pace.rate, pace.step, span, pace.refusals, reason, is_first],
        )
    return destination, pace.rate, span


def _is_of_all(connection: Connection, relay: str, destination: str) -> bool:
    """Say whether a destination's refusal is the whole relay's: many at a time, or nothing was taken since that was."""
    row = connection.execute(
        """SELECT count(*) FILTER (WHERE destination NOT IN ('*', %s) AND refused_at > now() - %s),
                  coalesce(bool_or(refusals > 0) FILTER (WHERE destination = '*'), false)
           FROM throttle WHERE relay = %s""",
        [destination, _TOGETHER, relay],
    ).fetchone()
    return row is not None and (row[0] >= _MANY - 1 or row[1])


def grow(connection: Connection, flow: Flow, before: Throttle, *, was_the_limit: bool) -> None:
    """Let a flow go faster, unless it was refused since it was read, or somebody else let it."""
    pace = aimd.after_success(before.pace, before.seconds, was_the_limit=was_the_limit)
    connection.execute(
        """UPDATE throttle SET rate = %s, refusals = 0, changed_at = now()
           WHERE relay = %s AND destination = %s AND rate = %s AND refusals = %s""",
        [pace.rate, *flow, before.pace.rate, before.pace.refusals],
    )


def forget(connection: Connection) -> int:
    """Let go of what was learned long ago; return how many flows are free again."""
    return connection.execute(
        "DELETE FROM throttle WHERE refused_at < now() - %s AND until < now()", [_FORGOTTEN_AFTER]
    ).rowcount
