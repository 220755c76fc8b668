"""Keep the address book, sealed under each person's key, found by reference or address."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import orjson

from notifier.crypto import DataKey, Keyring, blind_index
from notifier.decisions import Contact
from notifier.events import Json
from notifier.messages import ChannelName
from notifier.store.database import Connection
from notifier.store.persons import Person

_COLUMNS = """contact.reference, contact.person_id, contact.email_index, contact.phone_index, contact.sealed,
    contact.locale, contact.zone, contact.channels, contact.opt_outs, contact.wishes, contact.updated_at"""

# Three joins, each by its index; with OR between them the whole book would be read. A contact found twice
# comes twice. The last one of an address counts: the newest.
_FIND = f"""
WITH found AS (
    SELECT tenant, {_COLUMNS} FROM contact
    JOIN unnest(%b::text[], %b::text[]) AS wanted (tenant, reference) USING (tenant, reference)
    UNION ALL
    SELECT tenant, {_COLUMNS} FROM contact
    JOIN unnest(%b::text[], %b::bytea[]) AS wanted (tenant, email_index) USING (tenant, email_index)
    UNION ALL
    SELECT tenant, {_COLUMNS} FROM contact
    JOIN unnest(%b::text[], %b::bytea[]) AS wanted (tenant, phone_index) USING (tenant, phone_index))
SELECT found.tenant, reference, email_index, phone_index, sealed, locale, zone, channels, opt_outs, wishes,
       data_key
FROM found JOIN person ON person.id = found.person_id AND person.data_key IS NOT NULL
ORDER BY found.updated_at, found.reference
"""


@dataclass(frozen=True, slots=True)
class Contacts:
    """The contacts found for a batch, by reference and by blind index of each address."""

    by_reference: dict[tuple[str, str], Contact]
    by_address: dict[tuple[str, bytes], Contact]


def has_contacts(connection: Connection) -> bool:
    """Tell whether the address book is in use at all."""
    row = connection.execute("SELECT EXISTS (SELECT 1 FROM contact)", prepare=True).fetchone()
    return bool(row and row[0])


def find_contacts(
    connection: Connection,
    keyring: Keyring,
    references: Iterable[tuple[str, str]],
    addresses: Iterable[tuple[str, bytes]],
) -> Contacts:
    """Return the contacts of the given references and addresses, both as (tenant, …)."""
    wanted, indexes = sorted(set(references)), sorted(set(addresses))
    found = Contacts({}, {})
    if not wanted and not indexes:
        return found
    rows = connection.execute(
        _FIND,
        [
            [tenant for tenant, _ in wanted],
            [reference for _, reference in wanted],
            *([[tenant for tenant, _ in indexes], [index for _, index in indexes]] * 2),
        ],
        prepare=True,
    ).fetchall()
    for tenant, reference, email, phone, sealed, locale, zone, channels, opt_outs, wishes, data_key in rows:
        if (tenant, reference) in found.by_reference:
            continue
        key = keyring.open_data_key(data_key)
        private = orjson.loads(key.unseal(sealed, b"contact"))
        contact = Contact(
            reference=reference,
            locale=locale,
            zone=zone,
            opt_outs=frozenset(opt_outs),
            channels=tuple(ChannelName(name) for name in channels),
            wishes=open_wishes(key, wishes),
            **private,
        )
        found.by_reference[tenant, reference] = contact
        for index in (email, phone):
            if index is not None:
                found.by_address[tenant, index] = contact
    return found


def save_contact(
    connection: Connection, keyring: Keyring, tenant: str, contact: Contact, person: Person
) -> None:
    """Add or replace a contact, which must have a reference."""
    private = {"email": contact.email, "phone": contact.phone, "name": contact.name}
    connection.execute(
        """INSERT INTO contact (tenant, reference, person_id, email_index, phone_index, sealed, locale, zone,
                                channels, opt_outs, wishes)
           VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
           ON CONFLICT (tenant, reference) DO UPDATE SET person_id = excluded.person_id,
             email_index = excluded.email_index, phone_index = excluded.phone_index, sealed = excluded.sealed,
             locale = excluded.locale, zone = excluded.zone, channels = excluded.channels,
             opt_outs = excluded.opt_outs, wishes = excluded.wishes, updated_at = now()""",
        [
            tenant,
            contact.reference,
            person.id,
            _index(keyring, tenant, contact.email),
            _index(keyring, tenant, contact.phone),
            person.key.seal(orjson.dumps(private), b"contact"),
            contact.locale,
            contact.zone,
            [channel.value for channel in contact.channels],
            sorted(contact.opt_outs),
            person.key.seal(orjson.dumps(dict(contact.wishes)), b"wishes") if contact.wishes else None,
        ],
    )


def open_wishes(key: DataKey, sealed: bytes | None) -> Mapping[str, Json]:
    """Return what a person set, in its JSON form."""
    if sealed is None:
        return {}
    found: dict[str, Json] = orjson.loads(key.unseal(sealed, b"wishes"))
    return found


def _index(keyring: Keyring, tenant: str, address: str | None) -> bytes | None:
    return blind_index(keyring.index_key, tenant, address) if address else None
