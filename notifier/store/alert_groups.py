"""Keep what is told together: groups of alerts, their members, and when each group speaks next.

A due group is taken with SKIP LOCKED, so two sweeps never speak for the same one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from notifier.crypto import Keyring
from notifier.store.bulk import BulkInsert
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


@dataclass(frozen=True, slots=True)
class MemberRow:
    """A member with its alert."""

    group_id: UUID
    alert_id: UUID
    told_firing: bool | None
    told_severity: int | None
    muted_by: str | None
    data_key: bytes | None
    sealed: bytes | None


_MEMBERS = BulkInsert(
    "alert_member",
    group_id="uuid",
    alert_id="uuid",
    tenant="text",
    then="ON CONFLICT DO NOTHING RETURNING group_id, alert_id",
)
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


def add_members(connection: Connection, members: Iterable[tuple[UUID, UUID, str]]) -> set[tuple[UUID, UUID]]:
    """Make alerts members of groups, given as (group, alert, tenant); return those that were none before."""
    rows = _MEMBERS.run(connection, sorted(set(members)))
    return {(row[0], row[1]) for row in rows}


def groups_of(connection: Connection, alerts: Sequence[UUID]) -> set[tuple[UUID, UUID]]:
    """Return (group, alert) of every membership of the alerts."""
    if not alerts:
        return set()
    # Looked up one by one: in a storm nobody has counted the rows yet, and the planner would read them all.
    rows = connection.execute(
        """SELECT member.group_id, wanted.id FROM unnest(%b::uuid[]) AS wanted (id) CROSS JOIN LATERAL
             (SELECT group_id FROM alert_member WHERE alert_id = wanted.id OFFSET 0) AS member""",
        [list(alerts)],
        prepare=True,
    ).fetchall()
    return {(row[0], row[1]) for row in rows}


def groups_muted_by(connection: Connection, tenant: str, reasons: Sequence[str]) -> set[UUID]:
    """Return the groups that have a member which one of the reasons mutes."""
    rows = connection.execute(
        "SELECT DISTINCT group_id FROM alert_member WHERE tenant = %b AND muted_by = ANY(%b)",
        [tenant, list(reasons)],
        prepare=True,
    ).fetchall()
    return {row[0] for row in rows}


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


def members_of(connection: Connection, groups: Sequence[UUID]) -> list[MemberRow]:
    """Return the members of groups with the state of their alerts."""
    rows = connection.execute(
        """SELECT group_id, alert_id, told_firing, told_severity, muted_by, data_key, sealed
           FROM alert_member JOIN alert ON alert.id = alert_member.alert_id
           WHERE group_id = ANY(%b) ORDER BY group_id, started_at, alert_id""",
        [list(groups)],
        prepare=True,
    ).fetchall()
    return [MemberRow(*row) for row in rows]


def live_groups(connection: Connection, groups: Sequence[UUID]) -> set[UUID]:
    """Return those of the groups in which something still fires; one that is closed has nothing."""
    if not groups:
        return set()
    rows = connection.execute(
        """SELECT DISTINCT group_id FROM alert_member JOIN alert ON alert.id = alert_member.alert_id
           WHERE group_id = ANY(%b) AND alert.status IN ('firing', 'acknowledged')""",
        [list(groups)],
        prepare=True,
    ).fetchall()
    return {row[0] for row in rows}


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


def save_members(
    connection: Connection, rows: Sequence[tuple[UUID, UUID, bool | None, int | None, str | None]]
) -> None:
    """Write what was told of members, and what mutes them: (group, alert, told_firing, told_severity, muted_by)."""
    if rows:
        connection.execute(
            """UPDATE alert_member SET told_firing = new.told_firing, told_severity = new.told_severity,
                      muted_by = new.muted_by
               FROM unnest(%b::uuid[], %b::uuid[], %b::boolean[], %b::smallint[], %b::text[])
                    AS new (group_id, alert_id, told_firing, told_severity, muted_by)
               WHERE alert_member.group_id = new.group_id AND alert_member.alert_id = new.alert_id""",
            [list(column) for column in zip(*sorted(rows, key=lambda row: row[:2]), strict=True)],
            prepare=True,
        )


def drop_members(connection: Connection, rows: Sequence[tuple[UUID, UUID]]) -> None:
    """Take (group, alert) apart: nothing fires and nobody believes that it does."""
    if rows:
        connection.execute(
            """DELETE FROM alert_member USING unnest(%b::uuid[], %b::uuid[]) AS gone (group_id, alert_id)
               WHERE alert_member.group_id = gone.group_id AND alert_member.alert_id = gone.alert_id""",
            [list(column) for column in zip(*sorted(rows), strict=True)],
            prepare=True,
        )


def close_groups(connection: Connection, ids: Sequence[UUID]) -> None:
    """Remove groups that are over, with their members."""
    if ids:
        connection.execute("DELETE FROM alert_group WHERE id = ANY(%b)", [list(ids)], prepare=True)


def drop_members_of(connection: Connection, alerts: Sequence[UUID]) -> None:
    """Take alerts out of all groups."""
    if alerts:
        connection.execute("DELETE FROM alert_member WHERE alert_id = ANY(%s)", [list(alerts)])


def believed_firing(connection: Connection, alerts: Sequence[UUID]) -> set[UUID]:
    """Return those of the alerts that somebody was told to fire, and not yet that they are over."""
    rows = connection.execute(
        "SELECT DISTINCT alert_id FROM alert_member WHERE alert_id = ANY(%s) AND told_firing", [list(alerts)]
    ).fetchall()
    return {row[0] for row in rows}


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


def end_members(connection: Connection, group: UUID) -> None:
    """End a group's alerts that are in no other: nobody knows their rule any more.

    Passes over those somebody else holds: alerts are locked before groups.
    """
    connection.execute(
        """UPDATE alert SET status = 'resolved', ended_at = now(), due_at = NULL, updated_at = now()
           WHERE id IN (SELECT alert.id FROM alert JOIN alert_member ON alert_id = alert.id
                        WHERE group_id = %s
                          AND NOT EXISTS (SELECT FROM alert_member AS other
                                          WHERE other.alert_id = alert.id AND other.group_id <> %s)
                        FOR UPDATE OF alert SKIP LOCKED)""",
        [group, group],
    )
