"""Drain producers' outboxes: take rows, ingest and commit them here, then delete them there.

A crash between the two commits gives the row another round, and the event's key makes it harmless.
"""

from collections import Counter

from notifier.client.wire import OUTBOX_TABLE
from notifier.events import Urgency
from notifier.logs import get_logger
from notifier.pipeline.incoming import Arrival
from notifier.pipeline.ingest import Ingest
from notifier.store.database import Database

log = get_logger("ingest")

_BATCH = 200


class Outbox:
    """One producer's outbox."""

    def __init__(self, database: Database, ingest: Ingest) -> None:
        self._database, self._ingest = database, ingest

    def drain(self) -> int:
        """Ingest all rows that are committed and not taken; return how many.

        Raises:
            DatabaseUnavailable: either database is away; the rows stay.
        """
        total = 0
        while taken := self._batch():
            total += taken
        return total

    def _batch(self) -> int:
        counts: Counter[str] = Counter()
        with self._database.transaction() as connection:
            rows = connection.execute(
                f"SELECT id, lane, event::text, created_at FROM {OUTBOX_TABLE} "
                "ORDER BY array_position(ARRAY['urgent', 'normal', 'bulk'], lane), id LIMIT %s "
                "FOR UPDATE SKIP LOCKED",
                [_BATCH],
            ).fetchall()
            if rows:
                counts = self._ingest.arrivals(
                    [Arrival(payload=row[2].encode(), lane=_lane(row[1]), at=row[3]) for row in rows]
                )
                connection.execute(f"DELETE FROM {OUTBOX_TABLE} WHERE id = ANY (%s)", [[row[0] for row in rows]])
        if rows:
            log.info("ingest.drained", rows=len(rows), **counts)
        return len(rows)


def _lane(text: str) -> Urgency:
    return Urgency(text) if text in set(Urgency) else Urgency.NORMAL

