"""Keep SMS that came in, once each; what they said only until it was read.

The web process hands them in through a function of the database, and reads the reply through another.
"""

from dataclasses import dataclass
from uuid import UUID

from notifier.store.database import Connection, Database


@dataclass(frozen=True, slots=True)
class Waiting:
    """An SMS nobody has read yet."""

    id: UUID
    sealed: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What came of one."""

    kind: str
    outcome: str
    reply: str | None = None
    tenant: str | None = None
    group_id: UUID | None = None


def has_waiting(connection: Connection) -> tuple[bool, bool, bool, bool]:
    """Tell whether there is an ask by an alert's link, an SMS, an ask by a mail's link, and a report."""
    row = connection.execute(
        """SELECT EXISTS (SELECT 1 FROM ack_link WHERE asked_at IS NOT NULL AND done_at IS NULL),
                  EXISTS (SELECT 1 FROM sms_in WHERE done_at IS NULL),
                  EXISTS (SELECT 1 FROM link_ask WHERE done_at IS NULL),
                  EXISTS (SELECT 1 FROM report WHERE state = 0 AND due_at <= now())""",
        prepare=True,
    ).fetchone()
    return (row[0], row[1], row[2], row[3]) if row else (False, False, False, False)


def take_sms(connection: Connection) -> Waiting | None:
    """Lock and return the SMS that came first, leaving alone what others hold."""
    row = connection.execute(
        """SELECT id, sealed FROM sms_in WHERE done_at IS NULL ORDER BY received_at LIMIT 1
           FOR UPDATE SKIP LOCKED"""
    ).fetchone()
    return Waiting(*row) if row else None


def finish_sms(connection: Connection, id_: UUID, read: Read) -> None:
    """Note what came of it, once, and forget what it said and who wrote it."""
    connection.execute(
        """UPDATE sms_in SET done_at = now(), sealed = NULL, kind = %s, outcome = %s, reply = %s, tenant = %s,
                  group_id = %s WHERE id = %s AND done_at IS NULL""",
        [read.kind, read.outcome, read.reply, read.tenant, read.group_id, id_],
    )


def tenants_of(connection: Connection, indexes: dict[str, bytes]) -> list[str]:
    """Return the tenants that know a number: by an SMS they sent, or by the address book."""
    rows = connection.execute(
        """SELECT wanted.tenant FROM unnest(%s::text[], %s::bytea[]) AS wanted (tenant, number)
           WHERE EXISTS (SELECT 1 FROM message WHERE message.tenant = wanted.tenant
                           AND address_index = wanted.number AND channel = 'sms')
              OR EXISTS (SELECT 1 FROM contact WHERE contact.tenant = wanted.tenant
                           AND phone_index = wanted.number)
           ORDER BY 1""",
        [list(indexes), list(indexes.values())],
    ).fetchall()
    return [row[0] for row in rows]


class SmsDesk:
    """What the web process may do with SMS that come in."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def hand_in(self, remote_id: str, sealed: bytes) -> UUID:
        """Hand one in; the same one again is the same."""
        row = self._database.one("SELECT notifier_sms_in(%s, %s)", [remote_id, sealed])
        if row is None:
            raise LookupError(remote_id)
        found: UUID = row[0]
        return found

    def reply(self, id_: UUID) -> tuple[bool, str | None]:
        """Return whether it was read, and what to answer."""
        row = self._database.one("SELECT * FROM notifier_sms_reply(%s)", [id_])
        return (row[0], row[1]) if row else (True, None)
