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
