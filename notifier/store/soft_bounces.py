"""Keep which messages to an address bounced in a way that may pass, for as long as a row of them counts.

By keyed hash, like the suppression list it leads to.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from notifier.delivery.fate import Earlier
from notifier.store.bulk import BulkInsert
from notifier.store.database import Connection

_LOCK = 7019285
_LOOKED_AT = 500
"""Of the messages to one address; more than any threshold."""
_KEPT_FOR = timedelta(days=90)
_AT_ONCE = 20_000

AddressKey = tuple[str, bytes]
"""Tenant and keyed hash of an address."""


@dataclass(frozen=True, slots=True)
class SoftBounce:
    """A message that bounced softly; fields in column order."""

    tenant: str
    address_index: bytes
    message_id: UUID
    at: datetime


_SOFT = BulkInsert(
    "soft_bounce",
    tenant="text",
    address_index="bytea",
    message_id="uuid",
    at="timestamptz",
    then="ON CONFLICT (tenant, address_index, message_id) DO UPDATE SET at = least(soft_bounce.at, excluded.at)",
)


def count_soft(connection: Connection, bounces: Iterable[SoftBounce]) -> None:
    """Note soft bounces, one per message; until the commit nobody else counts."""
    connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
    first: dict[tuple[str, bytes, UUID], SoftBounce] = {}
    for one in sorted(bounces, key=lambda one: one.at):
        first.setdefault((one.tenant, one.address_index, one.message_id), one)
    _SOFT.run(
        connection, ([getattr(first[key], name) for name in SoftBounce.__slots__] for key in sorted(first))
    )


def counted(
    connection: Connection, addresses: Iterable[AddressKey]
) -> dict[AddressKey, tuple[int, datetime]]:
    """Return how many soft bounces are kept of addresses, and when the last one was; only of those with any."""
    wanted = sorted(set(addresses))
    if not wanted:
        return {}
    tenants, indexes = zip(*wanted, strict=True)
    rows = connection.execute(
        """SELECT tenant, address_index, count(*), max(at) FROM soft_bounce
           JOIN unnest(%b::text[], %b::bytea[]) AS wanted (tenant, address_index) USING (tenant, address_index)
           GROUP BY tenant, address_index""",
        [list(tenants), list(indexes)],
    ).fetchall()
    return {(row[0], row[1]): (row[2], row[3]) for row in rows}


def earlier(connection: Connection, address: AddressKey, since: datetime) -> list[Earlier]:
    """Return what was sent to an address since then, the newest first."""
    rows = connection.execute(
        """SELECT m.status, m.fate, s.message_id IS NOT NULL FROM message m
           LEFT JOIN soft_bounce s ON s.tenant = m.tenant AND s.address_index = m.address_index
                                  AND s.message_id = m.id
           WHERE m.tenant = %s AND m.address_index = %s AND m.id >= notifier_uuid7_floor(%s)
           ORDER BY m.id DESC LIMIT %s""",
        [*address, since, _LOOKED_AT],
    ).fetchall()
    return [Earlier(*row) for row in rows]


def forget(connection: Connection, tenant: str, addresses: Iterable[bytes]) -> None:
    """Count anew from now on: somebody said that these addresses work."""
    connection.execute(
        "DELETE FROM soft_bounce WHERE tenant = %s AND address_index = ANY (%s)", [tenant, list(addresses)]
    )


def let_go(connection: Connection) -> int:
    """Delete what is too old to count; return how much."""
    return connection.execute(
        """DELETE FROM soft_bounce WHERE (tenant, address_index, message_id) IN (
             SELECT tenant, address_index, message_id FROM soft_bounce WHERE at < now() - %s LIMIT %s)""",
        [_KEPT_FOR, _AT_ONCE],
    ).rowcount
