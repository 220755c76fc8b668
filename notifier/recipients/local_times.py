"""Turn a person's local times of day into moments, also where the clocks change.

Arithmetic of the calendar only: knows no wishes and asks no clock.
"""

import math
import re
from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
EVERY_DAY = frozenset(range(7))

_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_MIDNIGHT = time(0)


def zone_of(name: str | None) -> tzinfo:
    """Return the zone; UTC where it is not known, as in what is rendered: nobody is told less for it."""
    try:
        return ZoneInfo(name) if name else UTC
    except (OSError, ValueError, KeyError):  # a folder of zones, ../x, or no such zone
        return UTC


def first_moment(local: datetime, zone: tzinfo) -> datetime:
    """Return the first moment the clock shows this, as UTC; where it skips it, the moment of the change."""
    first, last = _passes(local, zone)
    return first if first <= last else _change(last, first, zone)


def last_moment(local: datetime, zone: tzinfo) -> datetime:
    """Return the last moment the clock shows this, as UTC; where it skips it, the moment of the change."""
    first, last = _passes(local, zone)
    return last if first <= last else _change(last, first, zone)


def local_date(at: datetime, zone: tzinfo) -> date:
    """Return the date in the zone."""
    return at.astimezone(zone).date()


def next_of(times: Iterable[time], weekdays: Collection[int], zone: tzinfo, after: datetime) -> datetime:
    """Return the first moment after ``after`` at which a clock of the zone shows one of the times.

    What comes twice in a night counts at its first pass; what is skipped, at the moment of the change.
    """
    day = local_date(after, zone)
    ordered = sorted(times)
    # A week has every weekday, and a day more for today's times that are over.
    for date_ in (day + timedelta(days=step) for step in range(9)):
        if date_.weekday() in weekdays:
            moments = (first_moment(datetime.combine(date_, one), zone) for one in ordered)
            found = next((moment for moment in moments if moment > after), None)
            if found is not None:
                return found
    raise ValueError("needs at least one time and one weekday")


def read_time(text: str) -> time:
    """Read ``07:30``.

    Raises:
        ValueError: it is no time of day.
    """
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError("must be a time of day from 00:00 to 23:59, such as 07:30")
    return time(int(found[1]), int(found[2]))


def read_end(text: str) -> time:
    """Read the end of a stretch of the day: 24:00 is midnight, too.

    Raises:
        ValueError: it is no time of day.
    """
    return _MIDNIGHT if text == "24:00" else read_time(text)


def read_weekdays(texts: Iterable[str]) -> frozenset[int]:
    """Read ``monday`` and ``monday:friday``; a range may pass the end of the week.

    Raises:
        ValueError: one is no weekday.
    """
    return frozenset(day for text in texts for day in _range(text))


def write_weekdays(days: Iterable[int]) -> list[str]:
    """Return the names of the days, Monday first."""
    return [WEEKDAYS[day] for day in sorted(days)]


def _range(text: str) -> Iterator[int]:
    first, colon, last = text.casefold().partition(":")
    if first not in WEEKDAYS or (colon and last not in WEEKDAYS):
        raise ValueError("must be a weekday such as monday, or a range such as monday:friday")
    start, end = WEEKDAYS.index(first), WEEKDAYS.index(last or first)
    yield from ((start + step) % 7 for step in range((end - start) % 7 + 1))


def _passes(local: datetime, zone: tzinfo) -> tuple[datetime, datetime]:
    """Return both readings of a local time: one moment but at a change; of a skipped time the later first.

    PEP 495: of a time that comes twice, ``fold`` tells the pass; of one that is skipped, whose offset counts.
    """
    first, last = (local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    return first, last


def _change(low: datetime, high: datetime, zone: tzinfo) -> datetime:
    """Return when the offset of ``low`` becomes that of ``high``; changes fall on whole seconds."""
    after = high.astimezone(zone).utcoffset()
    first, last = math.floor(low.timestamp()), math.ceil(high.timestamp())
    while last - first > 1:
        middle = (first + last) // 2
        if datetime.fromtimestamp(middle, zone).utcoffset() == after:
            last = middle
        else:
            first = middle
    return datetime.fromtimestamp(last, UTC)
