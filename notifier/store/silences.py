"""Keep who silenced what until when, with every change.

Stores matchers as texts; what they mean is the rules' part.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from notifier.rules.alerting.matchers import parse_matchers
from notifier.rules.alerting.silences import Silence
from notifier.store.database import Connection

_COLUMNS = "id, matchers::text, starts_at, ends_at, created_by, comment, updated_at"


def open_silences(connection: Connection, tenant: str, now: datetime) -> list[Silence]:
    """Return the silences of a tenant that are not over."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM silence WHERE tenant = %b AND ends_at > %b ORDER BY id",
        [tenant, now],
        prepare=True,
    ).fetchall()
    return [_silence(row) for row in rows]


def list_silences(connection: Connection, tenant: str, *, since: datetime) -> list[Silence]:
    """Return the silences of a tenant that were not over at a moment, newest first."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM silence WHERE tenant = %s AND ends_at > %s ORDER BY id DESC", [tenant, since]
    ).fetchall()
    return [_silence(row) for row in rows]


def lock_silence(connection: Connection, tenant: str, silence: UUID) -> Silence | None:
    """Lock and return a silence."""
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM silence WHERE tenant = %s AND id = %s FOR UPDATE", [tenant, silence]
    ).fetchone()
    return _silence(row) if row else None


def save_silence(connection: Connection, tenant: str, silence: Silence, *, by: str, what: str) -> None:
    """Add or change a silence, and write the change down."""
    matchers = [[str(one) for one in matcher_set] for matcher_set in silence.matcher_sets]
    connection.execute(
        """INSERT INTO silence (id, tenant, matchers, starts_at, ends_at, created_by, comment)
           VALUES (%s, %s, %s::jsonb, %s, %s, %s, %s)
           ON CONFLICT (id) DO UPDATE SET matchers = excluded.matchers, starts_at = excluded.starts_at,
             ends_at = excluded.ends_at, comment = excluded.comment, updated_at = now()""",
        [
            silence.id,
            tenant,
            orjson.dumps(matchers).decode(),
            silence.starts_at,
            silence.ends_at,
            silence.created_by,
            silence.comment,
        ],
    )
    connection.execute(
        "INSERT INTO silence_change (silence_id, tenant, by, what) VALUES (%s, %s, %s, %s)",
        [silence.id, tenant, by, what],
    )


def changes_of(connection: Connection, tenant: str, silence: UUID) -> list[tuple[datetime, str, str]]:
    """Return (when, by whom, what) of a silence's changes, oldest first."""
    rows = connection.execute(
        "SELECT at, by, what FROM silence_change WHERE tenant = %s AND silence_id = %s ORDER BY id",
        [tenant, silence],
    ).fetchall()
    return [(row[0], row[1], row[2]) for row in rows]


def _silence(row: Sequence[Any]) -> Silence:
    name, matchers, starts_at, ends_at, created_by, comment, updated_at = row
    return Silence(
        id=str(name),
        matcher_sets=tuple(
            tuple(matcher for text in texts for matcher in parse_matchers(text))
            for texts in orjson.loads(matchers)
        ),
        starts_at=starts_at,
        ends_at=ends_at,
        created_by=created_by,
        comment=comment,
        updated_at=updated_at,
    )
