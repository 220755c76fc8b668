"""Decide what became of a message from everything that was reported of it, in whatever order it came.

Pure: a join of facts. The same facts, told twice or shuffled, give the same answer.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from notifier.messages import MessageStatus
from notifier.receipts import BounceClass, ReceiptKind


class Fate(StrEnum):
    """What became of a message after it left."""

    DEFERRED = "deferred"
    DELIVERED = "delivered"
    REJECTED = "rejected"
    BOUNCED = "bounced"
    COMPLAINED = "complained"


LOST = frozenset({Fate.REJECTED, Fate.BOUNCED})
"""It did not reach its recipient."""

ARRIVED = frozenset(
    {
        ReceiptKind.DELIVERED, ReceiptKind.BOUNCED, ReceiptKind.COMPLAINED, ReceiptKind.OPENED,
        ReceiptKind.CLICKED, ReceiptKind.UNSUBSCRIBED, ReceiptKind.REPLIED, ReceiptKind.AUTO_REPLIED,
    }
)  # fmt: skip
"""These prove that the message was taken over, whatever we know of its try."""

TAKEN = ARRIVED | {ReceiptKind.SENT, ReceiptKind.DEFERRED}
"""These settle a message of which nobody knew whether it had been taken over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """One thing that was reported of a message."""

    kind: ReceiptKind
    at: datetime
    bounce: BounceClass | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of a message, since when, and why."""

    fate: Fate
    at: datetime
    bounce: BounceClass | None = None
    reason: str | None = None

    @property
    def words(self) -> str | None:
        """Say why, in one line: the bounce's class and reason."""
        parts = [self.bounce.value if self.bounce is not None else "", self.reason or ""]
        return ": ".join(part for part in parts if part) or None


_FATES = {
    ReceiptKind.DEFERRED: Fate.DEFERRED,
    ReceiptKind.DELIVERED: Fate.DELIVERED,
    ReceiptKind.REJECTED: Fate.REJECTED,
    ReceiptKind.BOUNCED: Fate.BOUNCED,
    ReceiptKind.COMPLAINED: Fate.COMPLAINED,
}
_ORDER = tuple(_FATES.values())


def fate_of(known: Iterable[Known]) -> Verdict | None:
    """Return what all of it comes to; None where nothing of it says what became of the message.

    The later in the list of fates wins, and among bounces the hard one: a server that took a mail and then
    sent it back has not delivered it, and only who got a mail can complain of it. Of two that say the same,
    the one that was first counts; of two delays the last one.
    """
    found = [one for one in known if one.kind in _FATES]
    if not found:
        return None
    best = max(found, key=_weight)
    return Verdict(fate=_FATES[best.kind], at=best.at, bounce=best.bounce, reason=best.reason)


def _weight(one: Known) -> tuple[int, bool, float, str, str]:
    fate, seconds = _FATES[one.kind], one.at.timestamp()
    age = seconds if fate is Fate.DEFERRED else -seconds
    return _ORDER.index(fate), one.bounce is BounceClass.HARD, age, one.bounce or "", one.reason or ""


class Blame(StrEnum):
    """What a report says of the address, for later messages."""

    DEAD = "dead"
    """Nothing will ever arrive there."""
    SOFT = "soft"
    """Once is nothing; many in a row are."""
    COMPLAINT = "complaint"
    UNSUBSCRIBE = "unsubscribe"


def blame_of(kind: ReceiptKind, bounce: BounceClass | None, *, is_about_another: bool) -> Blame | None:
    """Return what follows for the address the message went to; None: nothing.

    Args:
        kind: What was reported.
        bounce: The class of a bounce or rejection. A block is about us, and never about the recipient.
        is_about_another: The report names another address than the one written to: an alias or a list passed
            the message on, and one dead member is no reason never to write to it again.
    """
    if kind is ReceiptKind.COMPLAINED:
        return Blame.COMPLAINT
    if kind is ReceiptKind.UNSUBSCRIBED:
        return Blame.UNSUBSCRIBE
    if kind not in {ReceiptKind.BOUNCED, ReceiptKind.REJECTED} or bounce is BounceClass.BLOCK:
        return None
    if bounce is BounceClass.HARD and not is_about_another:
        return Blame.DEAD
    # A rejection without a class was the provider's own decision.
    return Blame.SOFT if bounce is not None or kind is ReceiptKind.BOUNCED else None


@dataclass(frozen=True, slots=True)
class Earlier:
    """A message to an address: how it stands, and whether it bounced in a way that may pass."""

    status: str
    fate: str | None
    is_soft: bool


def soft_in_a_row(newest_first: Iterable[Earlier]) -> int:
    """Return how many of the messages to an address bounced softly in a row, up to the last that did.

    What was sent between two of them and did not come back was delivered: its bounce would be known by now, as
    that of the later one is. What was never sent, or was blocked, says nothing. A delivery after them ends the row.
    """
    count = 0
    for one in newest_first:
        if one.is_soft:
            count += 1
            continue
        was_taken = one.status == MessageStatus.SENT and one.fate not in LOST
        if one.fate in {Fate.DELIVERED, Fate.COMPLAINED} or (count and was_taken):
            break
    return count


@dataclass(frozen=True, slots=True, kw_only=True)
class Sibling:
    """Another message of the same notification."""

    position: int
    status: str
    fate: str | None

    @property
    def may_reach(self) -> bool:
        """Tell whether it reached its recipient, or still may."""
        if self.status in {MessageStatus.QUEUED, MessageStatus.DEFERRED, MessageStatus.UNKNOWN}:
            return True
        return self.status == MessageStatus.SENT and self.fate not in LOST


def is_left_untold(position: int, siblings: Sequence[Sibling]) -> bool:
    """Tell whether a recipient whose message did not arrive is told by nothing else of the notification."""
    return not any(one.position > position or one.may_reach for one in siblings)
