"""Keep one data key per person, found by the blind index of the person's address.

A person is made in a transaction of its own, before the rows that speak of it: a rolled-back batch leaves
at most a key that seals nothing.
"""

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from cachetools import TTLCache

from notifier.crypto import DataKey, Keyring
from notifier.ids import uuid7
from notifier.store.bulk import BulkInsert
from notifier.store.choices import forget_choices
from notifier.store.database import Connection, Database
from notifier.store.held import let_go

PersonKey = tuple[str, bytes]
"""Tenant, blind index of the address."""

_INSERT = BulkInsert(
    "person",
    id="uuid",
    tenant="text",
    address_index="bytea",
    data_key="bytea",
    # A person who was erased and is addressed again starts anew, under a new key.
    then="""ON CONFLICT (tenant, address_index) DO UPDATE
            SET data_key = coalesce(person.data_key, excluded.data_key), erased_at = NULL
            RETURNING tenant, address_index, id, data_key""",
)


@dataclass(frozen=True, slots=True)
class Person:
    """A person's id and key."""

    id: UUID
    key: DataKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """How many rows of the address book and the inbox went with a person."""

    contacts: int
    inbox_entries: int


class Persons:
    """The persons of all tenants, with a short memory so that a burst to one person is one look-up."""

    def __init__(
        self, database: Database, keyring: Keyring, *, seconds: float = 30, size: int = 50_000
    ) -> None:
        self._database, self._keyring = database, keyring
        # Even a look into a TTLCache changes it: never without the lock.
        self._lock = threading.Lock()
        self._seen: TTLCache[PersonKey, Person] = TTLCache(size, ttl=seconds)

    def get(self, wanted: Iterable[PersonKey]) -> dict[PersonKey, Person]:
        """Return each person wanted, made where absent.

        One may have been erased elsewhere a moment ago: what is to be stored takes :meth:`hold`.
        """
        keys = set(wanted)
        with self._lock:
            found = {key: person for key in keys if (person := self._seen.get(key)) is not None}
        if missing := sorted(keys - found.keys()):
            with self._database.connection() as connection:
                fresh = self._select(connection, missing)
                if absent := [key for key in missing if key not in fresh]:
                    fresh |= self._insert(connection, absent)
            with self._lock:
                self._seen.update(fresh)
            found |= fresh
        return found

    def hold(self, connection: Connection, wanted: Iterable[PersonKey]) -> dict[PersonKey, Person]:
        """Return each person wanted, none of whom can be erased before ``connection`` has committed.

        Call it once per transaction, with everybody the transaction writes about.
        """
        found = self.get(wanted)
        gone = self.confirm(connection, found.values())
        if lost := sorted(key for key, person in found.items() if person.id in gone):
            # In this transaction, which may hold their rows; not remembered, as it may yet be rolled back.
            found |= self._insert(connection, lost)
        return found

    def confirm(self, connection: Connection, persons: Iterable[Person]) -> set[UUID]:
        """Lock the persons against erasure until the commit; return the ids of those erased already.

        Those are forgotten here too: the next :meth:`get` gives them a new key.
        """
        ids = sorted({person.id for person in persons})
        if not ids:
            return set()
        rows = connection.execute(
            """SELECT id FROM person WHERE id = ANY (%b::uuid[]) AND data_key IS NOT NULL
               ORDER BY id FOR SHARE""",
            [ids],
            prepare=True,
        ).fetchall()
        gone = set(ids) - {row[0] for row in rows}
        if gone:
            with self._lock:
                for key in [key for key, person in self._seen.items() if person.id in gone]:
                    self._seen.pop(key, None)
        return gone

    def _select(self, connection: Connection, keys: list[PersonKey]) -> dict[PersonKey, Person]:
        rows = connection.execute(
            """SELECT tenant, address_index, id, data_key FROM person
               JOIN unnest(%b::text[], %b::bytea[]) AS wanted (tenant, address_index)
               USING (tenant, address_index) WHERE data_key IS NOT NULL""",
            [[tenant for tenant, _ in keys], [index for _, index in keys]],
            prepare=True,
        ).fetchall()
        return {(row[0], row[1]): Person(row[2], self._keyring.open_data_key(row[3])) for row in rows}

    def _insert(self, connection: Connection, keys: list[PersonKey]) -> dict[PersonKey, Person]:
        rows = _INSERT.run(
            connection,
            [(uuid7(), tenant, index, self._keyring.new_data_key().wrapped) for tenant, index in keys],
        )
        return {(row[0], row[1]): Person(row[2], self._keyring.open_data_key(row[3])) for row in rows}


def is_person(connection: Connection, key: PersonKey) -> bool:
    """Tell whether anything was ever kept of a person who was not erased since."""
    return (
        connection.execute(
            "SELECT 1 FROM person WHERE tenant = %s AND address_index = %s AND data_key IS NOT NULL", key
        ).fetchone()
        is not None
    )


def erase(connection: Connection, tenant: str, address_index: bytes) -> Erasure | None:
    """Destroy the person's key and delete their contacts and inbox; None where there is no such person.

    With the key go their recipients' fields, rendered bodies and servers' replies, what they set and when they
    were told; waiting messages end as suppressed. Events, timers and dead letters have keys of their own:
    ``notifier.pipeline.people.erase`` calls this last, once it has seen to them.

    The suppression list keeps the address's keyed hash, so that the person stays left alone.
    """
    row = connection.execute(
        """UPDATE person SET data_key = NULL, erased_at = now()
           WHERE tenant = %s AND address_index = %s AND data_key IS NOT NULL RETURNING id""",
        [tenant, address_index],
    ).fetchone()
    if row is None:
        return None
    let_go(connection, row[0])
    connection.execute(
        "DELETE FROM soft_bounce WHERE tenant = %s AND address_index = %s", [tenant, address_index]
    )
    # Of what came back to a message of the person's nobody knows what it says.
    connection.execute(
        """DELETE FROM unreadable_mail USING message
           WHERE message.id = unreadable_mail.message_id AND message.person_id = %s""",
        row,
    )
    forget_choices(connection, row[0])
    connection.execute("DELETE FROM told WHERE tenant = %s AND person_id = %s", [tenant, row[0]])
    contacts = connection.execute("DELETE FROM contact WHERE person_id = %s", [row[0]]).rowcount
    entries = connection.execute("DELETE FROM inbox WHERE person_id = %s", [row[0]]).rowcount
    return Erasure(contacts=contacts, inbox_entries=entries)
