"""Read and change what a person chose, in their entries of the address book; those without one have none.

Opens and seals under the person's key; decides nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import orjson

from notifier.crypto import DataKey, Keyring
from notifier.recipients.preference_sheet import Changed
from notifier.recipients.refusals import CategoryRules, Choices
from notifier.store import choices
from notifier.store.choices import OwnContact
from notifier.store.contacts import open_wishes
from notifier.store.database import Connection
from notifier.store.person_links import LinkAsk


@dataclass(frozen=True, slots=True, kw_only=True)
class Mine:
    """The entry that counts of a person, opened as far as their page needs it."""

    entry: OwnContact
    choices: Choices
    masked: str
    """Their address, as far as they need it to know it again."""
    has_phone: bool


class Chooser:
    """Changes what people chose."""

    def __init__(self, keyring: Keyring, rules: Mapping[str, CategoryRules]) -> None:
        self._keyring, self._rules = keyring, rules

    def refused(self, connection: Connection, ask: LinkAsk) -> frozenset[str]:
        """Return what the person refuses in every entry of theirs; everything where they have none."""
        entries = self._open(connection, ask)
        if not entries:
            return frozenset(self._rules)
        return frozenset.intersection(*(mine.refused for _, _, mine in entries))

    def change(self, connection: Connection, ask: LinkAsk, how: Callable[[Choices], Choices]) -> None:
        """Change each of the person's entries."""
        for entry, key, mine in self._open(connection, ask):
            if (changed := how(mine)) != mine:
                self._set(connection, ask, entry, key, changed, zone=entry.zone)

    def mine(self, connection: Connection, ask: LinkAsk) -> Mine | None:
        """Return the person's entry; None where they have none."""
        entries = self._open(connection, ask)
        if not entries:
            return None
        entry, key, chosen = entries[0]
        private = orjson.loads(key.unseal(entry.sealed, b"contact"))
        return Mine(
            entry=entry,
            choices=chosen,
            masked=_masked(private.get("email") or ""),
            has_phone=bool(private.get("phone")),
        )

    def write(self, connection: Connection, ask: LinkAsk, changed: Changed, zone: str | None) -> None:
        """Write what a page changed into the entry that counts, and its refusals into the others."""
        entries = self._open(connection, ask)
        for index, (entry, key, mine) in enumerate(entries):
            if index == 0:
                self._set(connection, ask, entry, key, changed.choices, zone=zone)
            else:
                others = mine.wanting(changed.wanted).refusing(changed.refused)
                self._set(connection, ask, entry, key, others, zone=entry.zone)

    def _set(
        self, connection: Connection, ask: LinkAsk, entry: OwnContact, key: DataKey, mine: Choices,
        *, zone: str | None,
    ) -> None:  # fmt: skip
        wishes = key.seal(orjson.dumps(dict(mine.wishes)), b"wishes") if mine.wishes else None
        choices.set_choices(
            connection, ask.tenant, entry.reference, opt_outs=mine.opt_outs, wishes=wishes, zone=zone
        )

    def _open(self, connection: Connection, ask: LinkAsk) -> list[tuple[OwnContact, DataKey, Choices]]:
        if ask.person_key is None:
            return []
        key = self._keyring.open_data_key(ask.person_key)
        return [
            (
                entry,
                key,
                Choices(opt_outs=frozenset(entry.opt_outs), wishes=open_wishes(key, entry.wishes)),
            )
            for entry in choices.lock_contacts(connection, ask.tenant, ask.person_id)
        ]


def _masked(address: str) -> str:
    local, _, domain = address.rpartition("@")
    return f"{local[:1]}…@{domain}" if domain else ""
