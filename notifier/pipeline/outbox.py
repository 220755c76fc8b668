"""Drain producers' outboxes: take rows, ingest and commit them here, then delete them there.

A crash between the two commits gives the row another round, and the event's key makes it harmless.
"""

from typing import LiteralString

from notifier.client.wire import OUTBOX_TABLE
from notifier.errors import NotifierError
from notifier.events import LANES, Urgency
from notifier.logs import get_logger
from notifier.pipeline.incoming import WAITING_ERRORS, Arrival
from notifier.pipeline.ingest import Ingest
from notifier.store.database import Database

log = get_logger("ingest")

_BATCH = 200
_TAKE: LiteralString = f"""SELECT id, event::text, created_at FROM {OUTBOX_TABLE} WHERE lane = %s
                           ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED"""
_DELETE: LiteralString = f"DELETE FROM {OUTBOX_TABLE} WHERE id = ANY (%s)"


class Outbox:
    """One producer's outbox."""

    def __init__(self, database: Database, ingest: Ingest) -> None:
        self._database, self._ingest = database, ingest

    def drain(self) -> int:
        """Ingest all rows that are committed and not taken; return how many.

        Raises:
            DatabaseUnavailable: either database is away; the rows stay.
            DatabaseSlow: it was too slow for some rows, which stay, after all lanes had their turn.
            KeyMissing: the same, for rows that need a key this process lacks.
        """
        total, waiting = 0, dict[Urgency, NotifierError]()
        # After each batch from the top again: an urgent event never waits for the bulk before it.
        while taken := next((taken for lane in LANES if (taken := self._patiently(lane, waiting))), 0):
            total += taken
        if waiting:
            raise next(iter(waiting.values()))
        return total

    def _patiently(self, lane: Urgency, waiting: dict[Urgency, NotifierError]) -> int:
        """Take a batch, unless the lane has rows that must wait: those of the others need not."""
        try:
            return 0 if lane in waiting else self._batch(lane)
        except WAITING_ERRORS as why:
            waiting[lane] = why
            return 0

    def _batch(self, lane: Urgency) -> int:
        with self._database.transaction() as connection:
            rows = connection.execute(_TAKE, [lane.value, _BATCH]).fetchall()
            if not rows:
                return 0
            taken = self._ingest.take(
                [Arrival(payload=event.encode(), lane=lane, at=written_at) for _, event, written_at in rows]
            )
            done = [row[0] for place, row in enumerate(rows) if place not in taken.left]
            connection.execute(_DELETE, [done])
        log.info("ingest.drained", rows=len(done), **taken.counts)
        taken.check()
        return len(done)
