"""Switch safeguards off, one at a time, from outside: production code knows nothing of it.

A safeguard that can be removed without a fault test noticing is not tested.
"""

import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from notifier.broker.intake import Entry, Intake
from notifier.events import Event, Urgency
from notifier.pipeline.incoming import Arrival, Incoming
from notifier.pipeline.intake import outbox, timers
from notifier.pipeline.intake.ingest import Ingest
from notifier.pipeline.intake.outbox import Outbox
from notifier.pipeline.intake.timers import Timers
from notifier.pipeline.planning import decide, group_looks, notifying
from notifier.pipeline.planning.decide import Decided, Decider
from notifier.pipeline.sending.tools import Tools
from notifier.pipeline.sweep import Sweep
from notifier.store import database, receipts, sending, suppressions, work
from notifier.store.database import Connection, Cursor
from notifier.store.receipts import Waiting
from notifier.store.timers import TimerRow
from notifier.store.work import Claim, WorkRow
from tests.faults import sabotage_flows as flows
from tests.faults import sabotage_lines as lines
from tests.faults.switching import Put


def apply(names: str, put: Put = setattr) -> None:
    """Switch off the named safeguards, given as a list with commas."""
    for name in filter(None, names.split(",")):
        SABOTAGES[name](put)


def _no_mark(put: Put) -> None:
    """Send without saying so before."""
    record = sending.record_sent_and_mark

    def mark(connection: Connection, claimed: Claim, lease: timedelta) -> bool:
        return True

    def record_only(*arguments: Any, following: Claim | None, **named: Any) -> bool:
        record(*arguments, following=None, **named)
        return following is not None

    put(sending, "mark_sending", mark)
    put(sending, "record_sent_and_mark", record_only)


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


def _no_token(put: Put) -> None:
    """Send what was claimed once, whoever has it now."""
    record = sending.record_sent_and_mark

    def mark(connection: Connection, claimed: Claim, lease: timedelta) -> bool:
        connection.execute(
            "UPDATE work SET is_sending = true, attempt = attempt + 1, lease_until = now() + %s "
            "WHERE message_id = %s AND NOT is_sending",
            [lease, claimed.message_id],
        )
        return True

    def record_and_mark(
        cursor: Cursor, *arguments: Any, following: Claim | None, lease: timedelta, **named: Any
    ) -> bool:
        record(cursor, *arguments, following=None, lease=lease, **named)
        return following is not None and mark(cursor.connection, following, lease)

    put(sending, "mark_sending", mark)
    put(sending, "record_sent_and_mark", record_and_mark)


def _no_grace(put: Put) -> None:
    """Judge leases that ran out while the database was away as soon as it is back."""
    put(Sweep, "_settle_unknown", lambda self, found: self._settle("unknown", self._settler.unknown, found))


def _untaken_unknowns(put: Put) -> None:
    """Judge what was left in sending without taking it."""

    def look(connection: Connection, *, limit: int, **_: Any) -> list[Claim]:
        rows = connection.execute(
            "SELECT message_id, token, attempt, expires_at FROM work "
            "WHERE state = 1 AND is_sending AND lease_until <= now() LIMIT %s",
            [limit],
        ).fetchall()
        return [Claim(*row) for row in rows]

    put(work, "claim_unknown", look)


def _untaken_timers(put: Put) -> None:
    """Fire timers that another sweep may be firing."""

    def look(connection: Connection, now: datetime, limit: int, _without: object) -> list[TimerRow]:
        rows = connection.execute(
            "SELECT tenant, key, due_at, event_type, subject, data_key, sealed FROM timer "
            "WHERE due_at <= %s ORDER BY due_at LIMIT %s",
            [now, limit],
        ).fetchall()
        return [TimerRow(*row) for row in rows]

    put(timers, "take_due", look)


def _no_fire_key(put: Put) -> None:
    """Give what a timer or schedule fires an id that says nothing of its due time."""
    make = Timers._event

    def anew(
        self: Timers, connection: Connection, row: TimerRow, event: Event, now: datetime
    ) -> Incoming | None:
        return make(self, connection, row, replace(event, id=uuid4().hex), now)

    put(Timers, "_event", anew)


def _own_clock(put: Put) -> None:
    """Say when a message is due by the worker's clock, not the database's."""
    run, insert = Decider.run, work.insert_work
    own = threading.local()

    def note(self: Decider, connection: Connection, batch: Sequence[Incoming], now: datetime) -> Decided:
        own.now = now
        return run(self, connection, batch, now)

    def insert_by_own(connection: Connection, rows: Iterable[WorkRow]) -> None:
        insert(connection, [replace(row, due_at=own.now) for row in rows])

    put(Decider, "run", note)
    put(notifying, "insert_work", insert_by_own)


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


def _delete_before_commit(put: Put) -> None:
    """Take rows off an outbox before they are stored."""

    def let_go(self: Outbox, lane: Urgency) -> int | None:
        with self._database.transaction() as connection:
            rows = connection.execute(outbox._TAKE, [lane.value, [], 100]).fetchall()
            connection.execute(outbox._DELETE, [[row[0] for row in rows]])
        self._ingest.arrivals([Arrival(payload=row[1].encode(), lane=lane, at=row[2]) for row in rows])
        return len(rows) or None

    put(Outbox, "_batch", let_go)


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
    put(
        notifying, "claim_notifications", lambda _connection, keys: {notification for _, notification in keys}
    )


def _no_second_look(put: Put) -> None:
    """Believe that whoever ends what mutes knows whom it mutes."""
    put(group_looks, "_LOOK_AGAIN", timedelta(days=9))


def _no_revoke(put: Put) -> None:
    """Leave workers what they claimed for an address whose entry was being committed."""
    put(suppressions, "revoke", lambda *_: 0)


def _no_recall(put: Put) -> None:
    """Take back what workers claimed after the commit of an entry only."""
    recall = suppressions.recall
    put(suppressions, "recall", lambda *_: 0)
    put(
        suppressions,
        "revoke",
        lambda database, addresses: database.retrying(lambda connection: recall(connection, set(addresses))),
    )


def _die_before_revoke(put: Put) -> None:
    """Die right after the commit of an entry; no safeguard, but what one stands against."""
    put(suppressions, "revoke", lambda _, addresses: addresses and os.kill(os.getpid(), signal.SIGKILL))


def _reports_dropped_first(put: Put) -> None:
    """Forget reports when they are taken, not when what follows from them is stored."""
    take = receipts.take_reports

    def take_and_drop(connection: Connection, limit: int) -> list[Waiting]:
        waiting = take(connection, limit)
        receipts.drop_reports(connection, [one.id for one in waiting])
        connection.execute("COMMIT")
        connection.execute("BEGIN")
        return waiting

    put(receipts, "take_reports", take_and_drop)


SABOTAGES: dict[str, Callable[[Put], None]] = {
    "no_second_look": _no_second_look,
    "no_revoke": _no_revoke,
    "no_recall": _no_recall,
    "die_before_revoke": _die_before_revoke,
    "reports_dropped_first": _reports_dropped_first,
    "no_mark": _no_mark,
    "no_claim": _no_claim,
    "no_token": _no_token,
    "no_insisting": _no_insisting,
    "no_grace": _no_grace,
    "no_patience": _no_patience,
    "ack_before_commit": _ack_before_commit,
    "delete_before_commit": _delete_before_commit,
    "no_take_over": _no_take_over,
    "no_sweep": _no_sweep,
    "no_event_key": _no_event_key,
    "no_notification_key": _no_notification_key,
    "untaken_unknowns": _untaken_unknowns,
    "untaken_timers": _untaken_timers,
    "no_fire_key": _no_fire_key,
    "own_clock": _own_clock,
    "blame_the_message": lines.blame_the_message,
    "dot_like_any_phase": lines.dot_like_any_phase,
    "new_id_each_try": lines.new_id_each_try,
    "lease_without_deadlines": lines.lease_without_deadlines,
    "patient_with_relays": lines.patient_with_relays,
    "patient_with_valkey": lines.patient_with_valkey,
    "patient_with_postgres": lines.patient_with_postgres,
    "patient_with_answers": lines.patient_with_answers,
    "keep_broken_connections": lines.keep_broken_connections,
    "flag_for_an_hour": lines.flag_for_an_hour,
    "no_new_group": lines.no_new_group,
    "group_from_now": lines.group_from_now,
    "hand_over_all": flows.hand_over_all,
    "rate_costs_tries": flows.rate_costs_tries,
}
