"""Find and change what is stored about a person who asked to be forgotten, within the caller's transaction.

Decides nothing and opens nothing: sealed fields go out sealed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from notifier.store.database import Connection

# Erasures wait for each other: two recipients of one event, erased at once, must not each count as the
# other's reason to keep it.
_LOCK = 7019284
_AT_ONCE = 50
"""Rows fetched at a time; an event with files may have megabytes."""


@dataclass(frozen=True, slots=True)
class Told:
    """One notification of the person, with its event; fields in the query's order."""

    recipient: bytes
    event_id: UUID
    type: str
    subject: str
    data_key: bytes | None
    sealed: bytes
    decision: bytes | None
    is_shared: bool
    """Somebody else, not erased, was told of the event too."""
    messages: int
    waiting: int


@dataclass(frozen=True, slots=True)
class WaitingTimer:
    """A timer of a subject the person was told about."""

    key: str
    event_type: str
    subject: str
    data_key: bytes | None
    sealed: bytes


def lock_person(connection: Connection, tenant: str, address_index: bytes) -> tuple[UUID, bytes] | None:
    """Return the person's id and wrapped key; until the commit nobody else writes about them, or erases."""
    connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
    row = connection.execute(
        """SELECT id, data_key FROM person
           WHERE tenant = %s AND address_index = %s AND data_key IS NOT NULL FOR UPDATE""",
        [tenant, address_index],
    ).fetchone()
    return (row[0], row[1]) if row else None


def contacts_of(connection: Connection, person: UUID) -> list[tuple[str, bytes]]:
    """Return reference and sealed fields of the person's entries in the address book."""
    rows = connection.execute("SELECT reference, sealed FROM contact WHERE person_id = %s", [person])
    return [(row[0], row[1]) for row in rows.fetchall()]


def recipients_of(connection: Connection, person: UUID) -> Iterator[bytes]:
    """Yield each notification's sealed recipient."""
    with connection.cursor(name="recipients_of") as cursor:
        cursor.itersize = 1000
        cursor.execute("SELECT sealed FROM notification WHERE person_id = %s", [person])
        yield from (row[0] for row in cursor)


def told(connection: Connection, person: UUID) -> Iterator[Told]:
    """Yield what the person was told, the notifications of one event after each other."""
    with connection.cursor(name="told") as cursor:
        cursor.itersize = _AT_ONCE
        cursor.execute(
            """SELECT n.sealed, e.id, e.type, e.subject, e.data_key, e.sealed, d.sealed,
                      EXISTS (SELECT 1 FROM notification o JOIN person p ON p.id = o.person_id
                              WHERE o.event_id = n.event_id AND o.person_id <> n.person_id
                                AND p.data_key IS NOT NULL),
                      (SELECT count(*) FROM message m WHERE m.notification_id = n.id),
                      (SELECT count(*) FROM message m JOIN work w ON w.message_id = m.id
                       WHERE m.notification_id = n.id AND w.state < 3)
                      + (SELECT count(*) FROM message m JOIN held h ON h.message_id = m.id
                         WHERE m.notification_id = n.id)
               FROM notification n JOIN event e ON e.id = n.event_id
               LEFT JOIN decision d ON d.event_id = e.id
               WHERE n.person_id = %s ORDER BY n.event_id, n.id""",
            [person],
        )
        yield from (Told(*row) for row in cursor)


def digests_of(connection: Connection, events: Sequence[UUID], person: UUID) -> list[Told]:
    """Return the digests in which others were told of events: they repeat what these said."""
    rows = connection.execute(
        """SELECT ''::bytea, e.id, e.type, e.subject, e.data_key, e.sealed, d.sealed, true, 0, 0
           FROM (SELECT DISTINCT substring(state_reason FROM 'told in the digest (.+)')::uuid AS id
                 FROM notification
                 WHERE event_id = ANY (%s) AND person_id <> %s
                   AND starts_with(state_reason, 'told in the digest ')) AS digest
           JOIN event e ON e.id = digest.id AND e.data_key IS NOT NULL
           LEFT JOIN decision d ON d.event_id = e.id ORDER BY e.id""",
        [list(events), person],
    ).fetchall()
    return [Told(*row) for row in rows]


def destroy_events(connection: Connection, events: Sequence[UUID]) -> None:
    """Destroy the keys of events nobody else was told of."""
    connection.execute("UPDATE event SET data_key = NULL WHERE id = ANY (%s)", [list(events)])


def rewrite_event(
    connection: Connection, event: UUID, data_key: bytes, sealed: bytes, decision: bytes | None
) -> None:
    """Replace an event's data, and the key with it: what was there before cannot be read any more."""
    connection.execute("UPDATE event SET data_key = %s, sealed = %s WHERE id = %s", [data_key, sealed, event])
    if decision is not None:
        connection.execute("UPDATE decision SET sealed = %s WHERE event_id = %s", [decision, event])


_MESSAGES_OF_OTHERS = """(SELECT m.id FROM notification n JOIN message m ON m.notification_id = n.id
                          WHERE n.event_id = ANY (%s) AND n.person_id <> %s)"""


def forget_contents(connection: Connection, events: Sequence[UUID], person: UUID) -> tuple[int, int]:
    """Delete what others were told of events that were about the person: kept bodies, and inbox entries."""
    of = [list(events), person]
    bodies = connection.execute(f"DELETE FROM body WHERE message_id IN {_MESSAGES_OF_OTHERS}", of).rowcount
    entries = connection.execute(f"DELETE FROM inbox WHERE id IN {_MESSAGES_OF_OTHERS}", of).rowcount
    return bodies, entries


def call_back(connection: Connection, events: Sequence[UUID], person: UUID) -> None:
    """Take messages from workers that have opened them and not begun to send: the next look sees the change."""
    connection.execute(
        """UPDATE work SET state = 0, token = NULL, due_at = now()
           FROM message m JOIN notification n ON n.id = m.notification_id
           WHERE work.state = 1 AND NOT work.is_sending AND m.id = work.message_id
             AND (n.person_id = %s OR n.event_id = ANY (%s))""",
        [person, list(events)],
    )


def let_go(connection: Connection, person: UUID) -> None:
    """End the person's messages that may have arrived and wait for a decision: nobody can take one now."""
    connection.execute(
        """WITH held AS (
             DELETE FROM work USING message m
             WHERE work.state = 3 AND m.id = work.message_id AND m.person_id = %s RETURNING m.id)
           UPDATE message SET reason = 'it may have arrived; the person''s data was erased since'
           FROM held WHERE message.id = held.id""",
        [person],
    )


def timers_of(connection: Connection, tenant: str, subjects: Sequence[str]) -> list[WaitingTimer]:
    """Return the waiting timers of subjects; schedules have none."""
    rows = connection.execute(
        """SELECT key, event_type, subject, data_key, sealed FROM timer
           WHERE tenant = %s AND subject = ANY (%s) AND NOT starts_with(key, 'schedule:') ORDER BY key""",
        [tenant, list(subjects)],
    ).fetchall()
    return [WaitingTimer(*row) for row in rows]
