"""Decide which entries of the suppression list forbid a message: by cause, scope, channel and what the message is.

Pure: the entries that stand for the address come in.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal

from notifier.events import Urgency
from notifier.messages import ChannelName, MessageClass, Preference
from notifier.recipients.preferences import can_opt_out

ALL = "*"
"""The scope that is every category."""


class Cause(StrEnum):
    """Why an address must not be written to."""

    HARD_BOUNCE = "hard_bounce"
    """There is no such mailbox, or no such domain."""
    SOFT_BOUNCES = "soft_bounces"
    """Too many bounces in a row that might have passed."""
    COMPLAINT = "complaint"
    """The recipient called a message spam."""
    UNSUBSCRIBE = "unsubscribe"
    """The recipient wants no more of a category, or of anything they may refuse."""
    STOP = "stop"
    """The recipient answered STOP to an SMS: nothing at all may go to the number (CTIA Messaging Principles §5.1.3)."""
    MANUAL = "manual"
    """An operator said so."""
    IMPORT = "import"
    """It came with a list from elsewhere."""


_OF_THE_ADDRESS = frozenset({Cause.HARD_BOUNCE, Cause.SOFT_BOUNCES, Cause.COMPLAINT, Cause.STOP})
"""These are about mail and SMS to the address; the portal, which knows a person by it, is another place."""
_OWN_PLACES = frozenset({ChannelName.PORTAL, ChannelName.CONSOLE})

ComplaintScope = Literal["refusable", "all", "category"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Suppression:
    """An entry: the address must not be written to, why, and since when."""

    reason: str
    since: datetime
    cause: Cause = Cause.MANUAL
    scope: str = ALL


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is to be sent, as far as a suppression can forbid it."""

    channel: ChannelName
    message_class: MessageClass
    urgency: Urgency
    preference: Preference
    complaints: ComplaintScope = "refusable"


def forbids(entry: Suppression, asked: Asked) -> bool:
    """Tell whether an entry for the address, and for ``*`` or the message's category, forbids it.

    An unsubscribe, or an entry for one category, cannot touch what a person may not refuse. Neither can a
    complaint, unless the tenant wants that: who called a newsletter spam must still be able to reset a password.
    """
    if entry.cause in _OF_THE_ADDRESS and asked.channel in _OWN_PLACES:
        return False
    if entry.cause is Cause.UNSUBSCRIBE or entry.scope != ALL:
        return can_opt_out(asked.message_class, asked.urgency, asked.preference)
    if entry.cause is Cause.COMPLAINT and asked.complaints != "all":
        return is_refusable(asked.message_class, asked.preference)
    return True


def is_refusable(message_class: MessageClass, preference: Preference) -> bool:
    """Tell whether a complaint keeps mail of this kind back: all but what must be told, and transactional mail."""
    return preference is not Preference.CANT_UNSUBSCRIBE and message_class is not MessageClass.TRANSACTIONAL


def first_that_forbids(entries: Iterable[Suppression], asked: Asked) -> Suppression | None:
    """Return the entry that stands longest of those that forbid the message."""
    standing = [entry for entry in entries if forbids(entry, asked)]
    return min(standing, key=lambda entry: entry.since, default=None)
