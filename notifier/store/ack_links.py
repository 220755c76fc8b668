"""Keep the links by which recipients take charge, and who asked by them; tokens only as hashes.

The web process reaches these rows through two functions of the database, and no other way.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from notifier.store.database import Connection, Database

_KEPT = timedelta(days=30)
"""So long after its end a link still says that it is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AckLink:
    """A link as it is made."""

    digest: bytes
    tenant: str
    message_id: UUID
    group_id: UUID
    told_until: datetime
    rule: str
    subject: str
    locale: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Asked:
    """A link whose button was pressed; fields in the query's order."""

    digest: bytes
    message_id: UUID
    group_id: UUID
    told_until: datetime


@dataclass(frozen=True, slots=True)
class LinkView:
    """What whoever holds a link may see; fields in the query's order."""

    rule: str
    subject: str
    locale: str
    is_expired: bool
    is_asked: bool
    """Asked, and not carried out yet."""
    outcome: str | None
    firing: int
    """Alerts the message told of that fire, and nobody has in hand."""
    taken: int


_ASKED = "digest, message_id, group_id, told_until"


def save_link(connection: Connection, link: AckLink) -> None:
    """Keep a link; a message that is tried again has the same one."""
    connection.execute(
        """INSERT INTO ack_link (digest, tenant, message_id, group_id, told_until, rule, subject, locale,
                                 expires_at)
           VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING""",
        [getattr(link, name) for name in AckLink.__slots__],
    )


def take_asked(connection: Connection) -> Asked | None:
    """Lock and return the link that was asked by first, leaving alone what others hold."""
    row = connection.execute(
        f"""SELECT {_ASKED} FROM ack_link WHERE asked_at IS NOT NULL AND done_at IS NULL
            ORDER BY asked_at LIMIT 1 FOR UPDATE SKIP LOCKED""",
        prepare=True,
    ).fetchone()
    return Asked(*row) if row else None


def find_link(connection: Connection, digest: bytes) -> Asked | None:
    """Return a link that has not expired."""
    row = connection.execute(
        f"SELECT {_ASKED} FROM ack_link WHERE digest = %s AND expires_at > now()", [digest]
    ).fetchone()
    return Asked(*row) if row else None


def finish(connection: Connection, digest: bytes, outcome: str) -> None:
    """Note what came of it."""
    connection.execute(
        """UPDATE ack_link SET asked_at = coalesce(asked_at, now()), done_at = now(), outcome = %s
           WHERE digest = %s""",
        [outcome, digest],
    )


def fail(connection: Connection, digest: bytes) -> None:
    """Note that it failed, unless somebody else carried it out meanwhile."""
    connection.execute(
        "UPDATE ack_link SET done_at = now(), outcome = 'failed' WHERE digest = %s AND done_at IS NULL",
        [digest],
    )


def recipient_of(connection: Connection, message: UUID) -> tuple[bytes | None, bytes] | None:
    """Return the key and the sealed recipient of a message."""
    row = connection.execute(
        """SELECT person.data_key, notification.sealed FROM message
           JOIN notification ON notification.id = message.notification_id
           JOIN person ON person.id = message.person_id WHERE message.id = %s""",
        [message],
    ).fetchone()
    return (row[0], row[1]) if row else None


def prune_links(connection: Connection) -> None:
    """Forget links that are long over, with their reply codes."""
    connection.execute("DELETE FROM ack_link WHERE expires_at < now() - %s", [_KEPT])


class LinkDesk:
    """What the web process may do with links."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def look(self, digest: bytes) -> LinkView | None:
        """Return what a link is about; changes nothing."""
        row = self._database.one("SELECT * FROM notifier_ack_look(%s)", [digest])
        return LinkView(*row) if row else None

    def ask(self, digest: bytes) -> None:
        """Ask that it be carried out; once more while it waits changes nothing."""
        self._database.one("SELECT notifier_ack_ask(%s)", [digest])
