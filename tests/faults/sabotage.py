"""Switch safeguards off, one at a time, from outside: production code knows nothing of it.

A safeguard that can be removed without a fault test noticing is not tested.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from notifier.broker.intake import Entry, Intake
from notifier.events import Urgency
from notifier.pipeline import decide
from notifier.pipeline.ingest import Ingest
from notifier.pipeline.sweep import Sweep
from notifier.pipeline.tools import Tools
from notifier.store import database, work
from notifier.store.database import Connection
from notifier.store.work import Claim

Put = Callable[[Any, str, Any], None]
"""``setattr``, or pytest's that takes it back."""


def apply(names: str, put: Put = setattr) -> None:
    """Switch off the named safeguards, given as a list with commas."""
    for name in filter(None, names.split(",")):
        SABOTAGES[name](put)


def _no_mark(put: Put) -> None:
    """Send without saying so before."""
    record = work.record_sent_and_mark

    def mark(connection: Connection, claimed: Claim, lease: timedelta) -> bool:
        return True

    def record_only(*arguments: Any, following: Claim | None, **named: Any) -> bool:
        record(*arguments, following=None, **named)
        return following is not None

    put(work, "mark_sending", mark)
    put(work, "record_sent_and_mark", record_only)


def _no_claim(put: Put) -> None:
    """Look at the work without taking it."""

    def look(
        connection: Connection, *, channel: str, lane: str, limit: int, token: UUID, **_: Any
    ) -> list[Claim]:
        rows = connection.execute(
            "SELECT message_id, attempt, expires_at FROM work "
            "WHERE channel = %s AND lane = %s AND state = 0 LIMIT %s",
            [channel, lane, limit],
        ).fetchall()
        return [Claim(row[0], token, row[1], row[2]) for row in rows]

    _no_mark(put)
    put(work, "claim", look)


def _no_insisting(put: Put) -> None:
    """Forget what a provider said where the database is away."""
    put(Tools, "insisting", lambda _self, _record: None)


def _no_patience(put: Put) -> None:
    """Blame the statement for whatever the database says."""
    put(database, "_is_passing", lambda _error: False)


def _ack_before_commit(put: Put) -> None:
    """Let go of stream entries before they are stored."""
    entries = Ingest.entries

    def let_go(self: Ingest, lane: Urgency, taken: Sequence[Entry]) -> Counter[str]:
        self._intake.done(lane, taken)
        return entries(self, lane, taken)

    put(Ingest, "entries", let_go)


def _no_take_over(put: Put) -> None:
    """Leave what a dead reader had."""
    put(Intake, "take_over", lambda *_: [])


def _no_sweep(put: Put) -> None:
    """Look for nothing that was left behind."""
    put(Sweep, "run", lambda _self: Counter())


def _no_event_key(put: Put) -> None:
    """Take every event for a new one."""
    put(decide, "claim_keys", lambda _connection, keys: {event_id for _, event_id in keys})


def _no_notification_key(put: Put) -> None:
    """Take every notification for a new one."""
    put(decide, "claim_notifications", lambda _connection, keys: {notification for _, notification in keys})


SABOTAGES: dict[str, Callable[[Put], None]] = {
    "no_mark": _no_mark,
    "no_claim": _no_claim,
    "no_insisting": _no_insisting,
    "no_patience": _no_patience,
    "ack_before_commit": _ack_before_commit,
    "no_take_over": _no_take_over,
    "no_sweep": _no_sweep,
    "no_event_key": _no_event_key,
    "no_notification_key": _no_notification_key,
}
