"""Keep the portal's inbox: what a person reads when they log in."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from notifier.store.database import Connection


@dataclass(frozen=True, slots=True)
class Reader:
    """Who a message is for, as long as the transaction lasts: id, wrapped key, and the sealed recipient."""

    person: UUID
    data_key: bytes
    recipient: bytes


def hold_reader(connection: Connection, message: UUID, tenant: str, address_index: bytes) -> Reader | None:
    """Return the message's reader, who cannot be erased before the commit; None where they were before."""
    row = connection.execute(
        """SELECT person.id, person.data_key, notification.sealed
           FROM person JOIN message ON message.id = %s
           JOIN notification ON notification.id = message.notification_id
           WHERE person.tenant = %s AND person.address_index = %s AND person.data_key IS NOT NULL
           FOR SHARE OF person""",
        [message, tenant, address_index],
        prepare=True,
    ).fetchone()
    return Reader(*row) if row else None


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
