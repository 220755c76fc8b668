"""Ingest: read a batch of one lane, check, store once, decide; then let go of it.

An entry leaves its stream only after the commit. A batch that fails is halved until the poison event is
alone in the dead letters; refused events go there at once, with the reason. What the database is too slow for,
or needs a key this process lacks, stays where it is.
"""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

import psycopg

from notifier.broker.intake import Entry, Intake
from notifier.broker.wakeups import WakeUp, WakeUps
from notifier.clock import Clock
from notifier.crypto import Keyring
from notifier.errors import NotifierError
from notifier.events import Urgency
from notifier.logs import get_logger
from notifier.pipeline.incoming import (
    PROCESSING_ERRORS,
    WAITING_ERRORS,
    Arrival,
    Incoming,
    Reader,
    Refusal,
    entry_time,
)
from notifier.pipeline.intake.letters import Letters, describe
from notifier.pipeline.planning.decide import Decided, Decider
from notifier.setting_tables import Tuning
from notifier.store.database import Database, DatabaseSlow, DatabaseUnavailable
from notifier.store.tenants import known_tenants

log = get_logger("ingest")

_STINT_SECONDS = 1.0
"""A lane's task ends after this long and wakes its successor: no lane holds a thread for ever."""
_PATIENCE = 2
"""Events of a batch that each run out of time alone: then the database is to blame, and not an event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What became of a batch: counts, and which of it has to stay where it is."""

    counts: Counter[str]
    left: frozenset[int]
    """Places in the batch."""
    why: NotifierError | None

    def check(self) -> None:
        """Say so where something had to stay.

        Raises:
            DatabaseSlow: the database took too long for it.
            KeyMissing: this process lacks a key it needs.
        """
        if self.why is not None:
            raise self.why


@dataclass(slots=True)
class _Waiting:
    """Events of a batch that have to stay where they are."""

    ids: set[UUID] = field(default_factory=set)
    slow: int = 0
    why: NotifierError | None = None

    def add(self, one: Incoming, why: NotifierError) -> Counter[str]:
        """Leave an event where it is."""
        self.ids.add(one.id)
        self.slow += isinstance(why, DatabaseSlow)
        self.why = why
        return Counter(waiting=1)


class Ingest:
    """The ingest stage."""

    def __init__(
        self,
        *,
        database: Database,
        intake: Intake,
        wake_ups: WakeUps,
        reader: Reader,
        decider: Decider,
        keyring: Keyring,
        clock: Clock,
        tuning: Tuning,
    ) -> None:
        self._database, self._intake, self._wake_ups = database, intake, wake_ups
        self._reader, self._decider = reader, decider
        self._letters = Letters(database, keyring)
        self._clock, self._tuning = clock, tuning

    def run(self, lane: Urgency) -> Counter[str]:
        """Empty the lane's stream, for a stint at most; return what became of the entries."""
        wake_up = WakeUp("ingest", lane.value)
        self._wake_ups.answer(wake_up)
        counts: Counter[str] = Counter()
        end = time.monotonic() + _STINT_SECONDS
        while entries := self._intake.read(lane, self._tuning.ingest_batch):
            try:
                counts += self.entries(lane, entries)
            except WAITING_ERRORS:
                self._wake_ups.ring(wake_up)  # for those behind
                raise
            if time.monotonic() > end:
                self._wake_ups.ring(wake_up)
                break
        return counts

    def take_over(self, lane: Urgency) -> Counter[str]:
        """Ingest what a dead reader left."""
        entries = self._intake.take_over(lane, self._tuning.claim_idle, self._tuning.ingest_batch)
        return self.entries(lane, entries) if entries else Counter()

    def entries(self, lane: Urgency, entries: Sequence[Entry]) -> Counter[str]:
        """Ingest stream entries and remove them from their stream.

        Raises:
            DatabaseUnavailable: what was not ingested is still there.
            KeyMissing: the same.
        """
        now = self._clock.now()
        taken = self.take(
            [Arrival(payload=entry.payload, lane=lane, at=entry_time(entry.id, now)) for entry in entries]
        )
        self._intake.done(lane, [entry for place, entry in enumerate(entries) if place not in taken.left])
        taken.check()
        return taken.counts

    def arrivals(self, arrivals: Sequence[Arrival]) -> Counter[str]:
        """Ingest what came in, whichever way; when this returns, it is all committed.

        Raises:
            DatabaseUnavailable: nothing was lost; the entries stay where they are.
            KeyMissing: the same. Nothing else: what one entry trips over must not hold the others up.
        """
        taken = self.take(arrivals)
        taken.check()
        return taken.counts

    def take(self, arrivals: Sequence[Arrival]) -> Taken:
        """Ingest what can be; when this returns, that is all committed.

        Raises:
            DatabaseUnavailable: nothing was lost; the entries stay where they are.
        """
        tenants = self._tenants()
        read = [self._reader.read(arrival, tenants) for arrival in arrivals]
        counts: Counter[str] = Counter()
        for refusal in read:
            if isinstance(refusal, Refusal):
                self._letters.refuse(refusal)
                counts["refused"] += 1
        accepted = [one for one in read if isinstance(one, Incoming)]
        waiting = _Waiting()
        if accepted:
            counts += self._store(accepted, waiting)
        log.info(
            "ingest.done", events=[str(one.id) for one in accepted if one.id not in waiting.ids], **counts
        )
        left = (
            place for place, one in enumerate(read) if isinstance(one, Incoming) and one.id in waiting.ids
        )
        return Taken(counts=counts, left=frozenset(left), why=waiting.why)

    def _store(self, batch: Sequence[Incoming], waiting: _Waiting) -> Counter[str]:
        """Store a batch; halve it where it fails, until the poison event is alone."""
        try:
            decided = self._database.retrying(
                lambda connection: self._decider.run(connection, batch, self._clock.now())
            )
        except DatabaseSlow as error:
            return self._store_slowly(batch, waiting, error)
        except DatabaseUnavailable:
            raise
        except PROCESSING_ERRORS as error:
            if len(batch) == 1:
                return self._put_aside(batch[0], error, waiting)
            middle = len(batch) // 2
            return self._store(batch[:middle], waiting) + self._store(batch[middle:], waiting)
        for channel, lane in sorted(decided.flows):
            self._wake_ups.ring(WakeUp("deliver", lane, channel))
        return _counts(decided)

    def _store_slowly(self, batch: Sequence[Incoming], waiting: _Waiting, why: DatabaseSlow) -> Counter[str]:
        """Store one by one what took too long together; what takes too long alone stays.

        Halving would wait for the time limit once for each half that has a slow one.
        """
        if len(batch) == 1:
            return self._put_aside(batch[0], why, waiting)
        counts: Counter[str] = Counter()
        for one in batch:
            counts += self._store([one], waiting) if waiting.slow < _PATIENCE else waiting.add(one, why)
        return counts

    def _put_aside(self, one: Incoming, error: Exception, waiting: _Waiting) -> Counter[str]:
        """Bury an event that fails alone, or leave it where it is."""
        if isinstance(error, WAITING_ERRORS):
            log.warning("ingest.waiting", type=one.event.type, reason=str(error))
            return waiting.add(one, error)
        self._letters.bury(one, error)
        return Counter(dead=1)

    def _tenants(self) -> frozenset[str]:
        try:
            with self._database.connection() as connection:
                return known_tenants(connection)
        except psycopg.Error as error:
            raise DatabaseUnavailable(f"the tenants cannot be read: {describe(error)}") from error


def _counts(decided: Decided) -> Counter[str]:
    return Counter(
        stored=decided.stored,
        duplicates=decided.duplicates,
        notifications=decided.notifications,
        told_before=decided.told_before,
    )
