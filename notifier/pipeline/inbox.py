"""Put portal messages into the inbox, sealed under the reader's key, and read them back."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import orjson

from notifier.crypto import Keyring, blind_index
from notifier.messages import Rendered
from notifier.store import inbox
from notifier.store.database import Database
from notifier.store.persons import Person, Persons


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxEntry:
    """What a person reads in the portal."""

    id: UUID
    at: datetime
    subject: str
    text: str


class PortalInbox:
    """The inbox of everybody, by address."""

    def __init__(self, database: Database, keyring: Keyring, persons: Persons) -> None:
        self._database, self._keyring, self._persons = database, keyring, persons

    def put(self, message_id: UUID, tenant: str, to: str, content: Rendered) -> None:
        """Store an entry and commit; the same message again changes nothing.

        Raises:
            DatabaseUnavailable: try again later.
        """
        person = self._person(tenant, to)
        sealed = person.key.seal(orjson.dumps({"subject": content.subject, "text": content.text}), b"inbox")
        with self._database.connection() as connection:
            inbox.put(connection, message_id, tenant, person.id, sealed)

    def read(self, tenant: str, address: str, limit: int = 50) -> list[InboxEntry]:
        """Return a person's newest entries."""
        person = self._person(tenant, address)
        with self._database.connection() as connection:
            rows = inbox.entries(connection, tenant, person.id, limit)
        return [
            InboxEntry(id=row[0], at=row[1], **orjson.loads(person.key.unseal(row[2], b"inbox")))
            for row in rows
        ]

    def _person(self, tenant: str, address: str) -> Person:
        key = (tenant, blind_index(self._keyring.index_key, tenant, address))
        return self._persons.get([key])[key]
