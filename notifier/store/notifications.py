"""Store notifications, each once per (tenant, cause, rule, recipient, reason, sequence)."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from notifier.store.bulk import BulkInsert
from notifier.store.database import Connection


@dataclass(frozen=True, slots=True)
class NotificationRow:
    """A row of ``notification`` as it is made; fields in column order."""

    id: UUID
    tenant: str
    event_id: UUID
    type: str
    category: str
    subject: str
    rule: str
    reason: str
    urgency: str
    template: str
    person_id: UUID
    sealed: bytes
    plan: str
    stage_rule: str | None
    stage: str | None
    stage_order: int | None
    deadline: datetime
    created_at: datetime
    ignore_quiet: bool | None = None


_KEYS = BulkInsert(
    "notification_key",
    digest="bytea",
    notification_id="uuid",
    then="ON CONFLICT DO NOTHING RETURNING notification_id",
)
_NOTIFICATIONS = BulkInsert(
    "notification",
    id="uuid",
    tenant="text",
    event_id="uuid",
    type="text",
    category="text",
    subject="text",
    rule="text",
    reason="text",
    urgency="text",
    template="text",
    person_id="uuid",
    sealed="bytea",
    plan="jsonb",
    stage_rule="text",
    stage="text",
    stage_order="integer",
    deadline="timestamptz",
    created_at="timestamptz",
    ignore_quiet="boolean",
)


def notification_digest(key: bytes, *parts: str) -> bytes:
    """Return the key of what must be told once; parts are length-prefixed, so that none runs into the next.

    Keyed: a bare hash would let whoever reads the table test guesses at who was told.
    """
    text = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.blake2b(text.encode(), digest_size=20, key=key, person=b"told-once").digest()


def claim_notifications(connection: Connection, keys: Sequence[tuple[bytes, UUID]]) -> set[UUID]:
    """Take the keys that are free; return the ids of those. The others were told before."""
    return {row[0] for row in _KEYS.run(connection, sorted(keys))}


def insert_notifications(connection: Connection, rows: Iterable[NotificationRow]) -> None:
    """Store notifications whose keys were claimed."""
    _NOTIFICATIONS.run(
        connection, ([getattr(row, name) for name in NotificationRow.__slots__] for row in rows)
    )


def settle_notification(connection: Connection, notification: UUID, state: str, reason: str | None) -> None:
    """Give the notification its final state, unless it has one."""
    connection.execute(
        """UPDATE notification SET state = %s, state_reason = %s, settled_at = now()
           WHERE id = %s AND state IN ('pending', 'unknown')""",
        [state, reason, notification],
    )


_SUPERSEDE = """
WITH fresh AS (
    SELECT DISTINCT n.person_id, m.channel, EXISTS (SELECT FROM held WHERE held.message_id = m.id) AS is_held
    FROM notification n JOIN message m ON m.notification_id = n.id
    WHERE n.event_id = %b AND n.id >= %b AND m.id >= %b AND m.status IN ('queued', 'deferred')),
stale AS (
    SELECT m.id AS message_id, n.id AS notification_id, fresh.is_held
    FROM event_key k JOIN notification n ON n.event_id = k.event_id AND n.state = 'pending'
    JOIN message m ON m.notification_id = n.id AND m.status IN ('queued', 'deferred')
    JOIN fresh ON fresh.person_id = n.person_id AND fresh.channel = m.channel
    WHERE k.tenant = %b AND k.source = %b AND k.external_id = ANY(%b)),
gone AS (
    DELETE FROM work USING stale
    WHERE work.message_id = stale.message_id AND work.state IN (0, 2) AND NOT work.may_have_arrived
    RETURNING work.message_id),
-- What waits together is sorted out when it is let go: then it is known whether anything was told before.
freed AS (
    DELETE FROM held USING stale WHERE held.message_id = stale.message_id AND NOT stale.is_held
    RETURNING held.message_id),
messages AS (
    UPDATE message SET status = 'superseded', reason = %b, settled_at = now()
    FROM (SELECT message_id FROM gone UNION SELECT message_id FROM freed) AS gone
    WHERE message.id = gone.message_id RETURNING message.notification_id)
UPDATE notification SET state = 'superseded', state_reason = %b, settled_at = now()
FROM messages WHERE notification.id = messages.notification_id
"""


def supersede(
    connection: Connection, event: UUID, *, tenant: str, source: str, before: Sequence[str], reason: str
) -> int:
    """End what earlier events of ours wait to tell the same people on the same channel; return how much.

    ``before``: the earlier events, as the producer, which is us, calls them. What is being sent goes on.
    """
    row = connection.execute(
        _SUPERSEDE, [event, event, event, tenant, source, list(before), reason, reason], prepare=True
    )
    return row.rowcount
