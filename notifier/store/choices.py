"""Keep what people choose by link: in their entries of the address book, and on record for an auditor.

Sealed fields come and go sealed; what a choice means is decided in ``notifier.recipients.refusals``.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from notifier.store.database import Connection


@dataclass(frozen=True, slots=True)
class OwnContact:
    """A person's entry in the address book, locked; fields in the query's order."""

    reference: str
    sealed: bytes
    locale: str | None
    zone: str | None
    opt_outs: list[str]
    wishes: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Who changed what, how and by which link; entries are ``category`` or ``category:channel``."""

    tenant: str
    person_id: UUID
    how: str
    link: bytes | None = None
    message_id: UUID | None = None
    refused: Sequence[str] = ()
    wanted: Sequence[str] = ()
    fields: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Changed:
    """A change on record; fields in the query's order."""

    at: datetime
    how: str
    refused: list[str]
    wanted: list[str]
    fields: list[str]
    message_id: UUID | None


def lock_contacts(connection: Connection, tenant: str, person: UUID) -> list[OwnContact]:
    """Return the person's entries, the one that counts first; nobody else changes them until the commit."""
    rows = connection.execute(
        """SELECT reference, sealed, locale, zone, opt_outs, wishes FROM contact
           WHERE tenant = %s AND person_id = %s
           ORDER BY wishes IS NULL, updated_at DESC, reference FOR UPDATE""",
        [tenant, person],
    ).fetchall()
    return [OwnContact(*row) for row in rows]


def set_choices(
    connection: Connection,
    tenant: str,
    reference: str,
    *,
    opt_outs: Iterable[str],
    wishes: bytes | None,
    zone: str | None,
) -> None:
    """Write a locked entry's choices."""
    connection.execute(
        """UPDATE contact SET opt_outs = %s, wishes = %s, zone = %s, updated_at = now()
           WHERE tenant = %s AND reference = %s""",
        [sorted(opt_outs), wishes, zone, tenant, reference],
    )


def record_change(connection: Connection, change: Change) -> None:
    """Put a change on record."""
    connection.execute(
        """INSERT INTO preference_change (tenant, person_id, how, link, message_id, refused, wanted, fields)
           VALUES (%s, %s, %s, %s, %s, %s, %s, %s)""",
        [
            change.tenant,
            change.person_id,
            change.how,
            change.link,
            change.message_id,
            list(change.refused),
            list(change.wanted),
            list(change.fields),
        ],
    )


def last_refused(connection: Connection, link: bytes) -> list[str]:
    """Return what was refused by the newest change by a link that refused anything."""
    row = connection.execute(
        """SELECT refused FROM preference_change WHERE link = %s AND refused <> '{}'
           ORDER BY id DESC LIMIT 1""",
        [link],
    ).fetchone()
    return list(row[0]) if row else []


def changes_of(connection: Connection, tenant: str, person: UUID) -> list[Changed]:
    """Return everything a person changed, oldest first."""
    rows = connection.execute(
        """SELECT at, how, refused, wanted, fields, message_id FROM preference_change
           WHERE tenant = %s AND person_id = %s ORDER BY id""",
        [tenant, person],
    ).fetchall()
    return [Changed(*row) for row in rows]


def received(connection: Connection, tenant: str, address_index: bytes) -> list[tuple[str, str]]:
    """Return (category, channel) of what an address was told of late: what its owner knows to come from us."""
    rows = connection.execute(
        """SELECT DISTINCT n.category, m.channel FROM (
               SELECT notification_id, channel FROM message WHERE tenant = %s AND address_index = %s
               ORDER BY id DESC LIMIT 500) m JOIN notification n ON n.id = m.notification_id
           ORDER BY 1, 2""",
        [tenant, address_index],
    ).fetchall()
    return [(row[0], row[1]) for row in rows]


def unsubscribed_scopes(connection: Connection, tenant: str, address_index: bytes) -> frozenset[str]:
    """Return the categories the owner of an address unsubscribed from."""
    rows = connection.execute(
        """SELECT scope FROM suppression WHERE tenant = %s AND address_index = %s AND cause = 'unsubscribe'
           AND (until IS NULL OR until > now())""",
        [tenant, address_index],
    ).fetchall()
    return frozenset(row[0] for row in rows)


def forget_choices(connection: Connection, person: UUID) -> int:
    """Delete what is on record of a person's choices and asks, for erasure; their links stay, about nobody.

    Returns:
        How many changes and consents there were.
    """
    connection.execute(
        "DELETE FROM link_ask WHERE digest IN (SELECT digest FROM person_link WHERE person_id = %s)", [person]
    )
    # The links of mails already sent still lead where they led; nothing says whose they were.
    connection.execute(
        "UPDATE tracked SET person_id = NULL, message_id = NULL WHERE person_id = %s", [person]
    )
    changes = connection.execute("DELETE FROM preference_change WHERE person_id = %s", [person]).rowcount
    return changes + connection.execute("DELETE FROM consent WHERE person_id = %s", [person]).rowcount
