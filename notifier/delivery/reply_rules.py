"""Read the rules that say what an SMTP reply means: a YAML file, checked once and made quick to ask.

Judges no reply itself, and quotes none.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

import re2
from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from notifier.documents import Strict, load
from notifier.errors import Fault, Phase
from notifier.forms import wrong

PACKAGED = Path(__file__).with_name("replies.yaml")

_GROUPS = {
    "session": (Phase.CONNECT, Phase.GREETING, Phase.EHLO),
    "early": (Phase.CONNECT, Phase.GREETING, Phase.EHLO, Phase.TLS, Phase.AUTH, Phase.MAIL),
    "body": (Phase.DATA, Phase.DOT),
}
"""Names for several phases; ``early``: before a recipient is named, so what is said is said of us."""
_CODE = re.compile(r"[2-5](?:[0-9]{2}|[0-9]x|xx)")
_ENHANCED = re.compile(r"([45x])\.(\d{1,3})\.(\*|\d{1,3}(?:-\d{1,3})?)")
_NONE = "none"


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str | int | float) else value


def _texts(value: Any) -> Any:
    """Let codes be numbers, as one writes them."""
    listed = _as_list(value)
    if not isinstance(listed, list):
        return listed
    return [str(one) if isinstance(one, int | float) else one for one in listed]


def _code(value: str) -> str:
    if not _CODE.fullmatch(value):
        raise wrong("must be a reply code", "write 550, 55x or 5xx")
    return value


def _enhanced(value: str) -> str:
    found = _ENHANCED.fullmatch(value)
    if value != _NONE and (found is None or not _is_ordered(found[3])):
        raise wrong("must be an enhanced status code", "write 5.1.1, x.2.2, 5.7.20-27, 5.6.* or none")
    return value


def _is_ordered(detail: str) -> bool:
    first, dash, last = detail.partition("-")
    return not dash or int(first) <= int(last)


def _phase(value: str) -> str:
    if value not in _GROUPS and value not in set(Phase):
        raise wrong("is no phase", f"one of {', '.join([*_GROUPS, *Phase])}")
    return value


def _text(value: str) -> str:
    try:
        _compiled([value])
    except re2.error:
        raise wrong("is no regular expression of RE2", "see github.com/google/re2/wiki/Syntax") from None
    return value


_Codes = Annotated[tuple[Annotated[str, AfterValidator(_code)], ...], BeforeValidator(_texts)]
_Enhanced = Annotated[tuple[Annotated[str, AfterValidator(_enhanced)], ...], BeforeValidator(_texts)]
_Phases = Annotated[tuple[Annotated[str, AfterValidator(_phase)], ...], BeforeValidator(_as_list)]
_Patterns = Annotated[tuple[Annotated[str, AfterValidator(_text)], ...], BeforeValidator(_as_list)]


class RuleEntry(Strict):
    """One rule of the file; of a condition any entry may hold, of the conditions all must."""

    reason: str = Field(pattern=r"^[a-z][a-z0-9-]{0,40}$")
    fault: Fault
    temporary: bool | None = None
    """None: as the first digit of the code says."""
    hard: bool = False
    """The address is dead: never write to it again."""
    code: _Codes = ()
    enhanced: _Enhanced = ()
    phase: _Phases = ()
    text: _Patterns = ()
    source: str = Field(min_length=3)
    """Where this is written: an RFC with its section, or a postmaster's page."""

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if not (self.code or self.enhanced or self.phase or self.text):
            raise wrong("holds for every reply", "add code, enhanced, phase or text")
        if self.hard and (self.fault is not Fault.RECIPIENT or self.temporary):
            raise wrong("only a permanent fault of the recipient is hard", "take hard away")
        return self


class RulesFile(Strict):
    """A file of rules; the first that holds decides."""

    rules: tuple[RuleEntry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyRule:
    """A rule made ready: what it means, and its conditions."""

    reason: str
    fault: Fault
    temporary: bool | None = None
    is_hard: bool = False
    source: str = ""
    """Where it is written."""
    code: "re.Pattern[str] | None" = None
    enhanced: "re.Pattern[str] | None" = None
    phases: frozenset[Phase] | None = None
    text: "re2._Regexp[bytes] | None" = None

    def may_hold(self, code: str, enhanced: str, phase: Phase) -> bool:
        """Say whether all conditions but the text hold."""
        return (
            (self.phases is None or phase in self.phases)
            and (self.code is None or self.code.fullmatch(code) is not None)
            and (self.enhanced is None or self.enhanced.fullmatch(enhanced) is not None)
        )

    def holds_for(self, text: bytes) -> bool:
        """Say whether the text's condition holds."""
        return self.text is None or self.text.search(text) is not None


def read_rules(file: Path) -> tuple[ReplyRule, ...]:
    """Return the rules of a file.

    Raises:
        ConfigError: it cannot be read, or is no YAML.
        ConfigErrors: every wrong field, with its line.
    """
    document = load(file)
    if not isinstance(document.value, dict):
        raise document.error("must be a mapping with `rules`", mend="write `rules:` and a list below it")
    return tuple(map(_ready, document.read(RulesFile).rules))


def own_rules(folder: Path) -> tuple[ReplyRule, ...]:
    """Return the rules an operator put in front: ``replies.yaml`` of the configuration; none without that file.

    Raises:
        ConfigError: it cannot be read, or is no YAML.
        ConfigErrors: every wrong field, with its line.
    """
    file = folder / PACKAGED.name
    return read_rules(file) if file.exists() else ()


def _ready(entry: RuleEntry) -> ReplyRule:
    return ReplyRule(
        reason=entry.reason,
        fault=entry.fault,
        temporary=entry.temporary,
        is_hard=entry.hard,
        source=entry.source,
        code=_any(one.replace("x", "[0-9]") for one in entry.code),
        enhanced=_any(map(_enhanced_pattern, entry.enhanced)),
        phases=frozenset(_phases(entry.phase)) or None,
        text=_compiled(entry.text) if entry.text else None,
    )


def _any(patterns: Iterator[str]) -> "re.Pattern[str] | None":
    joined = "|".join(patterns)
    return re.compile(joined) if joined else None


def _enhanced_pattern(value: str) -> str:
    if value == _NONE:
        return "(?:)"
    kind, subject, detail = value.split(".")
    first, dash, last = detail.partition("-")
    number = r"\d{1,3}" if detail == "*" else first
    if dash:
        number = f"(?:{'|'.join(map(str, range(int(first), int(last) + 1)))})"
    return rf"{'[45]' if kind == 'x' else kind}\.{subject}\.{number}"


def _phases(names: Sequence[str]) -> Iterator[Phase]:
    for name in names:
        yield from _GROUPS.get(name) or (Phase(name),)


def _compiled(patterns: Sequence[str]) -> "re2._Regexp[bytes]":
    options = re2.Options()
    options.case_sensitive = False
    # What is no expression is the caller's error; RE2 would print it as well.
    options.log_errors = False
    return re2.compile("|".join(f"(?:{one})" for one in patterns).encode(), options)
