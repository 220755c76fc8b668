"""Keep which relays must rest, and since how many failures: their messages wait without being blamed.

One that takes nothing for its limits, or a quota, fails likewise; its rests are those of its flow (``throttles``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from notifier.store.database import Connection

_WOKEN_BY_HAND = timedelta(days=36_500)
_UNTRIED_FOR = timedelta(minutes=1)
QUOTA = "daily-quota"
"""The reason of a refusal that ends with the hour or the day, not with patience."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayState:
    """A relay that fails, limits us, or was told to rest."""

    relay: str
    is_resting: bool
    """Until ``until``; then one message tries it, and the others wait for the outcome as if it rested."""
    is_down: bool
    """It has failed for so long, or a person said so: whoever can goes another way."""
    until: datetime
    since: datetime
    failures: int
    reason: str
    by_operator: bool
    is_untried: bool = False
    """Its rest ended long ago, and nobody has tried it since."""
    is_limited: bool = False
    """It answers, and says that we send too much."""

    @property
    def is_failing(self) -> bool:
        """Say whether it took nothing since it failed, or refused us, last."""
        return self.failures > 0


def states(connection: Connection, down_after: timedelta) -> dict[str, RelayState]:
    """Return the relays that fail or limit us, by name; one that took nothing for ``down_after`` is down.

    So is one that asked for a longer rest, or whose quota is used up: nobody need wait to know.
    """
    rows = connection.execute(
        """SELECT relay, greatest(until, tried_until) > now(), by_operator OR since <= now() - %(after)s, until, since,
                  failures, reason, by_operator, greatest(until, tried_until) <= now() - %(untried)s, false
           FROM relay_pause
           UNION ALL
           SELECT relay, until > now(),
                  refusals > 0 AND (since <= now() - %(after)s OR until >= refused_at + %(after)s
                                    OR reason = %(quota)s),
                  until, since, refusals, reason, false, until <= now() - %(untried)s, true
           FROM throttle WHERE destination = '*'""",
        {"after": down_after, "untried": _UNTRIED_FOR, "quota": QUOTA},
        prepare=True,
    ).fetchall()
    found: dict[str, RelayState] = {}
    for row in rows:
        state = _state(row)
        # Of two troubles the worse: what is down, and rests, can be handed over.
        if (before := found.get(state.relay)) is None or _badness(state) > _badness(before):
            found[state.relay] = state
    return found


def _badness(state: RelayState) -> tuple[bool, bool, bool]:
    return state.is_down, state.is_resting, not state.is_limited


def _state(row: tuple[str, bool, bool, datetime, datetime, int, str, bool, bool, bool]) -> RelayState:
    relay, is_resting, is_down, until, since, failed, reason, by_operator, is_untried, is_limited = row
    return RelayState(
        relay=relay, is_resting=is_resting, is_down=is_down, until=until, since=since, failures=failed,
        reason=reason, by_operator=by_operator, is_untried=is_untried, is_limited=is_limited,
    )  # fmt: skip


def rest_relay(connection: Connection, relay: str, span: timedelta | None, reason: str) -> None:
    """Let nobody use the relay for ``span``, or until :func:`wake_relay`: a person says so."""
    connection.execute(
        """INSERT INTO relay_pause (relay, until, reason, by_operator) VALUES (%s, now() + %s, %s, true)
           ON CONFLICT (relay) DO UPDATE SET until = excluded.until, reason = excluded.reason, by_operator = true""",
        [relay, span or _WOKEN_BY_HAND, reason],
    )


def wake_relay(connection: Connection, relay: str) -> bool:
    """Let the relay be used again, whoever let it rest, and forget its limits; False where it did not rest."""
    rows = connection.execute(
        """WITH woken AS (DELETE FROM relay_pause WHERE relay = %(relay)s RETURNING true AS was_resting),
                freed AS (DELETE FROM throttle WHERE relay = %(relay)s RETURNING until > now() AS was_resting)
           SELECT was_resting FROM woken UNION ALL SELECT was_resting FROM freed""",
        {"relay": relay},
    ).fetchall()
    return any(row[0] for row in rows)


def waiting_at(connection: Connection, relay: str) -> int:
    """Return how many messages wait for a relay."""
    row = connection.execute("SELECT count(*) FROM work WHERE relay = %s AND state = 0", [relay]).fetchone()
    return int(row[0]) if row else 0


def of_messages(connection: Connection, messages: Sequence[UUID]) -> dict[UUID, str]:
    """Return the relay of each message that has not ended."""
    rows = connection.execute(
        "SELECT message_id, relay FROM work WHERE message_id = ANY (%b::uuid[])", [list(messages)]
    ).fetchall()
    return {row[0]: row[1] for row in rows}


def pause_relay(connection: Connection, relay: str, delay: timedelta, reason: str) -> None:
    """Let nobody use the relay for ``delay``.

    A relay that goes down fails on all its connections at once: while it rests already, that is one failure.
    """
    connection.execute(
        """INSERT INTO relay_pause (relay, until, reason) VALUES (%s, now() + %s, %s)
           ON CONFLICT (relay) DO UPDATE SET until = greatest(relay_pause.until, excluded.until), tried_until = NULL,
             failures = relay_pause.failures + (relay_pause.until <= now())::int,
             by_operator = relay_pause.by_operator AND relay_pause.until > now(),
             reason = CASE WHEN relay_pause.by_operator AND relay_pause.until > now() THEN relay_pause.reason
                           ELSE excluded.reason END""",
        [relay, delay, reason],
    )


def begin_try(connection: Connection, relay: str, lease: timedelta) -> bool:
    """Have this process's next message try a relay whose rest is over; False where another one does.

    Who dies meanwhile lets others try after ``lease``.
    """
    row = connection.execute(
        """UPDATE relay_pause SET tried_until = now() + %s
           WHERE relay = %s AND until <= now() AND (tried_until IS NULL OR tried_until <= now()) RETURNING relay""",
        [lease, relay],
    ).fetchone()
    return row is not None


def end_try(connection: Connection, relay: str) -> None:
    """Let another message try the relay: this one told nothing of it."""
    connection.execute("UPDATE relay_pause SET tried_until = NULL WHERE relay = %s", [relay])


def clear_pause(connection: Connection, relay: str) -> None:
    """The relay works: forget its failures, unless a person let it rest meanwhile."""
    connection.execute(
        "DELETE FROM relay_pause WHERE relay = %s AND NOT (by_operator AND until > now())", [relay]
    )


def failures(connection: Connection) -> dict[str, tuple[bool, int, str]]:
    """Return relay → (must rest now, failures in a row, reason)."""
    rows = connection.execute("SELECT relay, until > now(), failures, reason FROM relay_pause").fetchall()
    return {row[0]: (row[1], row[2], row[3]) for row in rows}
