"""Decide where a message of a staging system goes: to whom it is for, to somebody of ours, or nowhere.

Pure; knows addresses only to compare them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import idna

from notifier.messages import ChannelName, Rendered

PREFIX = "[safe mode] "
_INSIDE = frozenset({ChannelName.PORTAL, ChannelName.CONSOLE})
"""Channels on which nothing leaves the house."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SafeMode:
    """Who may be written to, and who gets what is for all others."""

    allow: frozenset[str] = frozenset()
    """Addresses, numbers, and domains as ``@example.com``, each as :func:`spelling` has it."""
    redirect: Mapping[ChannelName, str]
    """Where the rest goes, by channel; what has no place here is not sent."""

    def is_allowed(self, channel: ChannelName, address: str) -> bool:
        """Tell whether the message goes to whom it is for."""
        known = spelling(address)
        return channel in _INSIDE or bool(self.allow & {known, "@" + known.rpartition("@")[2]})

    def is_sendable(self, channel: ChannelName, address: str) -> bool:
        """Tell whether the message goes to anybody."""
        return self.is_allowed(channel, address) or channel in self.redirect


def spelling(address: str) -> str:
    """Return an address, a domain or a number in lower case, its domain as A-labels: the same for both its forms."""
    local, sign, domain = address.casefold().rpartition("@")
    if domain.isascii():
        return local + sign + domain
    try:
        return local + sign + idna.encode(domain, uts46=True).decode("ascii")
    except idna.IDNAError:
        return local + sign + domain


def destination(mode: SafeMode | None, channel: ChannelName, address: str) -> str:
    """Return where the message goes; ask :meth:`SafeMode.is_sendable` first."""
    if mode is None or mode.is_allowed(channel, address):
        return address
    return mode.redirect[channel]


def marked(content: Rendered, channel: ChannelName) -> Rendered:
    """Return what a redirected message says: nobody shall take it for one of their own."""
    subject = PREFIX + content.subject if content.subject else ""
    text = content.text if channel is ChannelName.EMAIL else PREFIX + content.text
    return Rendered(text=text, subject=subject, html=content.html)
