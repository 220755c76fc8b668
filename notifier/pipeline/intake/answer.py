"""Answer producers who ask what became of an event."""

import orjson

from notifier.client.receipts import NotificationResult, Result
from notifier.client.wire import Ask
from notifier.crypto import Keyring
from notifier.errors import NotifierError
from notifier.store.database import Connection, Database
from notifier.store.dead_letters import find_by_key
from notifier.store.events import find_event

_NOTIFICATIONS = """
SELECT n.id, n.rule, n.state, n.state_reason, m.channel, coalesce(m.attempts, 0)
FROM notification n
LEFT JOIN LATERAL (SELECT channel, (sum(attempts) OVER ())::int AS attempts FROM message
                   WHERE notification_id = n.id ORDER BY id DESC LIMIT 1) m ON true
WHERE n.event_id = %s ORDER BY n.id
"""


class Answers:
    """Looks results up in the log."""

    def __init__(self, database: Database, keyring: Keyring) -> None:
        self._database, self._keyring = database, keyring

    def result(self, ask: Ask) -> Result | None:
        """Return the result, or None where it is not there yet."""
        with self._database.connection() as connection:
            event = find_event(connection, (ask.tenant, ask.source, ask.id))
            if event is None:
                letter = find_by_key(connection, ask.tenant, ask.source, ask.id)
                if letter is None or letter.retried_at is not None:
                    return None
                where = f"{letter.field}: " if letter.field else ""
                return Result(state="refused", verdict=letter.kind, reasons=(f"{where}{letter.error}",))
            notifications = _notifications(connection, event)
            if ask.until == "settled" and any(one.status == "pending" for one in notifications):
                return None
            return Result(
                state=ask.until,
                verdict="notified" if notifications else "silent",
                reasons=self._reasons(connection, event),
                notifications=notifications,
            )

    def _reasons(self, connection: Connection, event: object) -> tuple[str, ...]:
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


def _notifications(connection: Connection, event: object) -> tuple[NotificationResult, ...]:
    rows = connection.execute(_NOTIFICATIONS, [event]).fetchall()
    return tuple(
        NotificationResult(
            id=str(row[0]), rule=row[1], status=row[2], reason=row[3], channel=row[4], attempts=row[5]
        )
        for row in rows
    )
