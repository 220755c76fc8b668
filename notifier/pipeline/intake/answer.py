"""Answer producers who ask what became of an event."""

from collections.abc import Mapping
from uuid import UUID

import orjson

from notifier.broker.intake import Intake
from notifier.client.receipts import NotificationResult, Result
from notifier.client.wire import Ask
from notifier.crypto import Keyring
from notifier.errors import NotifierError
from notifier.store.database import Connection, Database
from notifier.store.dead_letters import DeadLetterRow, find_by_key
from notifier.store.events import find_event

_NOTIFICATIONS = """
SELECT n.id, n.rule, n.state, n.state_reason, m.channel, coalesce(m.attempts, 0)
FROM notification n
LEFT JOIN LATERAL (SELECT channel, (sum(attempts) OVER ())::int AS attempts FROM message
                   WHERE notification_id = n.id ORDER BY id DESC LIMIT 1) m ON true
WHERE n.event_id = %s ORDER BY n.id
"""


_MARKS = 10_000
"""Requests of which is known what stood in the intake when they came; one forgotten is marked anew."""


class Answers:
    """Looks results up in the log.

    An event that was refused may have been sent again, corrected, and wait in the intake: its refusal is an answer
    only once what stood in its lane when the request came has been ingested.
    """

    def __init__(self, database: Database, keyring: Keyring, intake: Intake) -> None:
        self._database, self._keyring, self._intake = database, keyring, intake
        self._marks: dict[str, Mapping[str, bytes]] = {}

    def result(self, ask: Ask) -> Result | None:
        """Return the result, or None where it is not there yet."""
        result, lane = self._look(ask)
        if result is None or lane is not None:
            mark = self._mark(ask)
            if lane is not None:
                # What came before the request is stored by then: what was found first may be older.
                result = self._look(ask)[0] if self._intake.is_past(mark, lane) else None
        if result is not None:
            self._marks.pop(ask.reply, None)
        return result

    def _mark(self, ask: Ask) -> Mapping[str, bytes]:
        if ask.reply not in self._marks:
            if len(self._marks) >= _MARKS:
                del self._marks[next(iter(self._marks))]
            self._marks[ask.reply] = self._intake.mark()
        return self._marks[ask.reply]

    def _look(self, ask: Ask) -> tuple[Result | None, str | None]:
        """Return the result that is on record, and the lane of the event where that is a refusal."""
        with self._database.connection() as connection:
            event = find_event(connection, (ask.tenant, ask.source, ask.id))
            if event is None:
                letter = find_by_key(connection, ask.tenant, ask.source, ask.id)
                if letter is None or letter.retried_at is not None:
                    return None, None
                return _refusal(letter), letter.lane
            return self._made(connection, event, ask), None

    def _made(self, connection: Connection, event: UUID, ask: Ask) -> Result | None:
        notifications = _notifications(connection, event)
        if ask.until == "settled" and any(one.status == "pending" for one in notifications):
            return None
        return Result(
            state=ask.until,
            verdict="notified" if notifications else "silent",
            reasons=self._reasons(connection, event),
            notifications=notifications,
        )

    def _reasons(self, connection: Connection, event: UUID) -> tuple[str, ...]:
        row = connection.execute(
            "SELECT e.data_key, d.sealed FROM event e JOIN decision d ON d.event_id = e.id WHERE e.id = %s",
            [event],
        ).fetchone()
        if row is None:
            return ()
        try:
            trace = orjson.loads(self._keyring.open_data_key(row[0]).unseal(row[1], b"decision"))
        except NotifierError:
            return ()
        return tuple(f"{one['rule']}: {one['verdict']}: {one['reason']}" for one in trace)


def _refusal(letter: DeadLetterRow) -> Result:
    where = f"{letter.field}: " if letter.field else ""
    return Result(state="refused", verdict=letter.kind, reasons=(f"{where}{letter.error}",))


def _notifications(connection: Connection, event: UUID) -> tuple[NotificationResult, ...]:
    rows = connection.execute(_NOTIFICATIONS, [event]).fetchall()
    return tuple(
        NotificationResult(
            id=str(row[0]), rule=row[1], status=row[2], reason=row[3], channel=row[4], attempts=row[5]
        )
        for row in rows
    )
