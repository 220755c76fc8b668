"""Keep which alerts belong to which groups, and what each group was told of them.

Decides nothing: who belongs where, and what is said, comes from the rules.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from notifier.store.bulk import BulkInsert
from notifier.store.database import Connection


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
