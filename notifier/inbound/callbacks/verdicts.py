"""Decide what a bounce told by a provider means: its reason, and whether address, server or we are to blame.

The provider's own class counts only where the server's words leave it open.
"""

import re
from dataclasses import dataclass
from typing import Any

from notifier.inbound.reasons import Evidence, bounce_class, ordinary, rules
from notifier.inbound.smtp_words import codes_in, is_generic, phase_in
from notifier.receipts import BounceClass

OPEN = frozenset({"onhold", "undefined"})
"""The server said too little."""
SUPPRESSED = "suppressed"
"""Of a rejection: the provider keeps a list of its own, and the address is on it."""
UNSUBSCRIBED = "unsubscribed"

_KIND = re.compile(r"^\s*(?:smtp|x-[a-z0-9-]+)\s*;\s*", re.IGNORECASE)
"""What a Diagnostic-Code begins with (RFC 3464 §2.3.6)."""
_CODE = re.compile(r"[245]\d\d")
_STATUS = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What the recipient's server said, as far as the provider passes it on."""

    text: str = ""
    status: str | None = None
    """The enhanced status code (RFC 3463)."""
    code: int | None = None
    """The SMTP reply code (RFC 5321 §4.2)."""

    @property
    def is_temporary(self) -> bool:
        """Say whether the server left open that a later try succeeds."""
        return (self.status or str(self.code or "")).startswith("4")


def diagnosis(text: str, status: str = "", code: str = "") -> Diagnosis:
    """Put together what a provider tells in fields of its own and what only the server's text says.

    Args:
        text: a Diagnostic-Code (RFC 3464 §2.3.6) or a reply's text, such as ``smtp; 550 5.1.1 no such user``.
        status: a field with the enhanced status code; anything else is ignored.
        code: a field with the reply code; anything else is ignored.
    """
    said_code, said_status = codes_in(text)
    given = status if _STATUS.fullmatch(status) else None
    # A field that says 5.0.0 is the provider's stand-in for what the text says better.
    best = said_status if given is None or (is_generic(given) and said_status) else given
    return Diagnosis(text=text, status=best, code=int(code) if _CODE.fullmatch(code) else said_code)


def judge(said: Diagnosis, *, otherwise: str, is_permanent: bool) -> tuple[str, BounceClass]:
    """Return a bounce's reason and class.

    Args:
        said: what the recipient's server said.
        otherwise: the reason by the provider's word, where the server's leave it open; empty = it has none.
        is_permanent: whether the provider calls the address dead.
    """
    reason = reason_of(said)
    if reason in OPEN:
        reason = otherwise or reason
        if reason in OPEN and is_permanent and not said.is_temporary:
            return reason, BounceClass.HARD
    return reason, class_of(reason, said)


def class_of(reason: str, said: Diagnosis) -> BounceClass:
    """Return the class that follows from a reason."""
    return bounce_class(reason, hard=rules().is_hard(reason, said.status, said.code))


def reason_of(said: Diagnosis) -> str:
    """Return the word of the list that fits best; ``onhold`` or ``undefined`` where too little was said."""
    if not said.text and said.status is None:
        # A reply code alone means as much as the provider says.
        return "onhold"
    words = ordinary(_KIND.sub("", said.text))
    evidence = Evidence(said=words, status=said.status, code=said.code, phase=phase_in(said.text))
    return rules().reason(evidence)


def outcome(said: Diagnosis) -> dict[str, Any]:
    """Return the fields of a receipt that a diagnosis fills."""
    return {"status": said.status, "code": said.code, "text": said.text}
