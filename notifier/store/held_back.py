"""Find messages that ended because their address was suppressed, and put them back where they wait to be sent."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from notifier.store.database import Connection

_OLDEST = timedelta(days=40)
"""Beyond every deadline."""


def held_back(
    connection: Connection, tenant: str, addresses: Sequence[bytes], *, reason: str, now: datetime
) -> list[UUID]:
    """Lock and return the messages that are still of use, the oldest first; none where the person was told otherwise.

    Args:
        connection: The caller's transaction.
        tenant: Whose addresses these are.
        addresses: Keyed hashes.
        reason: How the gate's reason begins where a suppression ended a message.
        now: A deadline that is over is over.
    """
    rows = connection.execute(
        """SELECT m.id FROM message m JOIN notification n ON n.id = m.notification_id
           WHERE m.tenant = %s AND m.address_index = ANY (%s) AND m.status = 'suppressed'
             AND starts_with(m.reason, %s) AND n.deadline > %s AND n.state IN ('suppressed', 'failed', 'expired')
             AND m.id >= notifier_uuid7_floor(%s)
             AND NOT EXISTS (SELECT FROM message o WHERE o.notification_id = m.notification_id
                               AND o.status IN ('queued', 'deferred', 'unknown'))
           ORDER BY m.id FOR UPDATE OF m""",
        [tenant, list(addresses), reason, now, now - _OLDEST],
    ).fetchall()
    return [row[0] for row in rows]


def reopen(connection: Connection, messages: Sequence[UUID]) -> None:
    """Have messages, and their notifications, wait again."""
    connection.execute(
        """WITH again AS (
             UPDATE message SET status = 'queued', reason = 'queued again: the address may be written to again',
                    settled_at = NULL WHERE id = ANY (%s) RETURNING notification_id)
           UPDATE notification SET state = 'pending', state_reason = NULL, settled_at = NULL
           FROM again WHERE notification.id = again.notification_id""",
        [list(messages)],
    )
