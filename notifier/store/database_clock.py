"""Tell the time by the database's clock, which all workers share; a machine's own may be wrong, or jump."""

import threading
import time
from datetime import UTC, datetime, timedelta

from notifier.logs import get_logger
from notifier.store.database import Connection, Database, DatabaseUnavailable

log = get_logger("worker")

_SECONDS = 30.0
_AWAY_SECONDS = 1.0
_MEASURES = 3
_NOTABLE = timedelta(seconds=5)


class DatabaseClock:
    """Counts on from what the database said last; asks again now and then, in a thread of its own.

    Until it follows a database it is the machine's clock.
    """

    def __init__(self) -> None:
        self._database: Database | None = None
        self._origin = datetime.now(UTC) - timedelta(seconds=time.monotonic())
        self._due = float("inf")
        self._asking = threading.Lock()

    def follow(self, database: Database) -> None:
        """Ask this database from now on."""
        self._database, self._due = database, float("-inf")

    def now(self) -> datetime:
        """Return the current moment as aware UTC; never waits for the database."""
        moment = time.monotonic()
        if moment >= self._due and self._asking.acquire(blocking=False):
            self._due = moment + _AWAY_SECONDS
            threading.Thread(target=self._ask, name="clock", daemon=True).start()
        return self._origin + timedelta(seconds=moment)

    def ask(self) -> None:
        """Set the clock now.

        Raises:
            DatabaseUnavailable: it goes on as it is.
        """
        if self._database is None:
            return
        with self._database.connection() as connection:
            # The quickest answer is the most exact: half of its way is the error at the most.
            _, origin = min(_measure(connection) for _ in range(_MEASURES))
        if abs(origin - self._origin) > _NOTABLE:
            log.warning("worker.clock_set", seconds=(origin - self._origin).total_seconds())
        self._origin, self._due = origin, time.monotonic() + _SECONDS

    def _ask(self) -> None:
        try:
            self.ask()
        except DatabaseUnavailable:
            return
        finally:
            self._asking.release()


def _measure(connection: Connection) -> tuple[float, datetime]:
    """Return how long the database took to say the time, and its time at our monotonic clock's zero."""
    started = time.monotonic()
    [(theirs,)] = connection.execute("SELECT clock_timestamp()").fetchall()
    ended = time.monotonic()
    return ended - started, theirs - timedelta(seconds=(started + ended) / 2)
