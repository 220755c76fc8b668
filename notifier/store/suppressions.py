"""Keep whom not to send to: by keyed hash, per category or for all, each with its reason."""

from collections.abc import Sequence
from datetime import datetime

from notifier.store.database import Connection


def suppress(
    connection: Connection,
    tenant: str,
    address_index: bytes,
    reason: str,
    *,
    scope: str = "*",
    until: datetime | None = None,
) -> None:
    """Send nothing more to the address; the oldest reason stays."""
    connection.execute(
        """INSERT INTO suppression (tenant, address_index, scope, reason, until) VALUES (%s, %s, %s, %s, %s)
           ON CONFLICT (tenant, address_index, scope) DO UPDATE SET until = excluded.until""",
        [tenant, address_index, scope, reason, until],
    )


def release(connection: Connection, tenant: str, address_index: bytes, *, reason: str | None = None) -> int:
    """Allow sending again; return how many entries were removed: all, or those made for one reason."""
    return connection.execute(
        """DELETE FROM suppression WHERE tenant = %s AND address_index = %s
           AND (%s::text IS NULL OR reason = %s)""",
        [tenant, address_index, reason, reason],
    ).rowcount


def release_scopes(
    connection: Connection, tenant: str, address_index: bytes, scopes: Sequence[str], *, reason: str
) -> int:
    """Allow sending of these scopes again as far as one reason forbade it; return how many entries went."""
    return connection.execute(
        """DELETE FROM suppression WHERE tenant = %s AND address_index = %s AND scope = ANY (%s)
           AND reason = %s""",
        [tenant, address_index, list(scopes), reason],
    ).rowcount
