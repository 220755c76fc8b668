"""Erase: make everything stored about a person unreadable, and keep working what others were told.

Reaches what this database holds; a producer's own data, sent mails and backups are beyond it.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from uuid import UUID

import orjson

from notifier.catalog import Catalog
from notifier.client.sealing import open_private
from notifier.crypto import DataKey, Keyring, blind_index
from notifier.errors import CannotUnseal, KeyDestroyed
from notifier.events import DEFAULT_TENANT, Json
from notifier.pipeline.people.erase_alerts import erase_from_alerts
from notifier.recipients.mentions import Known, blank_mentions, is_theirs, without
from notifier.store import erasure, persons, timers
from notifier.store.database import Connection, Database
from notifier.store.dead_letters import erase_letters, readable_letters
from notifier.store.erasure import Told, WaitingTimer


@dataclass(slots=True, kw_only=True)
class Erased:
    """How much was erased, and what was kept without the person."""

    events: int = 0
    """Events whose data nobody can read any more: the person alone was told of them."""
    events_kept: int = 0
    """Events others were told of too: whatever named the person in them is gone."""
    messages: int = 0
    """The person's messages; nothing of them can be read any more."""
    messages_cancelled: int = 0
    """Those of them that were still to be sent, and end as suppressed."""
    contents: int = 0
    """Kept contents of messages to others that spoke of the person."""
    timers: int = 0
    alerts: int = 0
    """Alerts and alert groups that spoke of the person."""
    dead_letters: int = 0
    inbox_entries: int = 0
    """Of the person, and of others where they spoke of the person."""
    contacts: int = 0

    def counts(self) -> dict[str, int]:
        """Return the numbers by name."""
        return asdict(self)


@dataclass(slots=True)
class _Work:
    """What one erasure has found so far."""

    tenant: str
    person: UUID
    known: Known
    done: Erased = field(default_factory=Erased)
    destroyed: list[UUID] = field(default_factory=list)
    rewritten: list[UUID] = field(default_factory=list)
    about: list[UUID] = field(default_factory=list)
    subjects: dict[str, bool] = field(default_factory=dict)
    """Subject → whether an event of it was destroyed."""


class Eraser:
    """Erases persons.

    An event only the person was told of loses its key. One that others, not erased themselves, were told of
    is sealed anew under another key: the person's entry in ``to`` and every text that names them is blanked;
    where its personal fields (``pii`` and ``secret`` of the catalogue) are the person's, all of these are, its
    attachments go, and so does what is kept of the messages about it. They are the person's where one of them
    names them, or where none is an address and the event names the person elsewhere.
    """

    def __init__(self, database: Database, keyring: Keyring, catalog: Catalog) -> None:
        self._database, self._keyring, self._catalog = database, keyring, catalog

    def erase(self, tenant: str, address: str) -> Erased | None:
        """Erase the person who is told under an address; None where nothing speaks of it.

        Other people's waiting messages go out, without the person's data; the person's own do not. Timers
        that speak of the person, or repeat an event that was destroyed, are cancelled.
        """
        return self._database.retrying(lambda connection: self._erase(connection, tenant, address))

    def _erase(self, connection: Connection, tenant: str, address: str) -> Erased | None:
        known = Known(addresses=frozenset({address}))
        index = blind_index(self._keyring.index_key, tenant, address)
        person = erasure.lock_person(connection, tenant, index)
        if person is None:
            letters = self._letters(connection, tenant, known)
            return Erased(dead_letters=letters) if letters else None
        key = self._keyring.open_data_key(person[1])
        work = _Work(tenant, person[0], self._known(connection, person[0], key, known))
        self._events(connection, key, work)
        self._others(connection, work)
        self._timers(connection, work)
        work.done.alerts = erase_from_alerts(connection, self._keyring, tenant, work.known)
        work.done.dead_letters = self._letters(connection, tenant, work.known)
        if (gone := persons.erase(connection, tenant, index)) is not None:
            work.done.contacts = gone.contacts
            work.done.inbox_entries += gone.inbox_entries
        return work.done

    def _known(self, connection: Connection, person: UUID, key: DataKey, known: Known) -> Known:
        """Collect what the person goes by: from the address book, and as they were told."""
        for reference, sealed in erasure.contacts_of(connection, person):
            known = known.plus({**_opened(key, sealed, b"contact"), "reference": reference})
        # Many notifications say the same.
        for recipient in {
            orjson.dumps(_opened(key, sealed, b"recipient"), option=orjson.OPT_SORT_KEYS)
            for sealed in erasure.recipients_of(connection, person)
        }:
            known = known.plus(orjson.loads(recipient))
        return known

    def _events(self, connection: Connection, key: DataKey, work: _Work) -> None:
        before: UUID | None = None
        for one in erasure.told(connection, work.person):
            if not _opened(key, one.recipient, b"recipient"):  # told before an earlier erasure
                continue
            work.done.messages += one.messages
            work.done.messages_cancelled += one.waiting
            if one.event_id != before:
                self._event(connection, one, work)
                before = one.event_id
        for digest in erasure.digests_of(connection, work.rewritten, work.person):
            self._event(connection, digest, work)
        erasure.destroy_events(connection, work.destroyed)
        work.done.events = len(work.destroyed)

    def _event(self, connection: Connection, one: Told, work: _Work) -> None:
        work.subjects.setdefault(one.subject, False)
        if not one.is_shared:
            self._destroy(one, work)
            return
        try:
            old = self._keyring.open_data_key(one.data_key)
            private = orjson.loads(old.unseal(one.sealed, b"event"))
            trace = orjson.loads(old.unseal(one.decision, b"decision")) if one.decision is not None else None
        except (KeyDestroyed, CannotUnseal):
            return
        if one.type not in self._catalog and work.known.is_in(private):
            # Nobody knows any more which fields are personal, and nobody could write a message of it.
            self._destroy(one, work)
            return
        work.done.events_kept += 1
        left = without(private, self._personal(one.type), work.known)
        if left is None:
            return
        new = self._keyring.new_data_key()
        erasure.rewrite_event(
            connection, one.event_id, new.wrapped, new.seal(orjson.dumps(left.private), b"event"),
            None if trace is None else new.seal(_trace(trace, work.known, is_about=left.is_about), b"decision"),
        )  # fmt: skip
        work.rewritten.append(one.event_id)
        if left.is_about:
            work.about.append(one.event_id)

    def _destroy(self, one: Told, work: _Work) -> None:
        work.destroyed.append(one.event_id)
        work.subjects[one.subject] = True

    def _others(self, connection: Connection, work: _Work) -> None:
        work.done.contents, work.done.inbox_entries = erasure.forget_contents(
            connection, work.about, work.person
        )
        erasure.call_back(connection, work.rewritten, work.person)
        erasure.let_go(connection, work.person)

    def _timers(self, connection: Connection, work: _Work) -> None:
        gone = [
            (work.tenant, timer.key)
            for timer in erasure.timers_of(connection, work.tenant, list(work.subjects))
            if work.subjects[timer.subject] or self._speaks_of(timer, work.known)
        ]
        timers.cancel_timers(connection, gone)
        work.done.timers = len(gone)

    def _speaks_of(self, timer: WaitingTimer, known: Known) -> bool:
        try:
            key = self._keyring.open_data_key(timer.data_key)
            data = orjson.loads(key.unseal(timer.sealed, b"timer"))
        except (KeyDestroyed, CannotUnseal):
            return True
        if known.is_in(data) or timer.event_type not in self._catalog:
            return True
        return is_theirs(data, self._personal(timer.event_type), known)

    def _letters(self, connection: Connection, tenant: str, known: Known) -> int:
        found = [
            letter
            for letter, data_key, sealed in readable_letters(connection, tenant)
            if known.is_in(self._letter(data_key, sealed))
        ]
        return erase_letters(connection, found)

    def _letter(self, data_key: bytes, sealed: bytes) -> Json:
        """Return what came in, as far as it can be understood; what a client sealed is opened too."""
        try:
            entry = self._keyring.open_data_key(data_key).unseal(sealed, b"dead-letter")
        except CannotUnseal:
            return None
        try:
            value = orjson.loads(entry)
        except orjson.JSONDecodeError:
            return entry.decode("utf-8", "replace")
        if not isinstance(value, dict) or not isinstance(value.get("sealed"), str):
            return value
        name = (value.get("tenant", DEFAULT_TENANT), value.get("source"), value.get("id"))
        try:
            return [value, open_private(value["sealed"], self._keyring.intake_key, name)]  # type: ignore[arg-type]
        except (CannotUnseal, TypeError, ValueError, AttributeError):
            return value

    def _personal(self, event_type: str) -> Sequence[str]:
        """Return the paths that hold personal data."""
        entry = self._catalog[event_type]
        return (*entry.pii, *entry.secret)


def _opened(key: DataKey, sealed: bytes, aad: bytes) -> dict[str, Json]:
    """Open a field under the person's key; empty where it was sealed under one destroyed before."""
    try:
        found: dict[str, Json] = orjson.loads(key.unseal(sealed, aad))
    except CannotUnseal:
        return {}
    return found


def _trace(trace: Json, known: Known, *, is_about: bool) -> bytes:
    """Return a decision without the person; its facts are the event's data once more."""
    if is_about:
        trace = [{**rule, "facts": {}} for rule in trace]
    return orjson.dumps(blank_mentions(trace, known))
