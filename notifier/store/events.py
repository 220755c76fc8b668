"""Store events and decisions, each event once per (tenant, source, producer's id)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from notifier.store.bulk import BulkInsert
from notifier.store.database import Connection

EventKey = tuple[str, str, str]
"""Tenant, source, producer's id."""


@dataclass(frozen=True, slots=True)
class EventRow:
    """A row of ``event``; fields in column order."""

    id: UUID
    tenant: str
    source: str
    external_id: str
    type: str
    subject: str
    time: datetime
    received_at: datetime
    lane: str
    data_key: bytes
    sealed: bytes


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """A row of ``decision``; fields in column order."""

    event_id: UUID
    tenant: str
    rules_hash: str
    notified: int
    sealed: bytes


_KEYS = BulkInsert(
    "event_key",
    tenant="text",
    source="text",
    external_id="text",
    event_id="uuid",
    then="ON CONFLICT DO NOTHING RETURNING event_id",
)
_EVENTS = BulkInsert(
    "event",
    id="uuid",
    tenant="text",
    source="text",
    external_id="text",
    type="text",
    subject="text",
    time="timestamptz",
    received_at="timestamptz",
    lane="text",
    data_key="bytea",
    sealed="bytea",
)
_DECISIONS = BulkInsert(
    "decision", event_id="uuid", tenant="text", rules_hash="text", notified="integer", sealed="bytea"
)


def claim_keys(connection: Connection, keys: Sequence[tuple[EventKey, UUID]]) -> set[UUID]:
    """Take the keys that are free and return the ids of those: the others are events stored before."""
    rows = ((*key, event_id) for key, event_id in sorted(keys))
    return {row[0] for row in _KEYS.run(connection, rows)}


def insert_events(connection: Connection, rows: Iterable[EventRow]) -> None:
    """Store the events."""
    _EVENTS.run(connection, (_values(row) for row in rows))


def insert_decisions(connection: Connection, rows: Iterable[DecisionRow]) -> None:
    """Store what the rules made of them."""
    _DECISIONS.run(connection, (_values(row) for row in rows))


def find_event(connection: Connection, key: EventKey) -> UUID | None:
    """Return our id of a producer's event."""
    row = connection.execute(
        "SELECT event_id FROM event_key WHERE tenant = %s AND source = %s AND external_id = %s", key
    ).fetchone()
    return row[0] if row else None


def _values(row: EventRow | DecisionRow) -> tuple[object, ...]:
    return tuple(getattr(row, name) for name in row.__slots__)
