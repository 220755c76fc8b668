"""List messages of which nobody knows whether they arrived, and say what each waits for."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from notifier.store.database import Connection

_OLDEST_FIRST = """
SELECT m.id, m.tenant, m.type, m.subject, m.channel, m.relay, m.created_at, m.reason, w.state, w.due_at
FROM work w JOIN message m ON m.id = w.message_id
WHERE (w.state = 3 OR (w.may_have_arrived AND w.state IN (0, 2)))
  AND (%(tenant)s::text IS NULL OR m.tenant = %(tenant)s)
UNION ALL
SELECT m.id, m.tenant, m.type, m.subject, m.channel, m.relay, m.created_at, m.reason, NULL, NULL
FROM message m
WHERE m.status = 'unknown' AND m.id >= notifier_uuid7_floor(%(since)s)
  AND (%(tenant)s::text IS NULL OR m.tenant = %(tenant)s)
  AND NOT EXISTS (SELECT FROM work WHERE work.message_id = m.id)
ORDER BY 1 LIMIT %(limit)s"""
_HELD = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownMessage:
    """A message that may have arrived; ``waits_for`` is ``person``, ``retry``, or nothing: it was given up."""

    id: UUID
    tenant: str
    type: str
    subject: str
    channel: str
    relay: str | None
    created_at: datetime
    reason: str | None
    waits_for: str | None
    due_at: datetime | None


def list_unknown(
    connection: Connection, *, tenant: str | None, since: datetime, limit: int
) -> list[UnknownMessage]:
    """Return them, the oldest first; of those given up only what was made since then."""
    rows = connection.execute(_OLDEST_FIRST, {"tenant": tenant, "since": since, "limit": limit}).fetchall()
    return [
        UnknownMessage(
            id=row[0], tenant=row[1], type=row[2], subject=row[3], channel=row[4], relay=row[5], created_at=row[6],
            reason=row[7], waits_for=_waits_for(row[8]), due_at=row[9] if row[8] != _HELD else None,
        )
        for row in rows
    ]  # fmt: skip


def _waits_for(state: int | None) -> str | None:
    if state is None:
        return None
    return "person" if state == _HELD else "retry"
