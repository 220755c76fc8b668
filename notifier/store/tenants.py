"""Keep whom we work for, and whether their sending is paused."""

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


def set_paused(connection: Connection, tenant: str, *, paused: bool) -> bool:
    """Stop or resume a tenant's sending; False where there is no such tenant."""
    row = connection.execute(
        "UPDATE tenant SET paused_at = CASE WHEN %s THEN coalesce(paused_at, now()) END WHERE id = %s RETURNING id",
        [paused, tenant],
    ).fetchone()
    return row is not None


def list_tenants(connection: Connection) -> list[tuple[str, str, bool]]:
    """Return (id, name, is paused) of each."""
    rows = connection.execute("SELECT id, name, paused_at IS NOT NULL FROM tenant ORDER BY id").fetchall()
    return [(row[0], row[1], row[2]) for row in rows]
