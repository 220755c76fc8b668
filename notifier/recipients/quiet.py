"""Decide whether a person's quiet hours hold at a moment, and when they end.

An hour that comes twice is quiet in both passes, and nothing between the start and the last end is loud: one
night is one stretch. What the clock skips is the moment of the change. Pure: knows nothing of urgency.
"""

from collections.abc import Iterator
from datetime import date, datetime, timedelta, tzinfo

from notifier.recipients.local_times import first_moment, last_moment, local_date, zone_of
from notifier.recipients.wishes import QuietHours, Wishes

_DAY = timedelta(days=1)


def quiet_until(wishes: Wishes, zone: str | None, now: datetime) -> datetime | None:
    """Return when the quiet that holds at ``now`` ends, as UTC; None where it is not quiet.

    Quiet hours that touch or overlap are one. They end: wishes whose quiet hours fill the week are refused.

    Args:
        wishes: What the person set.
        zone: The person's IANA zone; UTC where it is not known.
        now: The moment asked for; the start is quiet, the end is not.
    """
    there, end = zone_of(zone), now
    while (further := _end_of(wishes.quiet, there, end)) is not None:
        end = further
    return end if end > now else None


def _end_of(quiet: tuple[QuietHours, ...], zone: tzinfo, at: datetime) -> datetime | None:
    ends = [end for start, end in _stretches(quiet, zone, local_date(at, zone)) if start <= at < end]
    return max(ends, default=None)


def _stretches(
    quiet: tuple[QuietHours, ...], zone: tzinfo, today: date
) -> Iterator[tuple[datetime, datetime]]:
    """Yield what may hold today: begun yesterday, or earlier where the clock goes back over midnight."""
    for day in (today - 2 * _DAY, today - _DAY, today):
        for one in quiet:
            if day.weekday() in one.weekdays:
                last = day + _DAY if one.is_overnight else day
                start = first_moment(datetime.combine(day, one.start), zone)
                yield start, last_moment(datetime.combine(last, one.until), zone)
