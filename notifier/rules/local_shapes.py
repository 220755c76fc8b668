"""The shapes of local times in rule files: a time of day, a date, a date with a time.

Shapes only: none of them has an offset, the rule's zone says when they happen.
"""

import re
from datetime import date, datetime, time
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

from notifier.forms import wrong

_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2})?")
# No clock was ever changed before, and far enough from the calendar's end for every offset.
_YEARS = range(1900, 3000)


def _time(value: Any) -> Any:
    if isinstance(value, time):
        return value
    # YAML 1.1 reads 10:00 without quotes as the number 600.
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        raise wrong("must be a time of day from 00:00 to 23:59", 'write it in quotes, as "09:00"')
    return time.fromisoformat(value)


def _date(value: Any) -> Any:
    mend = 'write it as "2026-01-05"'
    if isinstance(value, str) and _DATE.fullmatch(value):
        value = _read(date, value, mend)
    if not isinstance(value, date) or isinstance(value, datetime):
        raise wrong("must be a date", mend)
    return _within(value, mend)


def _moment(value: Any) -> Any:
    mend = 'write it as "2026-12-24T18:00"; it is a local time of `zone`'
    if isinstance(value, str) and _MOMENT.fullmatch(value):
        value = _read(datetime, value, mend)
    if not isinstance(value, datetime) or value.tzinfo is not None:
        raise wrong("must be a date and a time of day, without an offset", mend)
    return _within(value, mend)


def _read(kind: type[date], text: str, mend: str) -> date:
    try:
        return kind.fromisoformat(text)
    except ValueError:
        raise wrong("is no day of the calendar, or no time of a day", mend) from None


def _within(value: date, mend: str) -> date:
    if value.year not in _YEARS:
        raise wrong(f"must lie between {_YEARS[0]} and {_YEARS[-1]}", mend)
    return value


LocalTime = Annotated[
    time,
    BeforeValidator(_time),
    WithJsonSchema(
        {"type": "string", "pattern": f"^{_TIME.pattern}$", "description": 'A time of day: "09:00".'}
    ),
]
"""A time of day."""

LocalDate = Annotated[
    date,
    BeforeValidator(_date),
    WithJsonSchema({"type": "string", "pattern": f"^{_DATE.pattern}$", "description": "A date: 2026-01-05."}),
]
"""A date."""

LocalMoment = Annotated[
    datetime,
    BeforeValidator(_moment),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": f"^{_MOMENT.pattern}$",
            "description": "A local time: 2026-12-24T18:00.",
        }
    ),
]
"""A date with a time of day."""
