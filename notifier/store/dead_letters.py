"""Keep what could not be processed, with its error, until somebody retries it."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from notifier.ids import uuid7
from notifier.store.database import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """An entry that was refused (the producer's mistake) or is poison (ours)."""

    kind: str
    tenant: str
    source: str
    external_id: str
    type: str | None
    field: str | None
    error: str
    lane: str
    data_key: bytes | None
    """None: erased, since somebody it spoke of asked to be forgotten."""
    sealed: bytes
    """The entry as it came, sealed under its own key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterRow(DeadLetter):
    """A stored dead letter."""

    id: UUID
    seen: int
    first_at: datetime
    last_at: datetime
    retried_at: datetime | None


def bury(connection: Connection, letter: DeadLetter) -> UUID:
    """Store the letter; the same entry again counts up and keeps the newest error.

    Names too long for the index are shortened; the entry itself is kept whole.
    """
    row = connection.execute(
        """INSERT INTO dead_letter (id, kind, tenant, source, external_id, type, field, error, lane, data_key, sealed)
           VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
           ON CONFLICT (tenant, source, external_id) DO UPDATE SET kind = excluded.kind, error = excluded.error,
             field = excluded.field, seen = dead_letter.seen + 1, last_at = now(), retried_at = NULL,
             data_key = excluded.data_key, sealed = excluded.sealed
           RETURNING id""",
        [
            uuid7(),
            letter.kind,
            *_short_key(letter.tenant, letter.source, letter.external_id),
            _short(letter.type) if letter.type else letter.type,
            letter.field,
            letter.error,
            letter.lane,
            letter.data_key,
            letter.sealed,
        ],
    ).fetchone()
    found: UUID = row[0] if row else uuid7()
    return found


_KEY_BYTES = 400


def _short_key(tenant: str, source: str, external_id: str) -> list[str]:
    return [_short(tenant), _short(source), _short(external_id)]


def _short(name: str) -> str:
    """Return a name that fits an index of three such (2,704 bytes), still one of its own."""
    whole = name.encode()
    if len(whole) <= _KEY_BYTES:
        return name
    return f"{name[: _KEY_BYTES // 2]}\u2026{hashlib.sha256(whole).hexdigest()[:16]}"


_COLUMNS = """id, kind, tenant, source, external_id, type, field, error, lane, data_key, sealed, seen, first_at,
              last_at, retried_at"""


def list_letters(connection: Connection, *, limit: int, before: UUID | None = None) -> list[DeadLetterRow]:
    """Return letters that wait, newest first; ``before`` is the last id of the page before."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM dead_letter WHERE retried_at IS NULL AND (%s::uuid IS NULL OR id < %s) "
        "ORDER BY id DESC LIMIT %s",
        [before, before, limit],
    ).fetchall()
    return [_row(row) for row in rows]


def find_letter(connection: Connection, letter: UUID) -> DeadLetterRow | None:
    """Return one letter."""
    row = connection.execute(f"SELECT {_COLUMNS} FROM dead_letter WHERE id = %s", [letter]).fetchone()
    return _row(row) if row else None


def find_by_key(connection: Connection, tenant: str, source: str, external_id: str) -> DeadLetterRow | None:
    """Return the letter of a producer's event."""
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM dead_letter WHERE tenant = %s AND source = %s AND external_id = %s",
        _short_key(tenant, source, external_id),
    ).fetchone()
    return _row(row) if row else None


def mark_retried(connection: Connection, letter: UUID) -> None:
    """Note that the entry was given back to the intake."""
    connection.execute("UPDATE dead_letter SET retried_at = now() WHERE id = %s", [letter])


_AT_ONCE = 20
"""Letters fetched at a time; each may have megabytes."""


def readable_letters(connection: Connection, tenant: str) -> Iterator[tuple[UUID, bytes, bytes]]:
    """Yield id, wrapped key and sealed entry of a tenant's letters, and of those that belong to no tenant.

    Within a transaction. A refused entry need not say where in it an address stands, nor be JSON at all, so
    nothing of its content is indexed: who looks for somebody opens them all.
    """
    with connection.cursor(name="readable_letters") as cursor:
        cursor.itersize = _AT_ONCE
        cursor.execute(
            """SELECT id, data_key, sealed FROM dead_letter
               WHERE data_key IS NOT NULL
                 AND (tenant = %s OR NOT EXISTS (SELECT 1 FROM tenant WHERE tenant.id = dead_letter.tenant))
               ORDER BY id""",
            [tenant],
        )
        yield from ((row[0], row[1], row[2]) for row in cursor)


def erase_letters(connection: Connection, letters: Sequence[UUID]) -> int:
    """Destroy the letters' keys, and what was said of their content; that they came in stays on record."""
    return connection.execute(
        """UPDATE dead_letter SET data_key = NULL, sealed = '', field = NULL, error = 'erased'
           WHERE id = ANY (%s) AND data_key IS NOT NULL""",
        [list(letters)],
    ).rowcount


def _row(row: tuple[object, ...]) -> DeadLetterRow:
    names = [name.strip() for name in _COLUMNS.split(",")]
    return DeadLetterRow(**dict(zip(names, row, strict=True)))  # type: ignore[arg-type]
