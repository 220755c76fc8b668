"""Store messages, their attempts and bodies."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import lz4.block

from notifier.store.bulk import BulkInsert
from notifier.store.database import Connection


@dataclass(frozen=True, slots=True)
class MessageRow:
    """A row of ``message`` as it is made; fields in column order."""

    id: UUID
    tenant: str
    notification_id: UUID
    event_id: UUID
    type: str
    subject: str
    channel: str
    lane: str
    person_id: UUID
    address_index: bytes
    position: int
    created_at: datetime
    resend_of: UUID | None = None


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """A row of ``attempt``; fields in column order. ``sealed`` is the server's text, under the person's key."""

    id: UUID
    message_id: UUID
    tenant: str
    number: int
    relay: str
    started_at: datetime
    finished_at: datetime
    outcome: str
    reason: str | None
    phase: str | None
    code: int | None
    enhanced: str | None
    sealed: bytes | None
    remote_id: str | None = None
    """What the other side calls the message."""


_MESSAGES = BulkInsert(
    "message",
    id="uuid",
    tenant="text",
    notification_id="uuid",
    event_id="uuid",
    type="text",
    subject="text",
    channel="text",
    lane="text",
    person_id="uuid",
    address_index="bytea",
    position="smallint",
    created_at="timestamptz",
    resend_of="uuid",
)
_ATTEMPTS = BulkInsert(
    "attempt",
    id="uuid",
    message_id="uuid",
    tenant="text",
    number="smallint",
    relay="text",
    started_at="timestamptz",
    finished_at="timestamptz",
    outcome="text",
    reason="text",
    phase="text",
    code="smallint",
    enhanced="text",
    sealed="bytea",
    remote_id="text",
    # An answer of the database that was lost has the try recorded again.
    then="ON CONFLICT (id) DO NOTHING",
)
_BODIES = BulkInsert(
    "body",
    message_id="uuid",
    tenant="text",
    sealed="bytea",
    then="ON CONFLICT (message_id) DO UPDATE SET sealed = excluded.sealed",
)


def insert_messages(connection: Connection, rows: Iterable[MessageRow]) -> None:
    """Store messages."""
    _MESSAGES.run(connection, ([getattr(row, name) for name in MessageRow.__slots__] for row in rows))


def insert_attempt(connection: Connection, row: AttemptRow) -> None:
    """Store one try and count it on its message."""
    _ATTEMPTS.run(connection, [[getattr(row, name) for name in AttemptRow.__slots__]])
    connection.execute(
        "UPDATE message SET attempts = %s, relay = %s WHERE id = %s", [row.number, row.relay, row.message_id]
    )


def set_status(
    connection: Connection, message: UUID, status: str, reason: str | None, *, is_final: bool
) -> None:
    """Write where the message stands."""
    connection.execute(
        """UPDATE message SET status = %s, reason = %s, settled_at = CASE WHEN %s THEN now() END WHERE id = %s""",
        [status, reason, is_final, message],
    )


def save_bodies(connection: Connection, rows: Iterable[tuple[UUID, str, bytes]]) -> None:
    """Keep what is about to be said: (message, tenant, sealed content)."""
    _BODIES.run(connection, rows)


def bodies_of(connection: Connection, messages: Iterable[UUID]) -> list[tuple[UUID, bytes]]:
    """Return what is kept of messages, sealed; those past retention are not among them."""
    return connection.execute(
        "SELECT message_id, sealed FROM body WHERE message_id = ANY (%s)", [list(messages)], prepare=True
    ).fetchall()


def pack(text: bytes) -> bytes:
    """Shrink a body before it is sealed: lz4, for a fifth of zlib's time at two thirds of its effect."""
    packed: bytes = lz4.block.compress(text)
    return packed


def unpack(packed: bytes) -> bytes:
    """Undo :func:`pack`."""
    text: bytes = lz4.block.decompress(packed)
    return text
