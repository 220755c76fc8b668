"""Know the log's monthly partitions, so that a hot statement can name the one a row is in.

PostgreSQL sets up all partitions of a table each time a statement on it starts; for a statement per mail
that is half of its cost. An id says its month, and a month that has a partition has no row elsewhere: the
default partition cannot hold rows of a range that another one covers.
"""

import threading
import time
from uuid import UUID

from notifier.ids import uuid7_time
from notifier.store.database import Database

_REFRESH_SECONDS = 30.0


class Partitions:
    """The partitions there are, looked up now and then."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._names: frozenset[str] = frozenset()
        self._looked_at = float("-inf")
        self._lock = threading.Lock()

    def leaf(self, table: str, row: UUID) -> str:
        """Return the partition a row is in, or the table itself where its month has none."""
        name = f"{table}_{uuid7_time(row):%Y_%m}"
        if name not in self._names:
            self._refresh()
        return name if name in self._names else table

    def forget(self) -> None:
        """Look again before the next answer: a partition is gone."""
        self._names, self._looked_at = frozenset(), float("-inf")

    def _refresh(self) -> None:
        with self._lock:
            if time.monotonic() - self._looked_at < _REFRESH_SECONDS:
                return
            rows = self._database.all(
                """SELECT inhrelid::regclass::text FROM pg_inherits
                   WHERE inhparent IN ('message'::regclass, 'notification'::regclass, 'attempt'::regclass)"""
            )
            self._names, self._looked_at = frozenset(row[0] for row in rows), time.monotonic()
