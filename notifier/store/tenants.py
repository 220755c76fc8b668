"""Keep whom we work for, and whether their sending is paused."""

from typing import LiteralString
from uuid import UUID

from notifier.store.database import Connection


def known_tenants(connection: Connection) -> frozenset[str]:
    """Return all tenants' ids."""
    return frozenset(row[0] for row in connection.execute("SELECT id FROM tenant").fetchall())


def add_tenant(connection: Connection, tenant: str, name: str) -> bool:
    """Add a tenant; False where it exists."""
    row = connection.execute(
        "INSERT INTO tenant (id, name) VALUES (%s, %s) ON CONFLICT DO NOTHING RETURNING id", [tenant, name]
    ).fetchone()
    return row is not None


def set_paused(connection: Connection, tenant: str, *, paused: bool) -> int | None:
    """Stop or resume a tenant's sending; None where there is no such tenant.

    What waits comes to rest, so that claims by age need not step over it, and is woken again, batch by batch:
    stopped halfway, call it again. What is taken, or comes in, at this very moment is seen to by the gate of
    delivery and by :func:`wake_forgotten`.

    Returns:
        How many waiting messages came to rest, or were woken.
    """
    row = connection.execute(
        "UPDATE tenant SET paused_at = CASE WHEN %s THEN coalesce(paused_at, now()) END WHERE id = %s RETURNING id",
        [paused, tenant],
    ).fetchone()
    return _in_batches(connection, _REST if paused else _WAKE, tenant) if row is not None else None


_BATCH = 5_000
_BEGINNING = UUID(int=0)

_REST: LiteralString = """UPDATE work SET state = 2 WHERE message_id = ANY (ARRAY(
    SELECT message_id FROM work WHERE message_id > %s AND tenant = %s AND state = 0
    ORDER BY message_id LIMIT %s FOR UPDATE SKIP LOCKED)) RETURNING message_id"""
_WAKE: LiteralString = """UPDATE work SET state = 0 WHERE message_id = ANY (ARRAY(
    SELECT message_id FROM work WHERE message_id > %s AND tenant = %s AND state = 2
    ORDER BY message_id LIMIT %s FOR UPDATE SKIP LOCKED)) RETURNING message_id"""


def _in_batches(connection: Connection, statement: LiteralString, tenant: str) -> int:
    last, moved = _BEGINNING, 0
    while rows := connection.execute(statement, [last, tenant, _BATCH]).fetchall():
        last, moved = max(row[0] for row in rows), moved + len(rows)
    return moved


def wake_forgotten(connection: Connection) -> None:
    """Wake messages that rest although their tenant does not: they came in while it was resumed."""
    resumed = connection.execute(
        """WITH RECURSIVE resting AS (
             SELECT min(tenant) AS tenant FROM work WHERE state = 2
             UNION ALL
             SELECT (SELECT min(work.tenant) FROM work WHERE state = 2 AND work.tenant > resting.tenant)
             FROM resting WHERE resting.tenant IS NOT NULL)
           SELECT tenant FROM resting WHERE tenant IS NOT NULL
             AND NOT EXISTS (SELECT 1 FROM tenant AS t WHERE t.id = resting.tenant AND paused_at IS NOT NULL)""",
        prepare=True,
    ).fetchall()
    for row in resumed:
        connection.execute(_WAKE, [_BEGINNING, row[0], _BATCH])


def list_tenants(connection: Connection) -> list[tuple[str, str, bool]]:
    """Return (id, name, is paused) of each."""
    rows = connection.execute("SELECT id, name, paused_at IS NOT NULL FROM tenant ORDER BY id").fetchall()
    return [(row[0], row[1], row[2]) for row in rows]
