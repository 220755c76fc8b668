"""Compile the CEL conditions of rules once, and evaluate them with reasons a person understands.

Reasons never quote values of the event, which may be personal.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import cel

from notifier.events import Json
from notifier.recipients.paths import Missing, look_up

ROOTS = frozenset({"event", "data", "journey"})
"""The variables a condition may use; ``journey`` only in a stage."""

# What the crate implements of cel-spec's "Standard Definitions"; operators are called ``_&&_`` or ``@in``.
_FUNCTIONS = frozenset(
    {
        *("size", "contains", "startsWith", "endsWith", "matches"),
        *("int", "uint", "double", "string", "bytes", "timestamp", "duration", "type", "dyn"),
        *("getFullYear", "getMonth", "getDate", "getDayOfMonth", "getDayOfYear", "getDayOfWeek"),
        *("getHours", "getMinutes", "getSeconds", "getMilliseconds"),
    }
)
_MACROS = frozenset({"has", "all", "exists", "exists_one", "map", "filter"})
_BOUND = re.compile(r"\.(?:all|exists|exists_one|map|filter)\s*\(\s*([A-Za-z_]\w*)\s*,")
_TEXT = r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'"
_STEP = rf"(?:\.[A-Za-z_]\w*\b(?!\s*\()|\[\s*(?:\d+|{_TEXT})\s*\])"
_TOKEN = re.compile(rf"(?<![\w.])(?P<root>event|data|journey)\b(?P<steps>{_STEP}+)|{_TEXT}")
_KEY = re.compile(r"\.?([A-Za-z_]\w*)|\[\s*(?:(\d+)|[\"'](.*?)[\"'])\s*\]")
_PARSE_ERROR = re.compile(r"<input>:(\d+):(\d+): (?:Syntax error: )?(.*)")


class ConditionError(ValueError):
    """The condition is no CEL, or uses what it does not have; the message says where."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a condition came to; ``None`` when it could not be computed, then ``reason`` says why."""

    is_true: bool | None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A compiled condition, and the fields it looks at."""

    source: str
    program: Any
    paths: tuple[str, ...]
    """Such as ``data.customer.email``, ``event.tenant``, ``data.items.0.price``."""
    variables: frozenset[str]

    def answer(self, context: cel.Context) -> Answer:
        """Evaluate on a context made by :func:`context_of`."""
        try:
            value = self.program.execute(context)
        except (LookupError, TypeError, ArithmeticError, RuntimeError, ValueError) as error:
            return Answer(is_true=None, reason=_why(error, self.source))
        if isinstance(value, bool):
            return Answer(is_true=value)
        return Answer(is_true=None, reason=f"it gives a {type(value).__name__}, not true or false")

    def facts(self, variables: Mapping[str, Json], secret: tuple[str, ...] = ()) -> dict[str, Json]:
        """Return the values of the fields the condition looks at; secret ones masked, absent ones not."""
        found: dict[str, Json] = {}
        for path in self.paths:
            root, _, rest = path.partition(".")
            value = look_up(variables.get(root), rest)
            if not isinstance(value, Missing):
                masked = root == "data" and _is_secret(rest, secret)
                found[path] = "(secret)" if masked else _json(value)
        return found


def compile_condition(source: str, roots: frozenset[str] = ROOTS) -> Condition:
    """Compile a condition that may use ``roots``.

    Raises:
        ConditionError: with the column, or the name that is unknown.
    """
    try:
        program = cel.compile(source)
    except ValueError as error:
        raise ConditionError(_position(str(error))) from None
    unknown = set(program.variables()) - roots - set(_BOUND.findall(source))
    if unknown:
        raise ConditionError(f"unknown variable {min(unknown)!r}; known here: {', '.join(sorted(roots))}")
    foreign = [name for name in program.functions() if name.isidentifier() and name[0] not in "_@"]
    for name in foreign:
        if name not in _FUNCTIONS:
            raise ConditionError(
                f"unknown function {name!r}; known: {', '.join(sorted(_FUNCTIONS | _MACROS))}"
            )
    return Condition(
        source=source,
        program=program,
        paths=tuple(dict.fromkeys(_paths(source))),
        variables=frozenset(program.variables()) & ROOTS,
    )


def context_of(variables: Mapping[str, Json]) -> cel.Context:
    """Convert the variables once; a context serves every condition of an event.

    Raises:
        ConditionError: a value cannot be converted, such as a text that is not Unicode.
    """
    try:
        return cel.Context(variables=dict(variables))
    except (ArithmeticError, TypeError, ValueError):
        raise ConditionError("the event's data holds a value that conditions cannot read") from None


def _why(error: Exception, source: str) -> str:
    """Say what went wrong; messages of the library are dropped, because some quote the value."""
    match error:
        case KeyError():
            # A key taken from the data, as in data.prices[data.name], is a value too.
            name = repr(error.args[0]) if str(error.args[0]) in source else "it looks for"
            return f"the field {name} is absent (guard it with `has(...)`)"
        case IndexError():
            return "a list is shorter than the condition expects"
        case TypeError():
            return "a field is null, or of another type than the condition expects"
        case ArithmeticError():
            return "a division by zero, or a number that is too large"
    return "a function of the condition does not take the value it was given"


def _json(value: Json) -> Json:
    return value.isoformat() if isinstance(value, datetime) else value


def _position(message: str) -> str:
    match = _PARSE_ERROR.search(message)
    if match is None:
        return "not a CEL expression"
    line, column, problem = match.groups()
    at = f"line {line}, column {column}" if line != "1" else f"column {column}"
    return f"not a CEL expression: {at}: {problem.partition(' expecting ')[0]}"


def _paths(source: str) -> Iterator[str]:
    for token in _TOKEN.finditer(source):
        if token["root"]:
            keys = ["".join(groups) for groups in _KEY.findall(token["steps"])]
            yield ".".join([token["root"], *keys])


def _is_secret(path: str, secret: tuple[str, ...]) -> bool:
    """A field is secret with all it holds, and so is whatever holds it."""
    return any(f"{path}.".startswith(f"{one}.") or f"{one}.".startswith(f"{path}.") for one in secret)
