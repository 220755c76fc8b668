"""List whom nothing may be sent to: keyed hashes with their causes, never an address."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from notifier.store.database import Connection

_ENTRIES: LiteralString = (
    "SELECT address_index, scope, cause, reason, since, until, message_id, note FROM suppression "
    "WHERE tenant = %s"
)
_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class SuppressionEntry:
    """An address that gets nothing, for one cause; fields in the query's order."""

    address_hash: str
    scope: str
    cause: str
    reason: str
    since: datetime
    until: datetime | None
    message_id: UUID | None
    """The message that came back or was complained of."""
    note: str | None


def list_suppressions(
    connection: Connection,
    tenant: str,
    *,
    address_index: bytes | None = None,
    cause: str | None = None,
    since: datetime | None = None,
    limit: int,
) -> list[SuppressionEntry]:
    """Return what must not be sent, the newest entries first; what is over keeps nothing back and is left out."""
    rows = connection.execute(
        _ENTRIES
        + """ AND (until IS NULL OR until > now())
              AND (%s::bytea IS NULL OR address_index = %s) AND (%s::text IS NULL OR cause = %s)
              AND (%s::timestamptz IS NULL OR since >= %s) ORDER BY since DESC, address_index LIMIT %s""",
        [tenant, address_index, address_index, cause, cause, since, since, limit],
    ).fetchall()
    return [SuppressionEntry(row[0].hex(), *row[1:]) for row in rows]


def all_suppressions(connection: Connection, tenant: str) -> Iterator[SuppressionEntry]:
    """Yield every entry of a tenant, however many there are."""
    with connection.transaction(), connection.cursor(name="suppressions") as cursor:
        cursor.itersize = _AT_ONCE
        cursor.execute(_ENTRIES + " ORDER BY address_index, scope, cause", [tenant])
        for row in cursor:
            yield SuppressionEntry(row[0].hex(), *row[1:])
