"""Decide why a mail came back, by the rules of ``reasons.yaml``, and what that means for later messages.

Pure; reads its own data file once. Time is linear in the text, whatever the text (RE2).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import re2
import yaml

from notifier.errors import ConfigError
from notifier.inbound.addresses import ADDRESS
from notifier.inbound.report import Phase
from notifier.inbound.signs import worded
from notifier.inbound.spelling import without_accents
from notifier.receipts import BounceClass

REASONS = frozenset(
    {
        "authfailure", "badreputation", "blocked", "contenterror", "exceedlimit", "expired", "filtered", "hasmoved",
        "hostunknown", "mailboxfull", "mailererror", "mesgtoobig", "networkerror", "norelaying", "notaccept",
        "notcompliantrfc", "onhold", "policyviolation", "rejected", "requireptr", "securityerror", "spamdetected",
        "speeding", "suspend", "syntaxerror", "systemerror", "systemfull", "toomanyconn", "undefined", "userunknown",
        "virusdetected",
    }
)  # fmt: skip
"""Why a mail may come back; ``reasons.yaml`` and docs/how-to/bounces.md say what each means."""
_RECIPIENTS = frozenset({"userunknown", "hasmoved", "hostunknown", "mailboxfull", "suspend"})
"""Reasons that are the recipient's, whoever sends."""
_LISTS = ("texts", "statuses", "hints", "vague", "codes")
_CONDITIONS = frozenset({"text", "status", "code", "phase", "action", "local"})
_TEXT = 4000
"""Characters that are asked; the refusal stands at the beginning."""
_MEMORY = 8 << 20
"""Bytes RE2 may use for one pattern."""
_NAMED = re.compile(rf"(?:mailto:)?[<\"'\[(]{{0,2}}{ADDRESS.pattern}[>\"'\])]{{0,2}}")
_CONTINUED = re.compile(
    r"(?<=\S)\s+[245]\d\d(?:-| (?=#?\(?[245]\.\d))(?:#?\(?[245]\.\d{1,3}\.\d{1,3}\)?)?\s*"
)
_WORD = re.compile(r"[^\W\d]{3}")
_SPACE = re.compile(r"\s+")
_FILE = "notifier/inbound/reasons.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule; a condition that is None always holds."""

    reason: str
    source: str
    text: tuple[str, ...] = ()
    status: re.Pattern[str] | None = None
    code: re.Pattern[str] | None = None
    phase: frozenset[Phase] | None = None
    action: str | None = None
    is_local: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a report says of one recipient, for the rules to judge."""

    said: str
    """The refusing server's words."""
    around: str = ""
    """The paragraph about the recipient."""
    whole: str = ""
    """All the report says, as it stands; the others are :func:`ordinary`."""
    status: str | None = None
    code: int | None = None
    phase: Phase | None = None
    action: str = "failed"
    is_local: bool = False


class Rules:
    """The rules, compiled."""

    def __init__(self, lists: dict[str, list[Rule]], hard: dict[str, list[str]], block: list[str]) -> None:
        self.lists = lists
        self._always, self._unless_temporary = frozenset(hard["always"]), frozenset(hard["unless_temporary"])
        self._block = frozenset(block)
        options = re2.Options()
        options.max_mem = _MEMORY
        options.log_errors = False
        # Literals first, then only the patterns that may hold: one automaton of all takes 13 times as long.
        self._filter = re2.Filter()
        self._number: dict[str, int] = {}
        for rule in (rule for rules in lists.values() for rule in rules):
            for pattern in rule.text:
                if pattern not in self._number:
                    self._number[pattern] = _added(self._filter, options, pattern)
        self._filter.Compile()
        self._asked = {
            name: [(rule, frozenset(self._number[pattern] for pattern in rule.text)) for rule in rules]
            for name, rules in lists.items()
        }

    def reason(self, evidence: Evidence) -> str:
        """Return why the mail came back."""
        said, around = self._found(evidence.said), self._found(evidence.around)
        near = said | around
        if said_anything(evidence):
            order = [
                ("texts", said),
                ("statuses", said),
                ("hints", said),
                ("texts", around),
                ("hints", around),
            ]
        else:
            order = [("texts", around), ("statuses", around), ("hints", around)]
        if reason := self._first(evidence, *order, ("vague", near)):
            return reason
        whole = near | self._found(ordinary(evidence.whole))
        last = self._first(evidence, ("texts", whole), ("hints", whole), ("vague", whole), ("codes", whole))
        return last or ("onhold" if evidence.said or evidence.around else "undefined")

    def _first(self, evidence: Evidence, *order: tuple[str, set[int]]) -> str | None:
        for name, found in order:
            for rule, patterns in self._asked[name]:
                if (not patterns or not patterns.isdisjoint(found)) and _holds(rule, evidence):
                    return rule.reason
        return None

    def blames_recipient(self, text: str) -> bool:
        """Say whether a report's words clearly say what is wrong with a recipient."""
        return self._clear_reason(text) in _RECIPIENTS

    def explains(self, text: str) -> bool:
        """Say whether a report's words clearly say why."""
        return self._clear_reason(text) is not None

    def _clear_reason(self, text: str) -> str | None:
        return self._first(Evidence(said=text), ("texts", self._found(ordinary(text))))

    def is_hard(self, reason: str, status: str | None, code: int | None) -> bool:
        """Say whether nothing may ever be sent to the address again."""
        if reason in self._unless_temporary:
            return str(status or code or "5")[0] != "4"
        return reason in self._always

    def bounce_class(self, reason: str, *, hard: bool) -> BounceClass:
        """Return the class of a bounce: of a block the recipient is not to blame."""
        if hard:
            return BounceClass.HARD
        return BounceClass.BLOCK if reason in self._block else BounceClass.SOFT

    def _found(self, text: str) -> set[int]:
        return set(self._filter.Match(text) or ()) if text else set()


def _holds(rule: Rule, evidence: Evidence) -> bool:
    """Say whether all conditions but the words hold."""
    return (
        (rule.phase is None or evidence.phase in rule.phase)
        and (rule.action is None or rule.action == evidence.action)
        and (rule.is_local is None or rule.is_local == evidence.is_local)
        and (rule.status is None or rule.status.fullmatch(evidence.status or "") is not None)
        and (rule.code is None or rule.code.fullmatch(str(evidence.code or "")) is not None)
    )


def said_anything(evidence: Evidence) -> bool:
    """Say whether the refusing server's words are more than numbers; its relay's words count less then."""
    return _WORD.search(evidence.said) is not None


def bounce_class(reason: str, *, hard: bool) -> BounceClass:
    """Return what a bounce for this reason says of later messages."""
    return rules().bounce_class(reason, hard=hard)


def ordinary(text: str) -> str:
    """Return a text as the rules ask it: lower case, one blank, addresses as ``@``, no codes in between, no accents."""
    text = text[: _TEXT * 2]
    if "@" in text:
        text = _NAMED.sub("@", text)
    # AT&T and others join the words of a reply by underscores.
    text = text.replace("\u2019", "'").replace("_", " ")
    plain = _CONTINUED.sub(" ", _SPACE.sub(" ", text)).strip().lower()
    return without_accents(plain)[:_TEXT]


@cache
def rules() -> Rules:
    """Return the packaged rules.

    Raises:
        ConfigError: ``reasons.yaml`` is wrong.
    """
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    source = resources.files("notifier.inbound").joinpath("reasons.yaml").read_text("utf-8")
    return read_rules(yaml.load(source, Loader=loader))  # noqa: S506 - both loaders are safe ones


def read_rules(document: dict[str, Any]) -> Rules:
    """Check a rules document and compile it.

    Raises:
        ConfigError: a rule has an unknown reason, condition or pattern, or does not say its source.
    """
    lists = {name: [_rule(name, number, raw) for number, raw in _numbered(document, name)] for name in _LISTS}
    block = document["block"]
    if unknown := set(block) - REASONS:
        raise ConfigError(f"no such reason: {min(unknown)}", file=_FILE, field="block")
    return Rules(lists, document["hard"], block)


def _numbered(document: dict[str, Any], name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    yield from enumerate(document.get(name) or (), 1)


def _rule(name: str, number: int, raw: dict[str, Any]) -> Rule:
    field = f"{name}[{number}]"
    if raw.get("reason") not in REASONS:
        raise ConfigError(f"no such reason: {raw.get('reason')}", file=_FILE, field=field)
    if not raw.get("source"):
        raise ConfigError("a rule says where it comes from", file=_FILE, field=field, mend="add source:")
    conditions = set(raw) - {"reason", "source"}
    if unknown := conditions - _CONDITIONS:
        raise ConfigError(f"no such condition: {min(unknown)}", file=_FILE, field=field)
    if not conditions:
        raise ConfigError("a rule without a condition always holds", file=_FILE, field=field)
    try:
        return Rule(
            reason=raw["reason"], source=raw["source"], text=tuple(raw.get("text", ())),
            status=_pattern(raw.get("status")), code=_pattern(raw.get("code")),
            phase=frozenset(Phase(one) for one in raw["phase"]) if "phase" in raw else None,
            action=raw.get("action"), is_local=raw.get("local"),
        )  # fmt: skip
    except (ValueError, re.error) as error:
        raise ConfigError(str(error), file=_FILE, field=field) from None


def _pattern(raw: object) -> re.Pattern[str] | None:
    return None if raw is None else re.compile(str(raw))


def _added(patterns: Any, options: Any, pattern: str) -> int:
    try:
        return int(patterns.Add(worded(without_accents(pattern)), options))
    except re2.error as error:
        raise ConfigError(f"{pattern!r}: {error}", file=_FILE, field="text") from None
