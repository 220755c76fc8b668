"""Put portal messages into the inbox, sealed under the reader's key, and read them back."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import orjson

from notifier.crypto import DataKey, Keyring, blind_index
from notifier.errors import CannotUnseal, Fault, Phase, Reply, TemporaryFailure
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
            TemporaryFailure: the reader was erased since the message was opened; the next look ends it.
            DatabaseUnavailable: try again later.
        """
        index = blind_index(self._keyring.index_key, tenant, to)
        text = orjson.dumps({"subject": content.subject, "text": content.text})
        with self._database.transaction() as connection:
            # Not Persons.hold: it would give a person erased meanwhile a new key, and us one to write under.
            reader = inbox.hold_reader(connection, message_id, tenant, index)
            key = self._key_of(reader) if reader is not None else None
            if reader is None or key is None:
                raise _erased()
            inbox.put(connection, message_id, tenant, reader.person, key.seal(text, b"inbox"))

    def _key_of(self, reader: inbox.Reader) -> DataKey | None:
        """Return the reader's key; None where they were erased and have come back: it is another one."""
        key = self._keyring.open_data_key(reader.data_key)
        try:
            key.unseal(reader.recipient, b"recipient")
        except CannotUnseal:
            return None
        return key

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


def _erased() -> TemporaryFailure:
    text = "the reader was erased meanwhile"
    return TemporaryFailure(
        text, fault=Fault.RECIPIENT, reply=Reply(phase=Phase.REQUEST, text=text), reason="erased"
    )
