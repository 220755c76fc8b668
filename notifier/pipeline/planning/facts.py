"""Load what the rules may look at: the journeys of a batch, and the address book's people."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from notifier.alerts import AlertState
from notifier.crypto import Keyring, blind_index
from notifier.decisions import Contact, Facts, JourneyState
from notifier.events import Recipient
from notifier.pipeline.incoming import Incoming
from notifier.recipients.resolve import addresses
from notifier.rules.ruleset import RuleSet
from notifier.store.contacts import find_contacts, has_contacts
from notifier.store.database import Connection
from notifier.store.journeys import JourneyKey, lock_journeys
from notifier.store.persons import PersonKey

TenantContacts = Mapping[str, Mapping[str, Contact]]
"""Tenant → reference or address in small letters → contact."""
TenantAlerts = Mapping[str, Mapping[tuple[str, str], AlertState]]
"""Tenant → (rule, key) → alert; of the whole batch, as the events before left them."""


class FactLoader:
    """Loads the facts of a batch, in order of keys, and hands each event its own."""

    def __init__(self, rules: RuleSet, lists: Mapping[str, tuple[Recipient, ...]], keyring: Keyring) -> None:
        self._rules, self._lists, self._keyring = rules, lists, keyring

    def lists(self, now: datetime) -> Mapping[str, tuple[Recipient, ...]]:
        """Return the lists as they are at a moment: who is on call changes."""
        return self._rules.lists_at(now, self._lists)

    def journeys(self, connection: Connection, batch: Sequence[Incoming]) -> dict[JourneyKey, JourneyState]:
        """Lock and return the journeys that events of the batch may move."""
        keys = [
            (one.event.tenant, rule, subject)
            for one in batch
            for rule, subject in self._rules.journey_keys(one.event)
        ]
        return lock_journeys(connection, keys)

    def contacts(
        self,
        connection: Connection,
        batch: Sequence[Incoming],
        lists: Mapping[str, tuple[Recipient, ...]],
    ) -> TenantContacts:
        """Load what the address book knows of the people the rules may tell."""
        if not has_contacts(connection):
            return {}
        references, wanted = set[tuple[str, str]](), dict[tuple[str, str], PersonKey]()
        for event in (one.event for one in batch):
            tenant = event.tenant
            references |= {(tenant, one) for one in self._rules.contact_references(event, lists)}
            for address in self._rules.addresses(event, lists):
                wanted[tenant, address] = self._index(tenant, address)
        found = find_contacts(connection, self._keyring, references, wanted.values())
        contacts: dict[str, dict[str, Contact]] = {}
        for (tenant, address), key in wanted.items():
            if (contact := found.by_address.get(key)) is not None:
                contacts.setdefault(tenant, {})[address] = contact
        for (tenant, reference), contact in found.by_reference.items():
            contacts.setdefault(tenant, {})[reference] = contact
        return contacts

    def people(
        self, connection: Connection, tenant: str, people: Sequence[Recipient]
    ) -> Mapping[str, Contact]:
        """Load what the address book knows of people, by reference and by address in small letters."""
        if not people or not has_contacts(connection):
            return {}
        references = {(tenant, one.contact) for one in people if one.contact}
        keys = {address: self._index(tenant, address) for one in people for address in addresses(one)}
        found = find_contacts(connection, self._keyring, references, keys.values())
        known = {address: found.by_address[key] for address, key in keys.items() if key in found.by_address}
        return known | {reference: one for (_, reference), one in found.by_reference.items()}

    def _index(self, tenant: str, address: str) -> PersonKey:
        return tenant, blind_index(self._keyring.index_key, tenant, address)

    def of(
        self,
        one: Incoming,
        journeys: Mapping[JourneyKey, JourneyState],
        contacts: TenantContacts,
        alerts: TenantAlerts,
        lists: Mapping[str, tuple[Recipient, ...]],
    ) -> Facts:
        """Return what the rules may know for one event, as things stand."""
        tenant = one.event.tenant
        return Facts(
            journeys={
                (rule, subject): journeys[tenant, rule, subject]
                for rule, subject in self._rules.journey_keys(one.event)
                if (tenant, rule, subject) in journeys
            },
            alerts=alerts.get(tenant, {}),
            contacts=contacts.get(tenant, {}),
            lists=lists,
        )
