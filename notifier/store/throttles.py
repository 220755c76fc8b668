"""Keep which flows were told to slow down: how fast they may go since, and until when they rest.

Few rows, and mostly none: only flows that were refused for their rate have one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

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
                  0::float8 FROM relay_pause
           UNION ALL
           SELECT relay, destination, until > now(), refusals, rate, step,
                  extract(epoch FROM now() - changed_at)::float8 FROM throttle""",
        prepare=True,
    ).fetchall()
    return Standing(
        relays={row[0]: (row[2], row[3]) for row in rows if not row[1]},
        throttles={
            (row[0], row[1]): Throttle(
                pace=Pace(rate=row[4], step=row[5], refusals=row[3]), is_resting=row[2], seconds=row[6]
            )
            for row in rows
            if row[1]
        },
    )


def refuse(
    connection: Connection, flow: Flow, *, observed: float, hint: timedelta | None, reason: str
) -> tuple[str, float, timedelta]:
    """Note that a flow was refused for its rate; refusals while it rests already are of the same round.

    Returns:
        The destination that was slowed down, which is the whole relay where many were refused at a time; its new
        rate; and how long it rests.
    """
    relay, destination = flow
    with connection.transaction():
        if destination != WHOLE_RELAY and _others(connection, relay, destination) >= _MANY - 1:
            destination = WHOLE_RELAY
        before = connection.execute(
            """SELECT rate, step, refusals, until > now() FROM throttle WHERE relay = %s AND destination = %s
               FOR UPDATE""",
            [relay, destination],
        ).fetchone()
        is_same_round = before is not None and before[3]
        pace = Pace(rate=before[0], step=before[1], refusals=before[2]) if before else None
        if pace is None or not is_same_round:
            pace = aimd.after_refusal(pace, observed)
        span = aimd.rest(pace, hint)
        connection.execute(
            """INSERT INTO throttle (relay, destination, rate, step, until, refusals, reason)
               VALUES (%s, %s, %s, %s, now() + %s, %s, %s)
               ON CONFLICT (relay, destination) DO UPDATE
               SET rate = excluded.rate, step = excluded.step, refusals = excluded.refusals, reason = excluded.reason,
                   until = CASE WHEN %s THEN greatest(throttle.until, excluded.until) ELSE excluded.until END,
                   refused_at = now(), changed_at = now()""",
            [
                relay,
                destination,
                pace.rate,
                pace.step,
                span,
                pace.refusals,
                reason,
                is_same_round and hint is None,
            ],
        )
    return destination, pace.rate, span


def _others(connection: Connection, relay: str, destination: str) -> int:
    row = connection.execute(
        """SELECT count(*) FROM throttle WHERE relay = %s AND destination NOT IN ('*', %s)
           AND refused_at > now() - %s""",
        [relay, destination, _TOGETHER],
    ).fetchone()
    return int(row[0]) if row else 0


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
