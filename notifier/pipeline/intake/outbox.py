"""Drain producers' outboxes: take rows, ingest and commit them here, then delete them there.

A crash between the two commits gives the row another round, and the event's key makes it harmless. A row that needs a
key this process lacks is left to others for a while, and holds up none behind it.
"""

import time
from collections.abc import Collection
from typing import LiteralString

from notifier.client.wire import OUTBOX_TABLE
from notifier.errors import KeyMissing, NotifierError
from notifier.events import LANES, Urgency
from notifier.logs import get_logger
from notifier.pipeline.incoming import WAITING_ERRORS, Arrival
from notifier.pipeline.intake.ingest import Ingest
from notifier.store.database import Database

log = get_logger("ingest")

_BATCH = 200
_LEFT_SECONDS = 30.0
"""A row that needs a key this process lacks is left to others for so long."""
_LEFT_MOST = 5000
"""So many are passed over one by one; with more the lane waits, and the memory is bounded."""
_TAKE: LiteralString = f"""SELECT id, event::text, created_at FROM {OUTBOX_TABLE}
                           WHERE lane = %s AND id <> ALL (%s::bigint[])
                           ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED"""
_DELETE: LiteralString = f"DELETE FROM {OUTBOX_TABLE} WHERE id = ANY (%s)"


class Outbox:
    """One producer's outbox."""

    def __init__(self, database: Database, ingest: Ingest) -> None:
        self._database, self._ingest = database, ingest
        self._left, self._left_until = set[int](), 0.0
        self._why: KeyMissing | None = None

    def drain(self) -> int:
        """Ingest all rows that are committed and not taken; return how many.

        Raises:
            DatabaseUnavailable: either database is away; the rows stay.
            DatabaseSlow: it was too slow for some rows, which stay, after all lanes had their turn.
            KeyMissing: some rows need a key this process lacks; they stay, and all others were taken.
        """
        self._look_anew()
        total, waiting = 0, dict[Urgency, NotifierError]()
        # After each batch from the top again: an urgent event never waits for the bulk before it.
        while (taken := self._first(waiting)) is not None:
            total += taken
        if waiting:
            raise next(iter(waiting.values()))
        if self._why is not None:
            raise self._why
        return total

    def _look_anew(self) -> None:
        """After a while, try what was left to others."""
        if self._left and time.monotonic() > self._left_until:
            self._left, self._why = set(), None

    def _first(self, waiting: dict[Urgency, NotifierError]) -> int | None:
        """Take a batch of the first lane that has one; None where none has."""
        found = (self._patiently(lane, waiting) for lane in LANES)
        return next((taken for taken in found if taken is not None), None)

    def _patiently(self, lane: Urgency, waiting: dict[Urgency, NotifierError]) -> int | None:
        """Take a batch, unless the lane has rows that must wait: those of the others need not."""
        try:
            return None if lane in waiting else self._batch(lane)
        except WAITING_ERRORS as why:
            waiting[lane] = why
            return None

    def _batch(self, lane: Urgency) -> int | None:
        """Return how many rows were taken; None where there are none."""
        with self._database.transaction() as connection:
            # Not prepared: a plan for any list would compare with each of its ids in turn.
            rows = connection.execute(_TAKE, [lane.value, list(self._left), _BATCH], prepare=False).fetchall()
            if not rows:
                return None
            taken = self._ingest.take(
                [Arrival(payload=event.encode(), lane=lane, at=written_at) for _, event, written_at in rows]
            )
            done = [row[0] for place, row in enumerate(rows) if place not in taken.left]
            connection.execute(_DELETE, [done])
        log.info("ingest.drained", rows=len(done), **taken.counts)
        if isinstance(taken.why, KeyMissing) and len(self._left) < _LEFT_MOST:
            self._leave([rows[place][0] for place in taken.left], taken.why)
        else:
            taken.check()
        return len(done)

    def _leave(self, ids: Collection[int], why: KeyMissing) -> None:
        if not self._left:
            self._left_until = time.monotonic() + _LEFT_SECONDS
        self._left |= set(ids)
        self._why = why
        log.warning("ingest.left", rows=len(ids), reason=str(why))
