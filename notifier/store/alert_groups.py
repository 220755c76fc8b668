"""Keep what is told together: groups of alerts, and when each group speaks next.

A due group is taken with SKIP LOCKED, so two sweeps never speak for the same one. Who belongs to a group stands in
``alert_members``.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from notifier.crypto import Keyring
from notifier.store.database import Connection
from notifier.store.notifications import notification_digest

GroupId = tuple[str, str, bytes]
"""Tenant, rule, keyed hash of route and labels."""


@dataclass(frozen=True, slots=True)
class GroupRow:
    """A row of ``alert_group``; fields in column order."""

    id: UUID
    tenant: str
    rule: str
    route: list[str]
    digest: bytes
    opened_at: datetime
    first_at: datetime | None
    tick_at: datetime | None
    told_at: datetime | None
    number: int
    reminders: int
    due_at: datetime | None
    data_key: bytes | None
    sealed: bytes


_COLUMNS = ", ".join(f"alert_group.{name}" for name in GroupRow.__slots__)


def group_id(keyring: Keyring, tenant: str, rule: str, key: str) -> GroupId:
    """Return what a group is found by."""
    return tenant, rule, notification_digest(keyring.index_key, "group", tenant, rule, key)


def open_groups(connection: Connection, rows: Sequence[GroupRow]) -> None:
    """Make the groups there are not yet."""
    if not rows:
        return
    connection.execute(
        """INSERT INTO alert_group (id, tenant, rule, route, digest, opened_at, data_key, sealed)
           SELECT id, tenant, rule, string_to_array(route, chr(31)), digest, opened_at, data_key, sealed
           FROM unnest(%b::uuid[], %b::text[], %b::text[], %b::text[], %b::bytea[], %b::timestamptz[],
                       %b::bytea[], %b::bytea[])
                AS new (id, tenant, rule, route, digest, opened_at, data_key, sealed)
           ON CONFLICT DO NOTHING""",
        [
            list(column)
            for column in zip(
                *(
                    (
                        row.id, row.tenant, row.rule, "\x1f".join(row.route), row.digest, row.opened_at,
                        row.data_key, row.sealed,
                    )
                    for row in sorted(rows, key=lambda row: (row.tenant, row.rule, row.digest))
                ),
                strict=True,
            )
        ],
        prepare=True,
    )  # fmt: skip


def find_groups(connection: Connection, ids: Iterable[GroupId]) -> dict[GroupId, UUID]:
    """Return the ids of the groups there are."""
    wanted = sorted(set(ids))
    if not wanted:
        return {}
    rows = connection.execute(
        """SELECT tenant, rule, digest, id FROM alert_group
           JOIN unnest(%b::text[], %b::text[], %b::bytea[]) AS wanted (tenant, rule, digest)
           USING (tenant, rule, digest)""",
        [list(column) for column in zip(*wanted, strict=True)],
        prepare=True,
    ).fetchall()
    return {(row[0], row[1], row[2]): row[3] for row in rows}


def lock_groups(connection: Connection, ids: Iterable[UUID]) -> dict[UUID, GroupRow]:
    """Lock groups, in the order of their ids, and return those that are still there."""
    wanted = sorted(set(ids))
    if not wanted:
        return {}
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM alert_group WHERE id = ANY(%b) ORDER BY id FOR UPDATE",
        [wanted],
        prepare=True,
    ).fetchall()
    return {row[0]: GroupRow(*row) for row in rows}


def plan_groups(connection: Connection, due: Sequence[tuple[UUID, datetime | None, datetime | None]]) -> None:
    """Write when groups speak next: (group, tick_at, due_at)."""
    if due:
        connection.execute(
            """UPDATE alert_group SET tick_at = new.tick_at, due_at = new.due_at
               FROM unnest(%b::uuid[], %b::timestamptz[], %b::timestamptz[]) AS new (id, tick_at, due_at)
               WHERE alert_group.id = new.id""",
            [list(column) for column in zip(*due, strict=True)],
            prepare=True,
        )


def take_due_groups(
    connection: Connection, now: datetime, limit: int, *, first_until: datetime | None = None
) -> list[GroupRow]:
    """Lock and return groups that are due, leaving alone what others hold.

    ``first_until``: groups that never spoke are taken only if they were due by then.
    """
    rows = connection.execute(
        f"""SELECT {_COLUMNS} FROM alert_group WHERE due_at <= %b AND (number > 0 OR due_at <= %b)
            ORDER BY due_at LIMIT %b FOR UPDATE SKIP LOCKED""",
        [now, first_until or now, limit],
        prepare=True,
    ).fetchall()
    return [GroupRow(*row) for row in rows]


def save_groups(connection: Connection, rows: Sequence[GroupRow]) -> None:
    """Write groups that are locked, after they were looked at."""
    if not rows:
        return
    names = ("id", "first_at", "tick_at", "told_at", "number", "reminders", "due_at", "data_key", "sealed")
    connection.execute(
        """UPDATE alert_group SET first_at = new.first_at, tick_at = new.tick_at, told_at = new.told_at,
                  number = new.number, reminders = new.reminders, due_at = new.due_at,
                  data_key = new.data_key, sealed = new.sealed
           FROM unnest(%b::uuid[], %b::timestamptz[], %b::timestamptz[], %b::timestamptz[], %b::integer[],
                       %b::integer[], %b::timestamptz[], %b::bytea[], %b::bytea[])
                AS new (id, first_at, tick_at, told_at, number, reminders, due_at, data_key, sealed)
           WHERE alert_group.id = new.id""",
        [
            list(column)
            for column in zip(*([getattr(row, name) for name in names] for row in rows), strict=True)
        ],
        prepare=True,
    )


def close_groups(connection: Connection, ids: Sequence[UUID]) -> None:
    """Remove groups that are over, with their members."""
    if ids:
        connection.execute("DELETE FROM alert_group WHERE id = ANY(%b)", [list(ids)], prepare=True)


def lock_groups_of(connection: Connection, tenant: str) -> list[GroupRow]:
    """Lock and return all groups of a tenant, in the order of their ids."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM alert_group WHERE tenant = %s ORDER BY id FOR UPDATE", [tenant]
    ).fetchall()
    return [GroupRow(*row) for row in rows]


def reseal_group(connection: Connection, group: UUID, data_key: bytes, sealed: bytes) -> None:
    """Replace what a group remembers, and the key with it."""
    connection.execute(
        "UPDATE alert_group SET data_key = %s, sealed = %s WHERE id = %s", [data_key, sealed, group]
    )
