"""Decide what an SMS gateway's error code says of the number: its reason, and who is to blame.

Knows no gateway's codes; each reader has its own table.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from notifier.receipts import BounceClass, ReceiptKind


@dataclass(frozen=True, slots=True)
class Meaning:
    """What an error code says of the number."""

    reason: str
    bounce: BounceClass


UNCLEAR = Meaning("undefined", BounceClass.SOFT)
"""What a code says that stands in no table."""


def meaning_of(kind: ReceiptKind, code: str, codes: Mapping[str, Meaning]) -> Meaning | None:
    """Return what a code means for a message that did not arrive; None for one that may yet, or did."""
    if kind not in (ReceiptKind.BOUNCED, ReceiptKind.REJECTED):
        return None
    return codes.get(code, UNCLEAR)


def verdict(kind: ReceiptKind, meaning: Meaning | None) -> dict[str, Any]:
    """Return the fields of a receipt that a meaning fills.

    What a gateway refused before it tried is a bounce where nobody has the number: that is as final.
    """
    if kind is ReceiptKind.REJECTED and meaning is not None and meaning.bounce is BounceClass.HARD:
        kind = ReceiptKind.BOUNCED
    return {
        "kind": kind,
        "bounce": meaning.bounce if meaning is not None and kind is ReceiptKind.BOUNCED else None,
        "reason": meaning.reason if meaning is not None else None,
    }
