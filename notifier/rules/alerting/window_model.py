"""The shape of one interval under ``window:``, in the words of Alertmanager's time intervals.

Shapes only: what a window contains is said by ``windows``.
"""

import re
from collections.abc import Callable
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from notifier.documents import Strict
from notifier.rules.alerting.windows import DAY_MINUTES, Range, Window
from notifier.rules.localtime import find_zone

_WEEKDAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_MONTHS = (
    *("january", "february", "march", "april", "may", "june", "july"),
    *("august", "september", "october", "november", "december"),
)
_NUMBER = re.compile(r"[+-]?[0-9]{1,6}")
_CLOCK_SCHEMA = r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$"
_CLOCK = re.compile(_CLOCK_SCHEMA.strip("^$"))
_LONGEST_DAY, _SHORTEST_MONTH = 31, 28
_FIRST_YEAR, _LAST_YEAR = 1, 9998
_BASE = 60


def _weekday(text: str) -> int:
    if text not in _WEEKDAYS:
        raise ValueError(f"{text!r} is not a weekday; write monday, tuesday …")
    return _WEEKDAYS.index(text)


def _month(text: str) -> int:
    if text in _MONTHS:
        return _MONTHS.index(text) + 1
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{text!r} is not a month; write january, february … or 1 to 12")
    return _number(text, 1, len(_MONTHS))


def _year(text: str) -> int:
    return _number(text, _FIRST_YEAR, _LAST_YEAR)


def _day_of_month(text: str) -> int:
    day = _number(text, -_LONGEST_DAY, _LONGEST_DAY)
    if day == 0:
        raise ValueError("0 is no day of the month: 1 is the first, -1 the last")
    return day


def _number(text: str, first: int, last: int) -> int:
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{text!r} is no number")
    number = int(text)
    if not first <= number <= last:
        raise ValueError(f"{number} is out of range: {first} to {last}")
    return number


def _range_of(read: Callable[[str], int], *, has_base_60: bool = True) -> Callable[[Any], Range]:
    def read_range(value: Any) -> Range:
        edges = [read(edge) for edge in _text(value, has_base_60=has_base_60).lower().split(":")]
        if len(edges) not in {1, 2}:
            raise ValueError(f"{value!r} is no range; write first:last")
        return edges[0], edges[-1]

    return read_range


def _text(value: Any, *, has_base_60: bool) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("must be one value, or a range such as first:last")  # noqa: TRY004 - pydantic's way
    # YAML 1.1 reads 10:20 without quotes as a number to the base of 60.
    return "{}:{}".format(*divmod(value, _BASE)) if has_base_60 and value >= _BASE else str(value)


def _ascending(edges: Range) -> Range:
    if edges[0] > edges[1]:
        raise ValueError("the last comes before the first; to go round, write two ranges")
    return edges


def _days_ascending(edges: Range) -> Range:
    first, last = edges
    if first < 0 < last:
        raise ValueError(
            f"from {first} to {last}: a range that begins at the end must end there, as in -7:-1"
        )
    # With the shortest month, or the range would be empty in some months only.
    in_shortest = [day if day > 0 else _SHORTEST_MONTH + 1 + day for day in edges]
    if in_shortest[0] > in_shortest[1]:
        raise ValueError(f"from {first} to {last}: the last day comes before the first, in February at least")
    return edges


def _minutes(value: Any) -> int:
    # An unquoted 17:00 arrives as 1020, see above: the very minutes wanted.
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= DAY_MINUTES:
        return value
    if not isinstance(value, str) or not _CLOCK.fullmatch(value):
        raise ValueError(f"{value!r} is no time of day; write it as '09:00', up to '24:00'")
    hours, minutes = value.split(":")
    return int(hours) * 60 + int(minutes)


def _zone(name: str) -> str:
    if name == "Local" or find_zone(name) is None:
        raise ValueError(f"unknown time zone {name!r}; write an IANA name such as Europe/Berlin")
    return name


def _schema(example: str, description: str) -> WithJsonSchema:
    kinds: list[str] = ["string", "integer"]
    return WithJsonSchema({"type": kinds, "description": description, "examples": [example]})


_Clock = Annotated[
    int,
    BeforeValidator(_minutes),
    WithJsonSchema({"type": "string", "pattern": _CLOCK_SCHEMA, "examples": ["09:00"]}),
]
_Weekdays = Annotated[
    Range,
    BeforeValidator(_range_of(_weekday)),
    AfterValidator(_ascending),
    _schema("monday:friday", "A weekday, or a range of them; the week begins on Sunday."),
]
_Days = Annotated[
    Range,
    BeforeValidator(_range_of(_day_of_month)),
    AfterValidator(_days_ascending),
    _schema("-7:-1", "A day of the month, or a range of them; -1 is the last."),
]
_Months = Annotated[
    Range,
    BeforeValidator(_range_of(_month)),
    AfterValidator(_ascending),
    _schema("june:august", "A month by name or number, or a range of them."),
]
_Years = Annotated[
    Range,
    BeforeValidator(_range_of(_year, has_base_60=False)),
    AfterValidator(_ascending),
    _schema("2026:2028", "A year, or a range of them."),
]


class TimesEntry(Strict):
    """A stretch of the day; one over midnight is written as two."""

    start_time: _Clock = Field(description="The first minute inside.")
    end_time: _Clock = Field(description="The first minute no longer inside; 24:00 is the end of the day.")

    @model_validator(mode="after")
    def _runs_forward(self) -> Self:
        if self.start_time >= self.end_time:
            raise ValueError(
                "start_time must be before end_time; over midnight, write two: to 24:00 and from 00:00"
            )
        return self


class WindowEntry(Strict):
    """Local times that come round; every field given must hold, of a field one range is enough."""

    times: tuple[TimesEntry, ...] | None = Field(default=None, min_length=1)
    weekdays: tuple[_Weekdays, ...] | None = Field(default=None, min_length=1)
    days_of_month: tuple[_Days, ...] | None = Field(default=None, min_length=1)
    months: tuple[_Months, ...] | None = Field(default=None, min_length=1)
    years: tuple[_Years, ...] | None = Field(default=None, min_length=1)
    location: Annotated[str, AfterValidator(_zone)] = Field(
        default="UTC", description="IANA time zone, such as Europe/Berlin."
    )

    def compiled(self) -> Window:
        """Return the window itself."""
        return Window(
            times=tuple((times.start_time, times.end_time) for times in self.times or ()),
            weekdays=self.weekdays or (),
            days_of_month=self.days_of_month or (),
            months=self.months or (),
            years=self.years or (),
            zone=self.location,
        )
