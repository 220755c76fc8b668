"""Lay out the stretches of time over which a zone keeps one offset from UTC.

Knows no windows and no clock; a zone that changed its offset twice within a day would be taken for one that did not.
"""

from bisect import bisect_left
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

Stretch = tuple[datetime, datetime, timedelta]
"""From, until (not included), and what clocks are ahead of UTC."""

_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)


def stretches(zone: str, after: datetime, until: datetime) -> Iterator[Stretch]:
    """Yield stretches of moments over which the zone has one offset from UTC, from ``after`` to ``until``, in order."""
    for year in range(after.year, until.year + 1):
        for start, end, offset in _stretches_of_year(zone, year):
            begins, ends = max(start, after), min(end, until)
            if begins < ends:
                yield begins, ends, offset


@lru_cache(maxsize=512)
def _stretches_of_year(zone: str, year: int) -> tuple[Stretch, ...]:
    info = ZoneInfo(zone)
    start, end = datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)
    edges = [start, *_changes(info, start, end), end]
    return tuple((begins, ends, _offset(info, begins)) for begins, ends in pairwise(edges))


def _changes(info: ZoneInfo, start: datetime, end: datetime) -> Iterator[datetime]:
    """Yield the moments at which the offset changes."""
    day = start
    while day < end:
        if _offset(info, day) != _offset(info, day + _DAY):
            yield day + _first_other(info, day) * _SECOND
        day += _DAY


def _first_other(info: ZoneInfo, day: datetime) -> int:
    old = _offset(info, day)
    return bisect_left(
        range(_DAY // _SECOND), True, key=lambda second: _offset(info, day + second * _SECOND) != old
    )


def _offset(info: ZoneInfo, at: datetime) -> timedelta:
    return at.astimezone(info).utcoffset() or timedelta()
