"""Decide what an SMTP reply means for the message: code, enhanced code, phase and text in one table.

Pure; never acts on the verdict. Nothing here quotes the reply's text: it may hold the address.
"""

import re
from dataclasses import KW_ONLY, dataclass
from datetime import timedelta

from notifier.errors import Fault, PermanentFailure, Phase, Reply, SendError, TemporaryFailure

RETRY_AFTER_LIMIT = timedelta(hours=6)
"""A server may not keep a message away for longer than this by its text alone."""

_SESSION = frozenset({Phase.CONNECT, Phase.GREETING, Phase.EHLO})
_TLS = frozenset({Phase.TLS})
_AUTH = frozenset({Phase.AUTH})
_MAIL = frozenset({Phase.MAIL})
_RCPT = frozenset({Phase.RCPT})
_BODY = frozenset({Phase.DATA, Phase.DOT})
_EARLY = _SESSION | _TLS | _AUTH | _MAIL
"""Before a recipient is named: what is said here is said of us."""


@dataclass(frozen=True, slots=True)
class _Rule:
    """One line of the table; a condition left out always holds."""

    reason: str
    fault: Fault
    _: KW_ONLY
    temporary: bool | None = None
    """None: as the first digit of the code says."""
    code: str | None = None
    enhanced: str | None = None
    at: frozenset[Phase] | None = None
    text: str | None = None

    def matches(self, phase: Phase, code: str, enhanced: str, text: str) -> bool:
        """Say whether every condition holds."""
        return (
            (self.at is None or phase in self.at)
            and (self.code is None or re.fullmatch(self.code, code) is not None)
            and (self.enhanced is None or re.fullmatch(self.enhanced, enhanced) is not None)
            and (self.text is None or re.search(self.text, text, re.IGNORECASE) is not None)
        )


_UNKNOWN_USER = (
    r"(?:user|mailbox|recipient|account|address)(?: \S+)? (?:is )?(?:unknown|not found)"
    r"|does(?: not|n't) exist"
    r"|(?:unknown|no such|invalid) (?:local )?(?:user|mailbox|recipient|account|person)"
)
_FULL = (
    r"(?:mailbox|inbox|account) (?:is |was )?(?:over ?)?(?:full|quota)"
    r"|(?:over|exceeds?|exceeded) (?:\w+ )?quota|quota (?:is )?exceeded"
)
_NO_RELAY = (
    r"relay(?:ing)? (?:access )?(?:denied|not permitted|prohibited)|unable to relay|not permitted to relay"
)
_SLOWER = (
    r"too (?:many|fast|quickly|much)|rate.?limit|(?:rate|limit|quota) (?:is |was |has been )?exceeded"
    r"|throttl|unusual rate|unexpected volume|sending (?:limit|quota|rate)|TSS0\d|slow down"
)

# The first rule that matches decides. Sources: RFC 5321 §4.2 (codes), RFC 3463 and the IANA registry of
# enhanced status codes (RFC 5248), RFC 4954 §6 (AUTH), RFC 3207 §4 (STARTTLS), RFC 1870 §6 (SIZE), RFC 7372
# (mail authentication), RFC 6647 (greylisting); the postmaster pages of Gmail, Yahoo and Microsoft.
_TABLE: tuple[_Rule, ...] = (
    # the session, not the message
    _Rule("tls-refused", Fault.TLS, temporary=True, at=_TLS),
    _Rule("tls-wanted", Fault.TLS, temporary=True, code="530", text=r"starttls|\btls\b"),
    _Rule("tls-wanted", Fault.TLS, temporary=True, code="5..", enhanced=r"5\.7\.10", at=_EARLY),
    # Later on it is this recipient's wish, and the next try would fare no better.
    _Rule("tls-wanted", Fault.TLS, code="5..", enhanced=r"5\.7\.10"),
    # Too many logins are answered 454 4.7.0 (RFC 4954 §6 calls it a temporary authentication failure).
    _Rule("rate-limited", Fault.RATE, at=_AUTH, code="4..", text=_SLOWER),
    _Rule("auth-unavailable", Fault.PROVIDER, at=_AUTH, code="4.."),
    _Rule("credentials", Fault.CREDENTIALS, at=_AUTH, code="5.."),
    _Rule("credentials", Fault.CREDENTIALS, code="53[0458]"),
    _Rule("credentials", Fault.CREDENTIALS, code="5..", enhanced=r"5\.7\.(?:8|9|11|13|14)", at=_EARLY),
    _Rule("relay-denied", Fault.SENDER, code="5..", text=_NO_RELAY),
    # too fast: the flow slows down, nobody is to blame
    # Gmail: 550 5.4.5 is the account's daily limit, over the next day.
    _Rule("daily-quota", Fault.RATE, temporary=True, enhanced=r"5\.4\.5"),
    _Rule("greylisted", Fault.PROVIDER, code="4..", text=r"gr[ea]y.?list|postgrey"),
    _Rule("rate-limited", Fault.RATE, code="4..", text=_SLOWER),
    # Gmail 4.7.28, Yahoo 421 4.7.0 [TSS04], Microsoft 451 4.7.5xx to 4.7.7xx.
    _Rule("rate-limited", Fault.RATE, code="421", enhanced=r"4\.7\.\d+"),
    _Rule("rate-limited", Fault.RATE, code="4..", enhanced=r"4\.7\.(?:28|[5-7]\d\d)|4\.5\.3"),
    # Gmail: this user receives mail too quickly.
    _Rule("rate-limited", Fault.RATE, code="450", enhanced=r"4\.2\.1"),
    _Rule("refused-connection", Fault.SENDER, temporary=True, at=_SESSION, code="5.."),
    _Rule("service-unavailable", Fault.PROVIDER, code="421"),
    # the mailbox: full is temporary, also where the code says 5
    _Rule("mailbox-full", Fault.MAILBOX, temporary=True, enhanced=r"[45]\.2\.2"),
    _Rule("too-large", Fault.CONTENT, code="5..", enhanced=r"5\.3\.4|5\.2\.3"),
    _Rule("too-large", Fault.CONTENT, code="552", enhanced=r"|5\.[05]\.0", at=_MAIL),
    _Rule("too-large", Fault.CONTENT, code="552", text=r"size|too (?:large|big)"),
    _Rule("mailbox-full", Fault.MAILBOX, temporary=True, at=_RCPT | _BODY,
          text=_FULL),
    # Gmail: 552 5.7.0 is an attachment it blocks; elsewhere 5.7.x speaks of policy.
    _Rule("blocked-content", Fault.CONTENT, code="552", enhanced=r"5\.7\.\d+", at=_BODY),
    _Rule("blocked-content", Fault.CONTENT, code="5..", at=_BODY, text=r"virus|malware|infected"),
    _Rule("mailbox-full", Fault.MAILBOX, temporary=True, code="552", enhanced=r"", at=_RCPT | _BODY),
    # the sender: never suppress the recipient; whether the flow rests, the phase decides
    _Rule("authentication", Fault.SENDER, enhanced=r"[45]\.7\.(?:2[0-7]|515)"),
    _Rule("sender-address", Fault.SENDER, enhanced=r"[45]\.1\.[78]"),
    # RFC 7293: mailbox, or domain, has a new owner.
    _Rule("recipient-changed", Fault.RECIPIENT, code="5..", enhanced=r"5\.7\.1[78]"),
    # Some servers answer 550 5.7.1 for a mailbox that does not exist; only the text tells.
    _Rule("unknown-recipient", Fault.RECIPIENT, code="5..", at=_RCPT, text=_UNKNOWN_USER),
    _Rule("policy", Fault.SENDER, code="5..", enhanced=r"5\.7\.\d+"),
    # greylisting and passing trouble
    _Rule("greylisted", Fault.PROVIDER, code="45[01]", enhanced=r"4\.7\.[01]", at=_RCPT),
    _Rule("policy-deferred", Fault.SENDER, code="4..", enhanced=r"4\.7\.\d+"),
    _Rule("transient", Fault.PROVIDER, code="4.."),
    # the recipient
    _Rule("unknown-recipient", Fault.RECIPIENT, enhanced=r"5\.1\.(?:1|2|3|6|10)"),
    _Rule("mailbox-disabled", Fault.RECIPIENT, enhanced=r"5\.2\.1"),
    # Microsoft: 5.4.1 address rejected, 5.4.310 the domain does not exist; RFC 3463: 5.4.4 no route.
    _Rule("unroutable", Fault.RECIPIENT, enhanced=r"5\.4\.(?:1|4|310)", at=_RCPT | _BODY),
    # the content, the provider
    _Rule("content", Fault.CONTENT, enhanced=r"5\.6\.\d+"),
    _Rule("provider", Fault.PROVIDER, enhanced=r"5\.[34]\.[1-9]\d*"),
    # We sent what the server's EHLO allowed: a quarrel about syntax or order is not the message's fault.
    _Rule("protocol", Fault.PROVIDER, temporary=True, code="50[0234]", at=_MAIL | _BODY),
    # what is left goes by phase
    _Rule("sender-refused", Fault.SENDER, code="5..", at=_MAIL),
    _Rule("recipient-refused", Fault.RECIPIENT, code="5..", at=_RCPT),
    _Rule("content-refused", Fault.CONTENT, code="5..", at=_BODY),
    _Rule("provider", Fault.PROVIDER, code="5.."),
)  # fmt: skip

_ENHANCED = re.compile(r"(?:#|\s|^)([245]\.\d{1,3}\.\d{1,3})\b")
_CLOCK = re.compile(r"\b(\d{1,2}):([0-5]\d):([0-5]\d)\b")
_WAIT = re.compile(
    r"(?:again|retry|wait|back|after|greylisted|graylisted)\D{0,30}?(\d{1,6})\s*"
    r"(seconds?|secs?|s|minutes?|mins?|m|hours?|h)\b",
    re.IGNORECASE,
)
_UNITS = {"s": 1, "m": 60, "h": 3600}


def classify(reply: Reply) -> SendError | None:
    """Return the failure a reply means, or None where it is a success (2xx, 3xx)."""
    if reply.code is None or not 400 <= reply.code <= 599:  # noqa: PLR2004 - RFC 5321 §4.2.1
        is_success = reply.code is not None and 200 <= reply.code <= 399  # noqa: PLR2004
        return None if is_success else _no_reply(reply)
    code, enhanced = str(reply.code), reply.enhanced or _find_enhanced(reply.text)
    rule = next(
        (rule for rule in _TABLE if rule.matches(reply.phase, code, enhanced, reply.text)), _LAST_RESORT
    )
    said = f"{code} {enhanced}".strip()
    message = f"the server answered {said} at {reply.phase.value}: {rule.reason}"
    is_temporary = code.startswith("4") if rule.temporary is None else rule.temporary
    if is_temporary:
        return TemporaryFailure(
            message, fault=rule.fault, reply=reply, reason=rule.reason, retry_after=retry_after(reply.text)
        )
    return PermanentFailure(message, fault=rule.fault, reply=reply, reason=rule.reason)


_LAST_RESORT = _Rule("provider", Fault.PROVIDER)


def retry_after(text: str) -> timedelta | None:
    """Return the wait a server asks for in words, at most :data:`RETRY_AFTER_LIMIT`."""
    if clock := _CLOCK.search(text):
        hours, minutes, seconds = map(int, clock.groups())
        wait = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    elif found := _WAIT.search(text):
        wait = timedelta(seconds=int(found[1]) * _UNITS[found[2][0].lower()])
    else:
        return None
    return min(wait, RETRY_AFTER_LIMIT) if wait else None


def _find_enhanced(text: str) -> str:
    found = _ENHANCED.search(text[:120])
    return found[1] if found else ""


def _no_reply(reply: Reply) -> TemporaryFailure:
    return TemporaryFailure(
        f"no valid reply at {reply.phase.value}", fault=Fault.PROVIDER, reply=reply, reason="protocol"
    )
