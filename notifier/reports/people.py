"""List whom we know: contacts with their addresses."""

from collections.abc import Mapping
from dataclasses import dataclass

from notifier.crypto import Keyring, blind_index
from notifier.decisions import Contact
from notifier.events import Json
from notifier.reports.sealed import Withheld, unseal_json
from notifier.store.contacts import find_contacts
from notifier.store.database import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactEntry:
    """A contact, as a person sees it."""

    reference: str
    email: str | None
    phone: str | None
    name: str | None
    locale: str | None
    zone: str | None
    channels: tuple[str, ...]
    opt_outs: tuple[str, ...]
    wishes: Mapping[str, Json]
    """Quiet hours, least severities, digests and consent, in their JSON form."""


def contact_entry(contact: Contact) -> ContactEntry:
    """Return a contact for display."""
    return ContactEntry(
        reference=contact.reference or "", email=contact.email, phone=contact.phone, name=contact.name,
        locale=contact.locale, zone=contact.zone,
        channels=tuple(channel.value for channel in contact.channels),
        opt_outs=tuple(sorted(contact.opt_outs)),
        wishes=dict(contact.wishes),
    )  # fmt: skip


def find_contact(connection: Connection, keyring: Keyring, tenant: str, reference: str) -> Contact | None:
    """Return one contact."""
    found = find_contacts(connection, keyring, [(tenant, reference)], [])
    return found.by_reference.get((tenant, reference))


def list_contacts(
    connection: Connection, keyring: Keyring, tenant: str, *, limit: int, after: str = ""
) -> list[ContactEntry]:
    """Return contacts in the order of their references; ``after`` is the last one of the page before."""
    rows = connection.execute(
        """SELECT c.reference, c.sealed, c.locale, c.zone, c.channels, c.opt_outs, c.wishes, p.data_key
           FROM contact c LEFT JOIN person p ON p.id = c.person_id
           WHERE c.tenant = %s AND c.reference > %s ORDER BY c.reference LIMIT %s""",
        [tenant, after, limit],
    ).fetchall()
    entries = []
    for reference, sealed, locale, zone, channels, opt_outs, wishes, data_key in rows:
        private = unseal_json(keyring, data_key, sealed, b"contact")
        if isinstance(private, Withheld):
            private = dict.fromkeys(("email", "phone", "name"), private.value)
        entries.append(
            ContactEntry(
                reference=reference, locale=locale, zone=zone, channels=tuple(channels),
                opt_outs=tuple(sorted(opt_outs)),
                wishes=_wishes(unseal_json(keyring, data_key, wishes, b"wishes") if wishes else {}),
                **private,
            )
        )  # fmt: skip
    return entries


def _wishes(opened: Json) -> Mapping[str, Json]:
    return {} if isinstance(opened, Withheld) else dict(opened)


def knows(connection: Connection, keyring: Keyring, tenant: str, address: str) -> bool:
    """Tell whether anything is stored under an address."""
    row = connection.execute(
        "SELECT 1 FROM person WHERE tenant = %s AND address_index = %s AND data_key IS NOT NULL",
        [tenant, blind_index(keyring.index_key, tenant, address)],
    ).fetchone()
    return row is not None
