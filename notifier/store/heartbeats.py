"""Note when what runs on its own last ran, so that doctor and readiness can tell; keep partitions ahead."""

from datetime import timedelta

from notifier.logs import get_logger
from notifier.store.database import Connection

log = get_logger("sweep")


def beat(connection: Connection, name: str) -> None:
    """Note that ``name`` ran now."""
    connection.execute(
        """INSERT INTO heartbeat (name, at) VALUES (%s, now())
           ON CONFLICT (name) DO UPDATE SET at = now()""",
        [name],
        prepare=True,
    )


def age(connection: Connection, name: str) -> timedelta | None:
    """Return how long ago ``name`` last ran; None = never."""
    row = connection.execute("SELECT now() - at FROM heartbeat WHERE name = %s", [name]).fetchone()
    return row[0] if row else None


def is_older(connection: Connection, name: str, limit: timedelta) -> bool:
    """Tell whether ``name`` last ran longer ago than ``limit``, or never."""
    last = age(connection, name)
    return last is None or last > limit


def make_partitions(connection: Connection) -> None:
    """Make the log's partitions of this month and the next, where absent.

    Each on its own, under a lock that nobody can write beside: where one cannot be made, the next try comes
    only after a pause.
    """
    if not is_older(connection, _TRIED, _PAUSE):
        return
    beat(connection, _TRIED)
    (missing,) = connection.execute("SELECT notifier_make_partitions(1)").fetchone() or (None,)
    if missing:
        log.error("sweep.unpartitioned", missing=missing)
    else:
        beat(connection, "upkeep")


_TRIED = "upkeep-try"
_PAUSE = timedelta(minutes=5)
