"""Keep messages that wait for quiet hours to end, for room, or for a digest.

What has the same digest key is told together. Nothing here is claimed: a bin is taken under its person's lock.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from notifier.store.bulk import BulkInsert
from notifier.store.database import Connection


@dataclass(frozen=True, slots=True)
class HeldRow:
    """A row of ``held``; fields in column order."""

    message_id: UUID
    notification_id: UUID
    tenant: str
    person_id: UUID
    digest_key: str
    arrived_at: datetime
    until: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Bin:
    """What waits for a person under one key."""

    tenant: str
    person_id: UUID
    digest_key: str


_HELD = BulkInsert(
    "held",
    message_id="uuid",
    notification_id="uuid",
    tenant="text",
    person_id="uuid",
    digest_key="text",
    arrived_at="timestamptz",
    until="timestamptz",
    reason="text",
)
_COLUMNS = ", ".join(HeldRow.__slots__)


def insert_held(connection: Connection, rows: Sequence[HeldRow]) -> None:
    """Hold messages that were just made, and say on them and their notifications what they wait for."""
    if not rows:
        return
    _HELD.run(connection, ([getattr(row, name) for name in HeldRow.__slots__] for row in rows))
    _say(connection, [(row.message_id, row.notification_id, row.reason) for row in rows], "deferred")


def put_off(connection: Connection, rows: Sequence[HeldRow], until: datetime, reason: str) -> None:
    """Hold messages longer."""
    connection.execute(
        "UPDATE held SET until = %s, reason = %s WHERE message_id = ANY (%s)",
        [until, reason, [row.message_id for row in rows]],
    )
    _say(connection, [(row.message_id, row.notification_id, reason) for row in rows], "deferred")


def put_aside(connection: Connection, bin_: Bin, now: datetime, until: datetime) -> None:
    """Look again later at a bin that cannot be told."""
    connection.execute(
        """UPDATE held SET until = %s
           WHERE tenant = %s AND person_id = %s AND digest_key = %s AND until <= %s""",
        [until, bin_.tenant, bin_.person_id, bin_.digest_key, now],
    )


def due_bins(connection: Connection, now: datetime, limit: int) -> list[Bin]:
    """Return bins in which something is due, the longest due first."""
    rows = connection.execute(
        """SELECT tenant, person_id, digest_key FROM held WHERE until <= %s
           GROUP BY tenant, person_id, digest_key ORDER BY min(until) LIMIT %s""",
        [now, limit],
        prepare=True,
    ).fetchall()
    return [Bin(*row) for row in rows]


def take_bin(connection: Connection, bin_: Bin, now: datetime, limit: int) -> list[HeldRow]:
    """Lock and return what is due in a bin, oldest first."""
    rows = connection.execute(
        f"""SELECT {_COLUMNS} FROM held
            WHERE tenant = %s AND person_id = %s AND digest_key = %s AND until <= %s
            ORDER BY arrived_at, message_id LIMIT %s FOR UPDATE SKIP LOCKED""",
        [bin_.tenant, bin_.person_id, bin_.digest_key, now, limit],
    ).fetchall()
    return [HeldRow(*row) for row in rows]


def drop_held(connection: Connection, messages: Iterable[UUID]) -> None:
    """Hold messages no longer."""
    connection.execute("DELETE FROM held WHERE message_id = ANY (%s)", [list(messages)])


def oldest_held(
    connection: Connection, persons: Sequence[tuple[str, UUID]]
) -> dict[tuple[UUID, str], datetime]:
    """Return when the oldest of each bin arrived, by (person, digest key), for (tenant, person)."""
    rows = connection.execute(
        """SELECT person_id, digest_key, min(arrived_at)
           FROM unnest(%b::text[], %b::uuid[]) AS wanted (tenant, person_id)
           JOIN held USING (tenant, person_id) GROUP BY person_id, digest_key""",
        [list(column) for column in zip(*persons, strict=True)],
        prepare=True,
    ).fetchall()
    return {(row[0], row[1]): row[2] for row in rows}


def settle_untold(connection: Connection, rows: Sequence[tuple[UUID, UUID, str, str]]) -> None:
    """End messages nobody sends, and their notifications: (message, notification, status, reason)."""
    if not rows:
        return
    columns = [list(column) for column in zip(*rows, strict=True)]
    connection.execute(
        """UPDATE message SET status = new.status, reason = new.reason, settled_at = now()
           FROM unnest(%b::uuid[], %b::uuid[], %b::text[], %b::text[]) AS new (id, notification, status, reason)
           WHERE message.id = new.id""",
        columns,
    )
    connection.execute(
        """UPDATE notification SET state = new.status, state_reason = new.reason, settled_at = now()
           FROM unnest(%b::uuid[], %b::uuid[], %b::text[], %b::text[]) AS new (id, notification, status, reason)
           WHERE notification.id = new.notification AND state = 'pending'""",
        columns,
    )


def free(connection: Connection, rows: Sequence[tuple[UUID, UUID, datetime]], now: datetime) -> None:
    """Let messages go: (message, notification, deadline). They count as made now."""
    ids, notifications, deadlines = [list(column) for column in zip(*rows, strict=True)]
    connection.execute(
        "UPDATE message SET status = 'queued', reason = NULL, created_at = %s WHERE id = ANY (%s)",
        [now, ids],
    )
    connection.execute(
        """UPDATE notification SET state_reason = NULL, deadline = new.deadline
           FROM unnest(%b::uuid[], %b::timestamptz[]) AS new (id, deadline)
           WHERE notification.id = new.id AND state = 'pending'""",
        [notifications, deadlines],
    )


def let_go(connection: Connection, person: UUID) -> int:
    """End what is held for a person whose data is destroyed; return how many messages."""
    rows = connection.execute(
        """DELETE FROM held USING person
           WHERE person.id = %s AND held.tenant = person.tenant AND held.person_id = person.id
           RETURNING message_id, notification_id""",
        [person],
    ).fetchall()
    settle_untold(
        connection, [(row[0], row[1], "suppressed", "the person's data was erased") for row in rows]
    )
    return len(rows)


def _say(connection: Connection, rows: Sequence[tuple[UUID, UUID, str]], status: str) -> None:
    messages, notifications, reasons = [list(column) for column in zip(*rows, strict=True)]
    connection.execute(
        """UPDATE message SET status = %b, reason = new.reason
           FROM unnest(%b::uuid[], %b::text[]) AS new (id, reason) WHERE message.id = new.id""",
        [status, messages, reasons],
    )
    connection.execute(
        """UPDATE notification SET state_reason = new.reason
           FROM unnest(%b::uuid[], %b::text[]) AS new (id, reason) WHERE notification.id = new.id""",
        [notifications, reasons],
    )


def hold_person(connection: Connection, person: UUID) -> bool:
    """Keep a person from being erased before the commit; False where they were already."""
    row = connection.execute(
        "SELECT 1 FROM person WHERE id = %s AND data_key IS NOT NULL FOR SHARE", [person]
    ).fetchone()
    return row is not None
