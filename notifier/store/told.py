"""Keep when people were told on a channel, as far back as a budget or a digest asks."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from notifier.store.bulk import BulkInsert
from notifier.store.database import Connection

MEMORY = timedelta(days=32)
"""No digest is gathered for longer than 31 days; what is older counts for nothing."""


@dataclass(frozen=True, slots=True)
class ToldRow:
    """A row of ``told``; fields in column order."""

    tenant: str
    person_id: UUID
    channel: str
    category: str
    at: datetime


_TOLD = BulkInsert("told", tenant="text", person_id="uuid", channel="text", category="text", at="timestamptz")


def insert_told(connection: Connection, rows: Iterable[ToldRow]) -> None:
    """Note that people are told now, in the transaction that makes their messages."""
    _TOLD.run(connection, ([getattr(row, name) for name in ToldRow.__slots__] for row in rows))


def lock_told(connection: Connection, persons: Iterable[UUID]) -> None:
    """Let nobody else count the same people's messages until the commit; in order, against a ring of waits."""
    connection.execute(
        "SELECT pg_advisory_xact_lock(key) FROM unnest(%b::bigint[]) AS key",
        [sorted({_key(person) for person in persons})],
        prepare=True,
    )


def try_lock_told(connection: Connection, person: UUID) -> bool:
    """Do the same for one person, unless somebody else does."""
    row = connection.execute("SELECT pg_try_advisory_xact_lock(%s)", [_key(person)]).fetchone()
    return bool(row and row[0])


def load_told(
    connection: Connection, persons: Sequence[tuple[str, UUID]], since: datetime
) -> list[tuple[UUID, str, str, datetime]]:
    """Return (person, channel, category, at) of (tenant, person): all since then, and the newest before."""
    rows = connection.execute(
        """SELECT told.person_id, told.channel, told.category, told.at
           FROM unnest(%b::text[], %b::uuid[]) AS wanted (tenant, person_id)
           JOIN told USING (tenant, person_id) WHERE told.at > %b
           UNION ALL
           SELECT told.person_id, told.channel, told.category, max(told.at)
           FROM unnest(%b::text[], %b::uuid[]) AS wanted (tenant, person_id)
           JOIN told USING (tenant, person_id) WHERE told.at <= %b
           GROUP BY told.person_id, told.channel, told.category""",
        [*([list(column) for column in zip(*persons, strict=True)] + [since]) * 2],
        prepare=True,
    ).fetchall()
    return [(row[0], row[1], row[2], row[3]) for row in rows]


def forget_told(connection: Connection, now: datetime, memory: timedelta) -> int:
    """Delete what counts no more: beyond ``memory`` only the newest of each channel and category does."""
    return connection.execute(
        """DELETE FROM told WHERE at < %s AND (at < %s OR EXISTS (
             SELECT 1 FROM told newer
             WHERE newer.tenant = told.tenant AND newer.person_id = told.person_id
               AND newer.channel = told.channel AND newer.category = told.category
               AND (newer.at, newer.ctid) > (told.at, told.ctid)))""",
        [now - memory, now - MEMORY],
    ).rowcount


def _key(person: UUID) -> int:
    """Return a lock's number: the random half of the id, as a signed integer."""
    return int.from_bytes(person.bytes[8:], signed=True)
