"""Read and change what a person chose, in their entries of the address book; those without one have none.

Opens and seals under the person's key; decides nothing.
"""

from collections.abc import Callable, Mapping

import orjson

from notifier.crypto import DataKey, Keyring
from notifier.recipients.refusals import CategoryRules, Choices
from notifier.store import choices
from notifier.store.choices import OwnContact
from notifier.store.contacts import open_wishes
from notifier.store.database import Connection
from notifier.store.person_links import LinkAsk


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
            changed = how(mine)
            if changed == mine:
                continue
            wishes = key.seal(orjson.dumps(dict(changed.wishes)), b"wishes") if changed.wishes else None
            choices.set_choices(
                connection, ask.tenant, entry.reference,
                opt_outs=changed.opt_outs, wishes=wishes, zone=entry.zone,
            )  # fmt: skip

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
