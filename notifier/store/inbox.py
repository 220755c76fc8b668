"""Keep the portal's inbox: what a person reads when they log in."""

from datetime import datetime
from uuid import UUID

from notifier.store.database import Connection


def put(connection: Connection, message: UUID, tenant: str, person: UUID, sealed: bytes) -> None:
    """Add an entry; the same message again changes nothing."""
    connection.execute(
        "INSERT INTO inbox (id, tenant, person_id, sealed) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
        [message, tenant, person, sealed],
    )


def entries(
    connection: Connection, tenant: str, person: UUID, limit: int
) -> list[tuple[UUID, datetime, bytes]]:
    """Return a person's newest entries."""
    rows = connection.execute(
        """SELECT id, created_at, sealed FROM inbox WHERE tenant = %s AND person_id = %s
           ORDER BY id DESC LIMIT %s""",
        [tenant, person, limit],
    ).fetchall()
    return [(row[0], row[1], row[2]) for row in rows]
