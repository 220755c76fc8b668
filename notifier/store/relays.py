"""Keep which relays must rest, and since how many failures: their messages wait without being blamed."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from notifier.store.database import Connection

_WOKEN_BY_HAND = timedelta(days=36_500)
_UNTRIED_FOR = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayState:
    """A relay that fails, or was told to rest."""

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


def states(connection: Connection, down_after: timedelta) -> dict[str, RelayState]:
    """Return the relays that fail, by name; one that failed for ``down_after`` is down."""
    rows = connection.execute(
        """SELECT relay, greatest(until, tried_until) > now(), by_operator OR since <= now() - %s, until, since,
                  failures, reason, by_operator, greatest(until, tried_until) <= now() - %s
           FROM relay_pause""",
        [down_after, _UNTRIED_FOR],
        prepare=True,
    ).fetchall()
    return {row[0]: _state(row) for row in rows}


def _state(row: tuple[str, bool, bool, datetime, datetime, int, str, bool, bool]) -> RelayState:
    relay, is_resting, is_down, until, since, failed, reason, by_operator, is_untried = row
    return RelayState(
        relay=relay, is_resting=is_resting, is_down=is_down, until=until, since=since, failures=failed,
        reason=reason, by_operator=by_operator, is_untried=is_untried,
    )  # fmt: skip


def rest_relay(connection: Connection, relay: str, span: timedelta | None, reason: str) -> None:
    """Let nobody use the relay for ``span``, or until :func:`wake_relay`: a person says so."""
    connection.execute(
        """INSERT INTO relay_pause (relay, until, reason, by_operator) VALUES (%s, now() + %s, %s, true)
           ON CONFLICT (relay) DO UPDATE SET until = excluded.until, reason = excluded.reason, by_operator = true""",
        [relay, span or _WOKEN_BY_HAND, reason],
    )


def wake_relay(connection: Connection, relay: str) -> bool:
    """Let the relay be used again, whoever let it rest; False where it did not."""
    row = connection.execute("DELETE FROM relay_pause WHERE relay = %s RETURNING relay", [relay]).fetchone()
    return row is not None


def waiting_at(connection: Connection, relay: str) -> int:
    """Return how many messages wait for a relay."""
    row = connection.execute("SELECT count(*) FROM work WHERE relay = %s AND state = 0", [relay]).fetchone()
    return int(row[0]) if row else 0


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
