"""Keep what becomes an event later: stuck subjects and schedules, one row each, taken with SKIP LOCKED."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from notifier.store.bulk import BulkInsert
from notifier.store.database import Connection


@dataclass(frozen=True, slots=True)
class TimerRow:
    """A row of ``timer``; fields in column order."""

    tenant: str
    key: str
    due_at: datetime
    event_type: str
    subject: str
    data_key: bytes
    sealed: bytes


_SET = BulkInsert(
    "timer",
    tenant="text",
    key="text",
    due_at="timestamptz",
    event_type="text",
    subject="text",
    data_key="bytea",
    sealed="bytea",
    then="""ON CONFLICT (tenant, key) DO UPDATE SET due_at = excluded.due_at, event_type = excluded.event_type,
            subject = excluded.subject, data_key = excluded.data_key, sealed = excluded.sealed""",
)


def set_timers(connection: Connection, rows: Iterable[TimerRow]) -> None:
    """Set or move timers; the last one of a key wins."""
    last = {(row.tenant, row.key): row for row in rows}
    _SET.run(
        connection,
        [tuple(getattr(last[key], name) for name in TimerRow.__slots__) for key in sorted(last)],
    )


def cancel_timers(connection: Connection, keys: Iterable[tuple[str, str]]) -> None:
    """Forget timers by (tenant, key)."""
    if wanted := sorted(set(keys)):
        connection.execute(
            """DELETE FROM timer USING unnest(%b::text[], %b::text[]) AS gone (tenant, key)
               WHERE timer.tenant = gone.tenant AND timer.key = gone.key""",
            [list(column) for column in zip(*wanted, strict=True)],
            prepare=True,
        )


def take_due(
    connection: Connection, now: datetime, limit: int, without: Collection[tuple[str, str]] = ()
) -> list[TimerRow]:
    """Remove and return timers that are due; gone for good only with the caller's commit.

    ``without``: (tenant, key) of those to leave alone.
    """
    tenants, keys = [tenant for tenant, _ in without], [key for _, key in without]
    rows = connection.execute(
        """DELETE FROM timer WHERE (tenant, key) IN
             (SELECT tenant, key FROM timer WHERE due_at <= %b
                AND (tenant, key) NOT IN (SELECT * FROM unnest(%b::text[], %b::text[]))
              ORDER BY due_at LIMIT %b FOR UPDATE SKIP LOCKED)
           RETURNING tenant, key, due_at, event_type, subject, data_key, sealed""",
        [now, tenants, keys, limit],
        prepare=True,
    ).fetchall()
    return [TimerRow(*row) for row in rows]


def take_this(connection: Connection, row: TimerRow) -> bool:
    """Remove a timer; False where it was moved or cancelled since, or is in somebody else's hands."""
    taken = connection.execute(
        """DELETE FROM timer WHERE (tenant, key) IN
             (SELECT tenant, key FROM timer WHERE tenant = %s AND key = %s AND due_at = %s
              FOR UPDATE SKIP LOCKED)""",
        [row.tenant, row.key, row.due_at],
    )
    return taken.rowcount > 0


def take_these(connection: Connection, keys: Iterable[tuple[str, str]], now: datetime) -> list[TimerRow]:
    """Remove and return those of the (tenant, key) pairs that are due and in nobody else's hands."""
    wanted = sorted(set(keys))
    if not wanted:
        return []
    rows = connection.execute(
        """DELETE FROM timer WHERE (tenant, key) IN
             (SELECT tenant, key FROM timer JOIN unnest(%b::text[], %b::text[]) AS wanted (tenant, key)
              USING (tenant, key) WHERE due_at <= %b FOR UPDATE OF timer SKIP LOCKED)
           RETURNING tenant, key, due_at, event_type, subject, data_key, sealed""",
        [*(list(column) for column in zip(*wanted, strict=True)), now],
        prepare=True,
    ).fetchall()
    return [TimerRow(*row) for row in rows]


def waiting_keys(connection: Connection, keys: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return those of the (tenant, key) pairs that have a timer."""
    wanted = sorted(set(keys))
    if not wanted:
        return set()
    rows = connection.execute(
        """SELECT tenant, key FROM timer JOIN unnest(%b::text[], %b::text[]) AS wanted (tenant, key)
           USING (tenant, key)""",
        [list(column) for column in zip(*wanted, strict=True)],
        prepare=True,
    ).fetchall()
    return {(row[0], row[1]) for row in rows}
