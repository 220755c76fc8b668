"""Decide what an SMTP reply means for the message: code, enhanced code, phase and text, by a table of rules.

Pure; never acts on the verdict. Nothing here quotes the reply's text: it may hold the address.
"""

import re
from collections.abc import Sequence
from datetime import timedelta
from functools import cache, lru_cache

import re2

from notifier.delivery.reply_rules import PACKAGED, ReplyRule, read_rules
from notifier.errors import Fault, PermanentFailure, Phase, Reply, SendError, TemporaryFailure

RETRY_AFTER_LIMIT = timedelta(hours=6)
"""A server may not keep a message away for longer than this by its text alone."""

_TEXT_LIMIT = 2000
_REMEMBERED = 4096
# A local part may be `spam` or `blocked`; RE2 needs linear time whatever the text.
_ADDRESS = re2.compile(rb"<?[^\s<>@]+@[^\s<>@,;]+>?")
# Of a reply with many lines, each begins with the enhanced code (RFC 2034 §4), and words run on.
_BREAK = re2.compile(rb"\s+(?:[245]\.\d{1,3}\.\d{1,3}\s+)?")
_ENHANCED = re.compile(r"(?:#|\s|^)([245]\.\d{1,3}\.\d{1,3})\b")
_ASKED = "(?:again|retry|wait|back|after|greylisted|graylisted)"
# milter-greylist: "please come back in 00:05:00". Any other time in a reply is one of day.
_CLOCK = re.compile(
    rf"{_ASKED}[^\d.,;]{{0,30}}?(?<!at )(\d{{1,2}}):([0-5]\d):([0-5]\d)\b", re.IGNORECASE | re.ASCII
)
_WAIT = re.compile(
    rf"{_ASKED}\D{{0,30}}?(\d{{1,6}})\s*(seconds?|secs?|s|minutes?|mins?|m|hours?|h)\b",
    re.IGNORECASE | re.ASCII,
)
_UNITS = {"s": 1, "m": 60, "h": 3600}
_LAST_RESORT = ReplyRule(reason="provider", fault=Fault.PROVIDER)


class ReplyRules:
    """The packaged rules, with an operator's own in front. Shared between threads."""

    def __init__(self, own: Sequence[ReplyRule] = ()) -> None:
        self._rules = (*own, *packaged_rules())
        self._candidates = lru_cache(maxsize=_REMEMBERED)(self._found)

    def classify(self, reply: Reply) -> SendError | None:
        """Return the failure a reply means, or None where it is a success (2xx, 3xx)."""
        if reply.code is None or not 400 <= reply.code <= 599:  # noqa: PLR2004 - RFC 5321 §4.2.1
            is_success = reply.code is not None and 200 <= reply.code <= 399  # noqa: PLR2004
            return None if is_success else _no_reply(reply)
        code, enhanced = str(reply.code), reply.enhanced or _find_enhanced(reply.text)
        rule = self._deciding(code, enhanced, reply)
        said = f"{code} {enhanced}".strip()
        message = f"the server answered {said} at {reply.phase.value}: {rule.reason}"
        is_temporary = code.startswith("4") if rule.temporary is None else rule.temporary
        if is_temporary:
            wait = retry_after(reply.text)
            return TemporaryFailure(
                message, fault=rule.fault, reply=reply, reason=rule.reason, retry_after=wait
            )
        return PermanentFailure(
            message, fault=rule.fault, reply=reply, reason=rule.reason, is_hard=rule.is_hard
        )

    def deciding(self, reply: Reply) -> ReplyRule:
        """Return the rule that decides about a refusal."""
        return self._deciding(str(reply.code), reply.enhanced or _find_enhanced(reply.text), reply)

    def _deciding(self, code: str, enhanced: str, reply: Reply) -> ReplyRule:
        candidates, text = self._candidates(code, enhanced[:16], reply.phase), readable(reply.text)
        return next((rule for rule in candidates if rule.holds_for(text)), _LAST_RESORT)

    def _found(self, code: str, enhanced: str, phase: Phase) -> tuple[ReplyRule, ...]:
        """Return the rules whose text decides, down to the first that asks for none."""
        found: list[ReplyRule] = []
        for rule in self._rules:
            if rule.may_hold(code, enhanced, phase):
                found.append(rule)
                if rule.text is None:
                    break
        return tuple(found)


@cache
def packaged_rules() -> tuple[ReplyRule, ...]:
    """Return the rules that come with notifier."""
    return read_rules(PACKAGED)


@cache
def packaged() -> ReplyRules:
    """Return the packaged rules alone."""
    return ReplyRules()


def classify(reply: Reply) -> SendError | None:
    """Return the failure a reply means by the packaged rules, or None where it is a success (2xx, 3xx)."""
    return packaged().classify(reply)


def readable(text: str) -> bytes:
    """Return what rules read of a reply: one line, without the addresses it quotes."""
    data = text[:_TEXT_LIMIT].encode("utf-8", "replace")
    data = _BREAK.sub(b" ", data)
    return bytes(_ADDRESS.sub(b"<>", data)) if b"@" in data else bytes(data)


def retry_after(text: str) -> timedelta | None:
    """Return the wait a server asks for in words, at most :data:`RETRY_AFTER_LIMIT`."""
    text = text[:_TEXT_LIMIT]
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
