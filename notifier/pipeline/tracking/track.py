"""Track: find out what became of messages after they left, from what callbacks, bounces and answers report.

Each report is read once, in one transaction with everything that follows from it. Calls no provider.
"""

import functools
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from notifier.broker.counters import Counters
from notifier.broker.wakeups import WakeUp, WakeUps
from notifier.client.sealing import fingerprint, read_public_key, sealed_for
from notifier.clock import Clock
from notifier.crypto import Keyring
from notifier.crypto.keyring import public_key
from notifier.errors import CannotUnseal
from notifier.logs import get_logger
from notifier.pipeline.incoming import PROCESSING_ERRORS, is_passing
from notifier.pipeline.tracking.aftermath import Aftermath
from notifier.receipts import Receipt
from notifier.store import receipts, suppressions
from notifier.store.database import Connection, Database
from notifier.store.receipts import MessageReport, Waiting
from notifier.store.reports import open_raw, open_report, publish_sealing_key
from notifier.tokens import message_id_of

log = get_logger("track")

_BATCH = 500
_STINT_SECONDS = 2.0
"""So long a task goes on, then it rings for another: the thread is not its own."""
WAKE_UP = WakeUp("track", "")


@dataclass(slots=True)
class _Round:
    """What one transaction did."""

    counts: Counter[str] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)
    flows: set[tuple[str, str]] = field(default_factory=set)
    suppressed: set[tuple[str, bytes]] = field(default_factory=set)
    taken: int = 0


class Track:
    """The track stage."""

    def __init__(
        self,
        *,
        database: Database,
        keyring: Keyring,
        aftermath: Aftermath,
        wake_ups: WakeUps,
        counters: Counters,
        clock: Clock,
    ) -> None:
        self._database, self._keyring, self._aftermath = database, keyring, aftermath
        self._wake_ups, self._counters, self._clock = wake_ups, counters, clock
        self._private: dict[bytes, bytes] = {}
        self._is_published = False

    def publish_key(self) -> None:
        """Let web process and listener seal to this ring's key; once in the life of a process."""
        if not self._is_published:
            with self._database.connection() as connection:
                publish_sealing_key(connection, self._keyring.sealing_key)
            self._is_published = True

    def run(self) -> Counter[str]:
        """Read what waits, for a stint; return what was done. What is left rings again.

        Raises:
            DatabaseUnavailable: reports stay where they are.
            KeyMissing: they need a key this process lacks.
        """
        self._wake_ups.answer(WAKE_UP)
        done, limit, end = Counter[str](), _BATCH, time.monotonic() + _STINT_SECONDS
        while True:
            waiting: list[Waiting] = []
            try:
                one = self._database.retrying(functools.partial(self._round, limit=limit, waiting=waiting))
            except PROCESSING_ERRORS as error:
                if is_passing(error) or not waiting:
                    raise
                limit = self._put_aside(waiting, error)
                continue
            self._tell(one)
            done += one.counts
            if one.taken < limit:
                return done
            if time.monotonic() > end:
                self._wake_ups.ring(WAKE_UP)
                return done

    def _put_aside(self, waiting: Sequence[Waiting], error: Exception) -> int:
        """Leave out the report that failed; where it is one of several, find it first.

        Returns:
            How many to take next.
        """
        if len(waiting) > 1:
            return 1
        with self._database.connection() as connection:
            receipts.fail_reports(connection, [one.id for one in waiting])
        log.error("track.failed", source=waiting[0].source, report=waiting[0].key, error=type(error).__name__)
        return _BATCH

    def _round(self, connection: Connection, limit: int, waiting: list[Waiting]) -> _Round:
        """Read up to so many reports; ``waiting`` then says which, also where this fails."""
        waiting[:] = receipts.take_reports(connection, limit)
        done = _Round(taken=len(waiting))
        if not waiting:
            return done
        opened, failed, locked = self._open(waiting)
        found = self._find(connection, [receipt for _, receipt, _ in opened])
        messages = receipts.lock_messages(connection, [one for one in found if one is not None])
        reports, strangers = [], list(locked)
        for (row, receipt, raw), message in zip(opened, found, strict=True):
            # One that is being sent right now has no outcome yet: what is to follow from it would be lost.
            if message is None or (sent := messages.get(message)) is None or sent.is_sending:
                strangers.append(row)
                continue
            reports.append(MessageReport(receipt=receipt, message=sent, key=row.key, raw=raw))
        followed = self._aftermath.follow(connection, reports, self._clock.now())
        done.flows, done.suppressed, done.labels = followed.flows, followed.suppressed, followed.labels
        if failed:
            receipts.fail_reports(connection, [row.id for row in failed])
        self._keep(connection, strangers, done)
        gone = {row.id for row in (*failed, *strangers)}
        receipts.drop_reports(connection, [row.id for row in waiting if row.id not in gone])
        done.counts.update(followed.counts)
        done.counts += Counter({"failed": len(failed), "unknown": len(strangers)})
        return done

    def _keep(self, connection: Connection, strangers: Sequence[Waiting], done: _Round) -> None:
        """Keep what names no message yet: the report may be faster than our own commit."""
        if not strangers:
            return
        given_up = set(receipts.postpone_reports(connection, [row.id for row in strangers]))
        for row in strangers:
            if row.key in given_up:
                log.warning("track.unmatched", source=row.source, report=row.key)
        done.counts["unmatched"] += len(given_up)

    def _open(
        self, waiting: Sequence[Waiting]
    ) -> tuple[list[tuple[Waiting, Receipt, bytes | None]], list[Waiting], list[Waiting]]:
        """Return what could be read, what never can be, and what needs a key this process lacks."""
        opened, failed, locked = [], [], []
        for row in waiting:
            try:
                key = self._key_for(row.sealed)
                if key is None:
                    locked.append(row)
                    continue
                raw = open_raw(row.raw, key, row.source, row.key) if row.raw is not None else None
                opened.append((row, open_report(row.sealed, key, row.source, row.key), raw))
            except (CannotUnseal, LookupError, TypeError, ValueError) as error:
                # Of another release, or tampered with.
                log.error("track.unreadable", source=row.source, report=row.key, error=type(error).__name__)
                failed.append(row)
        return opened, failed, locked

    def _key_for(self, sealed: str) -> bytes | None:
        name = sealed_for(sealed)
        if name not in self._private:
            keys = self._keyring.intake_keys()
            self._private = {fingerprint(read_public_key(public_key(key))): key for key in keys}
        return self._private.get(name)

    def _find(self, connection: Connection, told: Sequence[Receipt]) -> list[UUID | None]:
        """Return the message of each report, by what can be believed of it.

        An id of ours comes from a token whose MAC was checked; a Message-ID carries one; a name of the other
        side's counts only among what that side took over. So no report reaches what it was not about.
        """
        own = [one.message or self._of_message_id(one.message_id) for one in told]
        names = [
            (one.source, one.remote_id)
            for one, message in zip(told, own, strict=True)
            if message is None and one.remote_id
        ]
        by_name = receipts.by_remote_id(connection, names)
        return [
            message or by_name.get((one.source, one.remote_id or ""))
            for one, message in zip(told, own, strict=True)
        ]

    def _of_message_id(self, value: str | None) -> UUID | None:
        return message_id_of(self._keyring.token_key, value) if value else None

    def _tell(self, one: _Round) -> None:
        """Do what must come after the commit."""
        revoked = suppressions.revoke(self._database, one.suppressed)
        for channel, lane in sorted(one.flows):
            self._wake_ups.ring(WakeUp("deliver", lane, channel))
        if one.labels:
            self._counters.add_receipts(one.labels)
        if one.counts:
            log.info("track.read", revoked=revoked, **one.counts)
