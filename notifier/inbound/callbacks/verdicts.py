"""Decide what a bounce told by a provider means: its reason, and whether address, server or we are to blame.

The provider's own class counts only where the server's words leave it open.
"""

import re
from dataclasses import dataclass
from typing import Any

from notifier.receipts import BounceClass

HARD = frozenset({"userunknown", "hostunknown", "hasmoved", "notaccept"})
"""The address is dead, whatever is sent to it; ``notaccept`` unless it may pass."""
BLOCK = frozenset(
    {
        "rejected", "blocked", "badreputation", "requireptr", "authfailure", "norelaying", "mesgtoobig",
        "spamdetected", "virusdetected", "contenterror", "notcompliantrfc", "policyviolation", "securityerror",
        "toomanyconn", "speeding", "syntaxerror",
    }
)  # fmt: skip
"""The sender, the message or our ways were refused: the recipient is not to blame."""
OPEN = frozenset({"", "onhold", "undefined"})
"""The server said too little."""

SUPPRESSED = "suppressed"
"""Of a rejection: the provider keeps a list of its own, and the address is on it."""
UNSUBSCRIBED = "unsubscribed"

_CODE = re.compile(r"(?<![\d.])([245]\d\d)(?=[\s\-]|$)")
_STATUS = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.])")


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
    found_status = _STATUS.fullmatch(status) or _STATUS.search(text)
    found_code = _CODE.fullmatch(code) or _CODE.search(text)
    return Diagnosis(
        text=text,
        status=found_status[1] if found_status else None,
        code=int(found_code[1]) if found_code else None,
    )


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
        if reason in OPEN | HARD and is_permanent and not said.is_temporary:
            return reason, BounceClass.HARD
    return reason, class_of(reason, is_temporary=said.is_temporary)


def class_of(reason: str, *, is_temporary: bool = False) -> BounceClass:
    """Return the class that follows from a reason."""
    if reason in HARD and not (reason == "notaccept" and is_temporary):
        return BounceClass.HARD
    return BounceClass.BLOCK if reason in BLOCK else BounceClass.SOFT


def reason_of(said: Diagnosis) -> str:
    """Return the word of the list that fits best; ``onhold`` where too little was said."""
    text = said.text.lower()
    for pattern, reason in _WORDS:
        if pattern.search(text):
            return reason
    detail = (said.status or "").partition(".")[2]
    return _STATUSES.get(detail, "onhold")


def outcome(said: Diagnosis) -> dict[str, Any]:
    """Return the fields of a receipt that a diagnosis fills."""
    return {"status": said.status, "code": said.code, "text": said.text}


_STATUSES = {
    # RFC 3463 §3, and https://www.iana.org/assignments/smtp-enhanced-status-codes.
    "1.1": "userunknown", "1.2": "hostunknown", "1.3": "userunknown", "1.6": "hasmoved", "1.7": "rejected",
    "1.8": "rejected", "1.10": "notaccept", "2.1": "suspend", "2.2": "mailboxfull", "2.3": "mesgtoobig",
    "3.1": "systemfull", "3.4": "mesgtoobig", "4.1": "networkerror", "4.2": "networkerror", "4.4": "networkerror",
    "4.5": "systemerror", "4.6": "networkerror", "4.7": "expired", "5.3": "exceedlimit", "6.0": "contenterror",
    "6.1": "contenterror", "7.1": "policyviolation", "7.7": "contenterror", "7.9": "securityerror",
    "7.20": "authfailure", "7.21": "authfailure", "7.22": "authfailure", "7.23": "authfailure", "7.25": "requireptr",
    "7.26": "authfailure", "7.27": "notaccept", "7.28": "speeding",
}  # fmt: skip
_WORDS = tuple(
    (re.compile(pattern), reason)
    for pattern, reason in (
        # The words come first: servers are more careful with them than with codes.
        (r"spf|dkim|dmarc|unauthenticated|not authenticated", "authfailure"),
        (r"\bptr\b|reverse dns|reverse hostname|\brdns\b", "requireptr"),
        (r"relay(ing)? (access )?(denied|not permitted|not allowed)|unable to relay", "norelaying"),
        (r"mailbox.{0,20}(is )?full|over (the )?quota|quota exceeded|out of storage|insufficient storage",
         "mailboxfull"),
        (r"virus|malware|infected", "virusdetected"),
        (r"blocklist|blacklist|block list|black list|spamhaus|barracuda|spamcop|client host .{0,60}blocked",
         "blocked"),
        (r"reputation", "badreputation"),
        (r"spam|unsolicited|junk", "spamdetected"),
        (r"too (large|big)|size limit|exceeds? (the )?(maximum|fixed) .{0,20}size", "mesgtoobig"),
        (r"rate limit|too (many|much) .{0,20}(messages|mail)|throttl|sending too fast", "speeding"),
        (r"too many (concurrent )?connections", "toomanyconn"),
        (r"(user|recipient|mailbox|address|account|alias).{0,40}(unknown|not found|unavailable|invalid)",
         "userunknown"),
        (r"(user|recipient|mailbox|address|account|alias).{0,40}(does ?n[o']t exist|no longer (valid|exists))",
         "userunknown"),
        (r"(unknown|no such|invalid|bad) (local )?(user|recipient|mailbox|address|destination)", "userunknown"),
        (r"(account|mailbox|user).{0,30}(disabled|suspended|inactive|deactivated)", "suspend"),
        (r"(domain|host).{0,30}(not found|does not exist|unknown)|nxdomain|no such (domain|host)", "hostunknown"),
        (r"greylist|graylist", "policyviolation"),
    )
)  # fmt: skip
