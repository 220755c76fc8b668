"""Keep which relays must rest, and since how many failures: their messages wait without being blamed."""

from datetime import timedelta

from notifier.store.database import Connection


def pause_relay(connection: Connection, relay: str, delay: timedelta, reason: str) -> None:
    """Let nobody use the relay for ``delay``.

    A relay that goes down fails on all its connections at once: while it rests already, that is one failure.
    """
    connection.execute(
        """INSERT INTO relay_pause (relay, until, reason) VALUES (%s, now() + %s, %s)
           ON CONFLICT (relay) DO UPDATE SET until = greatest(relay_pause.until, excluded.until),
             failures = relay_pause.failures + (relay_pause.until <= now())::int, reason = excluded.reason""",
        [relay, delay, reason],
    )


def clear_pause(connection: Connection, relay: str) -> None:
    """The relay took a message: forget its failures."""
    connection.execute("DELETE FROM relay_pause WHERE relay = %s", [relay])


def failures(connection: Connection) -> dict[str, tuple[bool, int, str]]:
    """Return relay → (must rest now, failures in a row, reason)."""
    rows = connection.execute("SELECT relay, until > now(), failures, reason FROM relay_pause").fetchall()
    return {row[0]: (row[1], row[2], row[3]) for row in rows}
