"""Keep whom not to write to: by keyed hash, per category or for all, each with its cause and since when.

An address may stand here for several causes; lifting one leaves the others. Erasing a person leaves all of them:
a keyed hash is no address, and forgetting it would have us write again.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from notifier.recipients.suppression import ALL, Cause
from notifier.store.bulk import BulkInsert
from notifier.store.database import Connection, Database

KEPT_FOR = timedelta(days=90)
"""How long an entry that is over stays, for an export or an import that renews it; it keeps nothing back."""
_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SuppressionRow:
    """An entry as it is made."""

    tenant: str
    address_index: bytes
    scope: str
    cause: str
    reason: str
    since: datetime
    until: datetime | None = None
    message_id: UUID | None = None
    note: str | None = None


_UPSERT = BulkInsert(
    "suppression",
    tenant="text",
    address_index="bytea",
    scope="text",
    cause="text",
    reason="text",
    since="timestamptz",
    until="timestamptz",
    message_id="uuid",
    note="text",
    # The oldest reason stays, unless it was over; whoever asks for longer gets it, in whatever order they ask.
    then="""ON CONFLICT (tenant, address_index, scope, cause) DO UPDATE SET
        until = CASE WHEN excluded.until IS NULL OR suppression.until IS NULL THEN NULL
                     ELSE greatest(excluded.until, suppression.until) END,
        reason = CASE WHEN suppression.until <= now()
                        OR (excluded.since, excluded.reason) < (suppression.since, suppression.reason)
                      THEN excluded.reason ELSE suppression.reason END,
        message_id = CASE WHEN suppression.until <= now()
                            OR (excluded.since, excluded.reason) < (suppression.since, suppression.reason)
                          THEN excluded.message_id ELSE suppression.message_id END,
        since = CASE WHEN suppression.until <= now() THEN excluded.since
                     ELSE least(excluded.since, suppression.since) END,
        note = coalesce(excluded.note, suppression.note)
        RETURNING tenant, address_index, (xmax = 0)""",
)


def suppress_all(connection: Connection, rows: Iterable[SuppressionRow]) -> int:
    """Add entries, in an order that two who add the same share; return how many are new.

    What workers have claimed by now is taken back in the same transaction: who dies right after its commit leaves
    nothing on its way. After the commit, :func:`revoke` takes back what they claimed meanwhile.
    """
    kept: dict[tuple[str, bytes, str, str], SuppressionRow] = {}
    for row in rows:
        key = (row.tenant, row.address_index, row.scope, row.cause)
        kept[key] = _merged(kept[key], row) if key in kept else row
    values = [[getattr(kept[key], name) for name in SuppressionRow.__slots__] for key in sorted(kept)]
    count = sum(1 for row in _UPSERT.run(connection, values) if row[2])
    recall(connection, {(row.tenant, row.address_index) for row in kept.values()})
    return count


def _merged(one: SuppressionRow, other: SuppressionRow) -> SuppressionRow:
    """Return what two entries of a batch come to, as the table has it with two of one after the other."""
    older, newer = sorted((one, other), key=lambda row: (row.since, row.reason))
    ends = [row.until for row in (one, other) if row.until is not None]
    return replace(older, until=max(ends) if len(ends) == 2 else None, note=newer.note or older.note)  # noqa: PLR2004


def suppress(
    connection: Connection,
    tenant: str,
    address_index: bytes,
    reason: str,
    *,
    cause: Cause = Cause.MANUAL,
    scope: str = ALL,
    since: datetime | None = None,
    until: datetime | None = None,
    message: UUID | None = None,
    note: str | None = None,
) -> None:
    """Send nothing more to the address, as far as ``scope`` goes: ``*`` or a category."""
    since = since or _now(connection)
    row = SuppressionRow(
        tenant=tenant, address_index=address_index, scope=scope, cause=cause.value, reason=reason, since=since,
        until=until, message_id=message, note=note,
    )  # fmt: skip
    suppress_all(connection, [row])


def revoke(database: Database, addresses: Iterable[tuple[str, bytes]]) -> int:
    """Take back what workers have claimed for these (tenant, address) and not begun to send; return how many.

    Call it after the transaction that suppressed them has committed. A worker that claimed before and looked
    before loses its claim here, so its last compare-and-set fails; one that claims later sees the entry.
    """
    wanted = set(addresses)
    return database.retrying(lambda connection: recall(connection, wanted)) if wanted else 0


def recall(connection: Connection, addresses: Collection[tuple[str, bytes]]) -> int:
    """Take back what is claimed now and not being sent, within the caller's transaction; return how many."""
    if not addresses:
        return 0
    tenants, indexes = zip(*sorted(addresses), strict=True)
    # Locked in one order; what began to be sent while we waited for its lock is not touched.
    return connection.execute(
        """UPDATE work SET state = 0, token = NULL, due_at = now()
           WHERE state = 1 AND NOT is_sending AND message_id = ANY (ARRAY(
               SELECT work.message_id FROM work JOIN message ON message.id = work.message_id
               JOIN unnest(%b::text[], %b::bytea[]) AS wanted (tenant, address_index)
                 ON wanted.tenant = message.tenant AND wanted.address_index = message.address_index
               WHERE work.state = 1 AND NOT work.is_sending ORDER BY work.message_id FOR UPDATE OF work))""",
        [list(tenants), list(indexes)],
    ).rowcount


def release(
    connection: Connection,
    tenant: str,
    address_index: bytes,
    *,
    causes: Sequence[Cause] | None = None,
    scope: str | None = None,
) -> int:
    """Allow sending again; return how many entries were removed: all, or those of some causes or one scope."""
    return connection.execute(
        """DELETE FROM suppression WHERE tenant = %s AND address_index = %s
           AND (%s::text[] IS NULL OR cause = ANY (%s)) AND (%s::text IS NULL OR scope = %s)""",
        [
            tenant,
            address_index,
            *[None if causes is None else [one.value for one in causes]] * 2,
            scope,
            scope,
        ],
    ).rowcount


def let_go(connection: Connection) -> int:
    """Delete entries that were over long ago; return how many. One that is being renewed stays.

    What a message ended for stands with the message: nothing that was decided reads them again.
    """
    return connection.execute(
        """DELETE FROM suppression WHERE (tenant, address_index, scope, cause) IN (
             SELECT tenant, address_index, scope, cause FROM suppression WHERE until < now() - %s
             ORDER BY until LIMIT %s FOR UPDATE SKIP LOCKED)""",
        [KEPT_FOR, _AT_ONCE],
    ).rowcount


def _now(connection: Connection) -> Any:
    row = connection.execute("SELECT now()").fetchone()
    return row[0] if row else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which entries of a tenant; everything that is set must hold."""

    address_index: bytes | None = None
    cause: Cause | None = None
    scope: str | None = None
    since: datetime | None = None
    """Made since then."""
    before: datetime | None = None
    """Made before then."""


_CHOSEN = """tenant = %(tenant)s
    AND (%(index)s::bytea IS NULL OR address_index = %(index)s) AND (%(cause)s::text IS NULL OR cause = %(cause)s)
    AND (%(scope)s::text IS NULL OR scope = %(scope)s) AND (%(since)s::timestamptz IS NULL OR since >= %(since)s)
    AND (%(before)s::timestamptz IS NULL OR since < %(before)s)"""


def count_chosen(connection: Connection, tenant: str, chosen: Selection) -> int:
    """Return how many entries a selection has."""
    row = connection.execute(
        "SELECT count(*) FROM suppression WHERE " + _CHOSEN, _values(tenant, chosen)
    ).fetchone()
    return int(row[0]) if row else 0


def lift_chosen(
    connection: Connection, tenant: str, chosen: Selection, *, limit: int
) -> list[tuple[bytes, str]]:
    """Remove up to so many entries; return the address and cause of each."""
    rows = connection.execute(
        f"""DELETE FROM suppression WHERE (tenant, address_index, scope, cause) IN (
              SELECT tenant, address_index, scope, cause FROM suppression WHERE {_CHOSEN}
              ORDER BY address_index, scope, cause LIMIT %(limit)s FOR UPDATE)
            RETURNING address_index, cause""",
        {**_values(tenant, chosen), "limit": limit},
    ).fetchall()
    return [(row[0], row[1]) for row in rows]


def _values(tenant: str, chosen: Selection) -> dict[str, object]:
    return {
        "tenant": tenant,
        "index": chosen.address_index,
        "cause": chosen.cause.value if chosen.cause else None,
        "scope": chosen.scope,
        "since": chosen.since,
        "before": chosen.before,
    }
