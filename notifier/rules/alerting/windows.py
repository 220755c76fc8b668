"""Say whether a moment lies inside recurring windows of local time, and when that changes next.

Never asks a clock, and never steps by minutes: boundaries are laid out in local time, then turned into moments.
"""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from notifier.rules.alerting.offsets import stretches

Range = tuple[int, int]
"""First and last, both included; of times the last minute is not."""

Span = tuple[datetime, datetime]
"""A stretch of moments, the end not included."""

DAY_MINUTES: Final = 24 * 60
HORIZON: Final = timedelta(days=4 * 366)
"""How far a change is looked for: a leap day comes round."""

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Local times that come round: every field that is given must hold, of a field one range is enough.

    As in Alertmanager: weekdays from 0 = Sunday, days of the month also from its end (-1 is the last), a range that
    begins after the end of a month never holds in it.
    """

    times: tuple[Range, ...] = ()
    weekdays: tuple[Range, ...] = ()
    days_of_month: tuple[Range, ...] = ()
    months: tuple[Range, ...] = ()
    years: tuple[Range, ...] = ()
    zone: str = "UTC"

    def contains(self, at: datetime) -> bool:
        """Return whether clocks and calendars of the zone show a moment of the window at ``at``."""
        local = at.astimezone(ZoneInfo(self.zone))
        minute = local.hour * 60 + local.minute
        return _in_any(self.times, minute, minute + 1) and self._holds_on(local.date())

    def spans(self, after: datetime, until: datetime) -> Iterator[Span]:
        """Yield the stretches inside the window from ``after`` to ``until``, in order; some may touch.

        Where the clock goes back over the edge of a window, both passes count, as ``contains`` sees them.
        """
        times = sorted(self.times) or [(0, DAY_MINUTES)]
        for start, end, offset in stretches(self.zone, after, until):
            for day in self._days((start + offset).date(), (end + offset).date()):
                midnight = datetime(day.year, day.month, day.day, tzinfo=UTC) - offset
                for first, last in times:
                    begins = max(start, midnight + timedelta(minutes=first))
                    ends = min(end, midnight + timedelta(minutes=last))
                    if begins < ends:
                        yield begins, ends

    def _holds_on(self, day: date) -> bool:
        return (
            _in_any(self.years, day.year)
            and _in_any(self.months, day.month)
            and _in_any(self.weekdays, day.isoweekday() % 7)
            and self._holds_in_month(day)
        )

    def _holds_in_month(self, day: date) -> bool:
        if not self.days_of_month:
            return True
        length = _month_length(day)
        from_start = (
            tuple(length + 1 + edge if edge < 0 else edge for edge in edges) for edges in self.days_of_month
        )
        return any(first <= day.day <= last for first, last in from_start)

    def _days(self, first: date, last: date) -> Iterator[date]:
        """Yield the days of the window, over months and years of which none can be one."""
        day = first
        while day <= last:
            if not _in_any(self.years, day.year):
                later = [begin for begin, _ in self.years if begin > day.year]
                if not later:
                    return
                day = date(min(later), 1, 1)
            elif not _in_any(self.months, day.month):
                day = day.replace(day=1) + timedelta(days=_month_length(day))
            else:
                if self._holds_on(day):
                    yield day
                day += _DAY


def is_inside(windows: Iterable[Window], at: datetime) -> bool:
    """Return whether one of the windows holds at ``at``; none at all never do."""
    return any(window.contains(at) for window in windows)


def next_change(windows: Sequence[Window], after: datetime, horizon: timedelta = HORIZON) -> datetime | None:
    """Return the first moment after ``after`` at which ``is_inside`` has another answer, as UTC.

    None when nothing changes within the horizon.
    """
    after = after.astimezone(UTC)
    until = after + horizon
    reached = after
    for begins, ends in heapq.merge(*(window.spans(after, until) for window in windows)):
        if begins > reached:
            # A gap: we were inside until here, or outside until this begins.
            return reached if reached > after else begins
        reached = max(reached, ends)
    return reached if after < reached < until else None


def _in_any(ranges: tuple[Range, ...], value: int, end: int | None = None) -> bool:
    """Return whether the value, or all up to the excluded ``end``, lies in a range; no ranges leave it open."""
    last = value if end is None else end
    return not ranges or any(first <= value and last <= final for first, final in ranges)


def _month_length(day: date) -> int:
    return ((day.replace(day=28) + timedelta(days=4)).replace(day=1) - _DAY).day
