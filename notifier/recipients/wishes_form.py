"""Read and write what a person set, as JSON: strictly, every mistake with its field.

Shapes only; never decides what follows from a wish, and never repeats a value.
"""

from collections.abc import Collection, Iterator, Mapping
from datetime import time, timedelta
from difflib import get_close_matches
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from notifier.documents import Duration, Strict, dotted
from notifier.errors import NotifierError
from notifier.events import Json
from notifier.messages import ChannelName
from notifier.recipients.digests import DigestPolicy, Gather
from notifier.recipients.local_times import (
    EVERY_DAY,
    read_end,
    read_time,
    read_weekdays,
    write_weekdays,
)
from notifier.recipients.wishes import ANY, QuietHours, Wishes
from notifier.recipients.words import span

_CHANNELS = "|".join(channel.value for channel in ChannelName)
_CATEGORY = r"[a-z0-9_-]{1,64}"
_KEY_LIMIT = 64
# What pydantic says of a wrong type speaks of Python.
_WORDS = {
    "tuple_type": "must be a list",
    "string_type": "must be a text",
    "mapping_type": "must be an object",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "too_long": "has too many entries: at most 50",
}
_SHORTEST, _LONGEST = timedelta(minutes=1), timedelta(days=31)


class WishesRefused(NotifierError):
    """The wishes cannot be taken as they are; ``problems`` has each field and what is wrong with it."""

    def __init__(self, problems: tuple[tuple[str, str], ...]) -> None:
        self.problems = problems
        super().__init__(
            "; ".join(f"{field}: {problem}" if field else problem for field, problem in problems)
        )


def _text(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError("must be a text")  # noqa: TRY004 - pydantic takes a ValueError
    return value


def _days(value: Any) -> Any:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError("must be a list of weekdays such as monday or monday:friday")
    if not value:
        raise ValueError("must name at least one weekday; leave it out for every day")
    return read_weekdays(value)


def _between(length: timedelta) -> timedelta:
    if not _SHORTEST <= length <= _LONGEST:
        raise ValueError(f"must be from {span(_SHORTEST)} to {span(_LONGEST)}")
    return length


_Consent = Annotated[str, Field(pattern=rf"^{_CATEGORY}(:({_CHANNELS}))?$")]
_CategoryOrAny = Annotated[str, Field(pattern=rf"^(\*|{_CATEGORY})$")]
_Weekdays = Annotated[frozenset[int], BeforeValidator(_days)]
_Start = Annotated[time, BeforeValidator(lambda value: read_time(_text(value)))]
_End = Annotated[time, BeforeValidator(lambda value: read_end(_text(value)))]
_Times = Annotated[tuple[_Start, ...], AfterValidator(lambda times: tuple(sorted(set(times))))]
_Every = Annotated[Duration, AfterValidator(_between)]
_Severity = Literal["info", "warning", "error", "critical"]


class _Quiet(Strict):
    weekdays: _Weekdays = EVERY_DAY
    start: _Start = Field(alias="from")
    until: _End

    @model_validator(mode="after")
    def _is_a_stretch(self) -> Self:
        if self.start == self.until != time(0):
            raise ValueError("from and until are the same; from 00:00 until 24:00 is the whole day")
        return self


class _Digest(Strict):
    gather: Gather
    every: _Every | None = None
    at: _Times = ()
    weekdays: _Weekdays | None = None

    @model_validator(mode="after")
    def _is_a_policy(self) -> Self:
        if self.weekdays is not None and not self.at:
            raise ValueError("weekdays go with at")
        self.policy()
        return self

    def policy(self) -> DigestPolicy:
        weekdays = EVERY_DAY if self.weekdays is None else self.weekdays
        return DigestPolicy(gather=self.gather, every=self.every, at=self.at, weekdays=weekdays)


class _Wishes(Strict):
    opt_ins: tuple[_Consent, ...] = ()
    opt_outs: tuple[_Consent, ...] = ()
    quiet: tuple[_Quiet, ...] = Field(default=(), max_length=50)
    at_least: Mapping[_CategoryOrAny, _Severity] = Field(default_factory=dict)
    digests: Mapping[_CategoryOrAny, _Digest] = Field(default_factory=dict)

    def wishes(self) -> Wishes:
        return Wishes(
            opt_ins=frozenset(self.opt_ins),
            opt_outs=frozenset(self.opt_outs),
            quiet=tuple(
                QuietHours(start=one.start, until=one.until, weekdays=one.weekdays) for one in self.quiet
            ),
            at_least=dict(self.at_least),
            digests={category: digest.policy() for category, digest in self.digests.items()},
        )


def read_wishes(value: Json, *, categories: Collection[str] | None = None) -> Wishes:
    """Read what a person set.

    Args:
        value: ``{opt_ins, opt_outs, quiet, at_least, digests}``, each of them optional.
        categories: The catalogue's; with them, a name that is not among them is refused.

    Raises:
        WishesRefused: one entry per wrong field.
    """
    if not isinstance(value, Mapping):
        raise WishesRefused((("", "must be an object"),))
    try:
        form = _Wishes.model_validate(value)
    except ValidationError as error:
        raise WishesRefused(tuple(_problem(item) for item in error.errors())) from None
    problems = (*_contradictions(form), *_unknown(form, categories))
    if problems:
        raise WishesRefused(problems)
    try:
        return form.wishes()
    except ValueError as error:
        raise WishesRefused((("quiet", f"{error}; opt out of categories instead"),)) from None


def write_wishes(wishes: Wishes) -> dict[str, Json]:
    """Return the JSON form: what is set, the same text for equal wishes."""
    form: dict[str, Json] = {
        "opt_ins": sorted(wishes.opt_ins),
        "opt_outs": sorted(wishes.opt_outs),
        "quiet": [_write_quiet(one) for one in wishes.quiet],
        "at_least": dict(sorted(wishes.at_least.items())),
        "digests": {category: _write_digest(policy) for category, policy in sorted(wishes.digests.items())},
    }
    return {name: value for name, value in form.items() if value}


def _write_quiet(one: QuietHours) -> dict[str, Json]:
    days = {} if one.weekdays == EVERY_DAY else {"weekdays": write_weekdays(one.weekdays)}
    return {
        **days,
        "from": _clock(one.start),
        "until": "24:00" if one.until == time(0) else _clock(one.until),
    }


def _write_digest(policy: DigestPolicy) -> dict[str, Json]:
    form: dict[str, Json] = {"gather": policy.gather.value}
    if policy.every is not None:
        form["every"] = span(policy.every)
    if policy.at:
        form["at"] = [_clock(one) for one in sorted(policy.at)]
        if policy.weekdays != EVERY_DAY:
            form["weekdays"] = write_weekdays(policy.weekdays)
    return form


def _clock(moment: time) -> str:
    return f"{moment:%H:%M}"


def _contradictions(form: _Wishes) -> Iterator[tuple[str, str]]:
    for index, entry in enumerate(form.opt_ins):
        if entry in form.opt_outs:
            yield f"opt_ins[{index}]", "is also opted out of; keep one"


def _unknown(form: _Wishes, categories: Collection[str] | None) -> Iterator[tuple[str, str]]:
    if categories is None:
        return
    problem = f"no such category; known: {', '.join(sorted(categories))}"
    for name, entries in (("opt_ins", form.opt_ins), ("opt_outs", form.opt_outs)):
        for index, entry in enumerate(entries):
            if entry.partition(":")[0] not in categories:
                yield f"{name}[{index}]", problem
    for name, keys in (("at_least", form.at_least), ("digests", form.digests)):
        for category in keys:
            if category != ANY and category not in categories:
                yield f"{name}.{category}", problem


def _problem(item: ErrorDetails) -> tuple[str, str]:
    # Of a wrong key, pydantic adds "[key]" to the path; keys are cut, so that an error stays one line.
    loc = tuple(_shown(key) if isinstance(key, str) else key for key in item["loc"] if key != "[key]")
    if item["type"] == "extra_forbidden":
        return dotted(loc), _unknown_key(loc)
    if item["type"] == "missing":
        return dotted(loc), "is required"
    if item["type"] == "string_pattern_mismatch":
        return dotted(loc), _form_of(loc)
    if item["type"] in {"literal_error", "enum"}:
        return dotted(loc), f"must be {item['ctx']['expected']}"
    return dotted(loc), _WORDS.get(item["type"]) or item["msg"].removeprefix("Value error, ")


def _unknown_key(loc: tuple[str | int, ...]) -> str:
    below: dict[str | int, type[Strict]] = {"quiet": _Quiet, "digests": _Digest}
    model = below.get(loc[0], _Wishes) if len(loc) > 1 else _Wishes
    known = [field.alias or name for name, field in model.model_fields.items()]
    near = get_close_matches(str(loc[-1]), known, n=1)
    return f"unknown key; did you mean {near[0]}?" if near else f"unknown key; known: {', '.join(known)}"


def _form_of(loc: tuple[str | int, ...]) -> str:
    if loc[0] in {"opt_ins", "opt_outs"}:
        return f"must be a category, or category:channel with a channel of {_CHANNELS.replace('|', ', ')}"
    return "must be a category or *"


def _shown(key: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in key)[:_KEY_LIMIT]
