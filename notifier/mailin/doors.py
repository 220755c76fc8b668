"""Decide which addresses we take mail for: return paths, addresses to unsubscribe, and those for complaints.

Looks nothing up: they prove themselves by their MAC, so that nobody can find out by asking whom we wrote to.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from notifier.tokens.return_paths import message_of_return_path
from notifier.tokens.unsubscribe_addresses import link_of_unsubscribe_address


@dataclass(frozen=True, slots=True)
class Door:
    """Where a mail may come in."""

    message: UUID | None
    """The message a return path names; None for any other address."""
    link: tuple[str, str] | None = None
    """Token and tag of the link by which a mail to this address unsubscribes."""


COMPLAINTS = Door(None)


class Doors:
    """All addresses we take mail for.

    Args:
        key: What return paths are checked with (``return_path_key``).
        complaints: Addresses that feedback loops send to.
    """

    def __init__(self, key: bytes, complaints: Iterable[str] = ()) -> None:
        self._key = key
        self._complaints = frozenset(address.lower() for address in complaints)

    def door(self, address: str) -> Door | None:
        """Return the door of an address, in whatever case; None for any other."""
        # MTAs between us may have changed the case: local parts of ours never differ by it alone.
        if address.lower() in self._complaints:
            return COMPLAINTS
        if (message := self.message(address)) is not None:
            return Door(message)
        link = link_of_unsubscribe_address(self._key, address)
        return Door(None, link) if link is not None else None

    def message(self, address: str) -> UUID | None:
        """Return the message a return path names, None for one that is not ours."""
        return message_of_return_path(self._key, address)
