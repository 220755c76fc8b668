"""Quiet hours hold by the person's own clock, over midnight and through both changes of the clock."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from notifier.recipients.local_times import EVERY_DAY, first_moment, last_moment, next_of, read_weekdays
from notifier.recipients.quiet import quiet_until
from notifier.recipients.wishes import QuietHours, Wishes, fills_the_week

BERLIN = "Europe/Berlin"


def utc(text: str) -> datetime:
    """Read a time in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def hours(text: str) -> QuietHours:
    """Read ``22:00-07:00 monday:friday``."""
    stretch, _, days = text.partition(" ")
    start, until = (time.fromisoformat(one.replace("24:00", "00:00")) for one in stretch.split("-"))
    return QuietHours(start=start, until=until, weekdays=read_weekdays(days.split()) if days else EVERY_DAY)


def wishes(*texts: str) -> Wishes:
    """Return wishes of these quiet hours."""
    return Wishes(quiet=tuple(map(hours, texts)))


@pytest.mark.parametrize(
    ("quiet", "now", "expected"),
    [
        # Winter in Berlin is UTC+1. The start is quiet, the end is not.
        (("22:00-07:00",), "2026-01-15 20:59:59", None),
        (("22:00-07:00",), "2026-01-15 21:00", "2026-01-16 06:00"),
        (("22:00-07:00",), "2026-01-16 02:00", "2026-01-16 06:00"),
        (("22:00-07:00",), "2026-01-16 05:59:59", "2026-01-16 06:00"),
        (("22:00-07:00",), "2026-01-16 06:00", None),
        (("22:00-07:00",), "2026-07-16 20:00", "2026-07-17 05:00"),
        (("12:00-13:00",), "2026-01-15 11:30", "2026-01-15 12:00"),
        (("12:00-24:00",), "2026-01-15 11:30", "2026-01-15 23:00"),
        ((), "2026-01-15 02:00", None),
        # A weekday is that of the start: Friday night lasts into Saturday; 16 January 2026 is a Friday.
        (("22:00-07:00 friday",), "2026-01-16 22:00", "2026-01-17 06:00"),
        (("22:00-07:00 friday",), "2026-01-17 05:00", "2026-01-17 06:00"),
        (("22:00-07:00 friday",), "2026-01-16 05:00", None),
        (("22:00-07:00 friday",), "2026-01-17 22:00", None),
        # What touches or overlaps is one stretch, here a whole weekend with its nights.
        (("22:00-07:00", "07:00-08:00"), "2026-01-16 02:00", "2026-01-16 07:00"),
        (("22:00-07:00", "06:00-08:00"), "2026-01-16 02:00", "2026-01-16 07:00"),
        (("22:00-07:00", "00:00-24:00 saturday:sunday"), "2026-01-16 22:00", "2026-01-19 06:00"),
        (("22:00-07:00", "07:01-08:00"), "2026-01-16 02:00", "2026-01-16 06:00"),
        # 29 March 2026: from 02:00 to 03:00 there is nothing, 01:00 UTC is 03:00 in Berlin.
        (("22:00-07:00",), "2026-03-28 23:00", "2026-03-29 05:00"),
        (("22:00-02:30",), "2026-03-29 00:59", "2026-03-29 01:00"),
        (("22:00-02:30",), "2026-03-29 01:00", None),
        (("02:30-05:00",), "2026-03-29 00:59", None),
        (("02:30-05:00",), "2026-03-29 01:00", "2026-03-29 03:00"),
        (("02:10-02:50",), "2026-03-29 01:00", None),
        (("02:10-02:50",), "2026-03-29 00:59:59", None),
        # 25 October 2026: 02:00 to 03:00 comes twice, from 00:00 UTC and from 01:00 UTC.
        (("22:00-07:00",), "2026-10-24 21:00", "2026-10-25 06:00"),
        (("22:00-02:30",), "2026-10-25 00:15", "2026-10-25 01:30"),
        (("22:00-02:30",), "2026-10-25 00:45", "2026-10-25 01:30"),
        (("22:00-02:30",), "2026-10-25 01:29", "2026-10-25 01:30"),
        (("22:00-02:30",), "2026-10-25 01:30", None),
        (("02:30-05:00",), "2026-10-25 00:29", None),
        (("02:30-05:00",), "2026-10-25 00:30", "2026-10-25 04:00"),
        (("22:00-02:00",), "2026-10-24 23:59", "2026-10-25 01:00"),
        (("22:00-03:00",), "2026-10-25 00:30", "2026-10-25 02:00"),
    ],
)  # fmt: skip
def test_quiet_hours_follow_the_local_clock(quiet: tuple[str, ...], now: str, expected: str | None) -> None:
    """Berlin, both seasons and both changes."""
    assert quiet_until(wishes(*quiet), BERLIN, utc(now)) == (utc(expected) if expected else None)


@pytest.mark.parametrize(
    ("zone", "quiet", "now", "expected"),
    [
        ("America/New_York", "22:00-07:00", "2026-01-15 03:00", "2026-01-15 12:00"),
        ("Asia/Kolkata", "22:00-07:00", "2026-01-15 16:30", "2026-01-16 01:30"),
        ("Asia/Kolkata", "22:00-07:00", "2026-01-15 16:29", None),
        # Half an hour of daylight saving: 02:00 becomes 02:30 on 4 October 2026.
        ("Australia/Lord_Howe", "22:00-02:15", "2026-10-03 15:00", "2026-10-03 15:30"),
        # At midnight: on 6 September 2026 the clock of Santiago goes from 24:00 to 01:00.
        ("America/Santiago", "20:00-24:00", "2026-09-06 03:00", "2026-09-06 04:00"),
        ("America/Santiago", "00:00-06:00", "2026-09-06 04:00", "2026-09-06 09:00"),
        # Samoa had no 30 December 2011 at all.
        ("Pacific/Apia", "22:00-07:00 thursday", "2011-12-30 09:00", "2011-12-30 10:00"),
        # Newfoundland's clock went from 00:01 back to 23:01 of the day before.
        ("America/St_Johns", "23:30-23:20 friday", "2010-11-07 02:30:30", "2010-11-07 02:50"),
        ("UTC", "22:00-07:00", "2026-01-15 23:00", "2026-01-16 07:00"),
        # An unknown zone is UTC, as in what is rendered.
        ("Mars/Olympus", "22:00-07:00", "2026-01-15 23:00", "2026-01-16 07:00"),
        ("../etc/passwd", "22:00-07:00", "2026-01-15 23:00", "2026-01-16 07:00"),
        (None, "22:00-07:00", "2026-01-15 23:00", "2026-01-16 07:00"),
    ],
)
def test_every_zone_has_its_own_night(zone: str | None, quiet: str, now: str, expected: str | None) -> None:
    """Offsets that are no whole hours, changes at midnight, a day that was skipped."""
    assert quiet_until(wishes(quiet), zone, utc(now)) == (utc(expected) if expected else None)


def test_the_caller_may_ask_in_any_zone() -> None:
    """A moment is a moment."""
    now = datetime(2026, 1, 15, 23, 30, tzinfo=ZoneInfo("Asia/Tokyo"))

    assert quiet_until(wishes("15:00-16:00"), BERLIN, now) == utc("2026-01-15 15:00")


@pytest.mark.parametrize(
    ("quiet", "expected"),
    [
        (("00:00-24:00",), True),
        (("00:00-12:00", "12:00-24:00"), True),
        (("22:00-10:00", "10:00-22:00"), True),
        (("00:00-24:00 monday:saturday", "00:00-23:59 sunday"), False),
        (("00:00-24:00 monday:saturday", "00:00-12:00 sunday", "12:00-07:00 sunday"), True),
        (("22:00-21:59",), False),
        ((), False),
    ],
)
def test_quiet_hours_leave_a_moment_of_the_week(
    quiet: tuple[str, ...], expected: bool  # noqa: FBT001 - a table
) -> None:  # fmt: skip
    """Else nothing would ever be told."""
    assert fills_the_week(tuple(map(hours, quiet))) is expected
    if expected:
        with pytest.raises(ValueError, match="no moment"):
            wishes(*quiet)


ZONES = st.sampled_from(
    [BERLIN, "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Asia/Kolkata"]
)
AROUND = st.sampled_from(
    ["2026-03-07 00:00", "2026-03-28 00:00", "2026-10-24 00:00", "2026-10-31 00:00", "2026-04-04 00:00",
     "2026-09-05 00:00", "2026-10-03 00:00", "2026-06-01 00:00"]
)  # fmt: skip
QUIET = st.lists(
    st.builds(
        lambda start, length, days: QuietHours(
            start=time(start // 60, start % 60),
            until=time((start + length) // 60 % 24, (start + length) % 60),
            weekdays=days,
        ),
        st.integers(0, 1439),
        st.integers(1, 1439),
        st.frozensets(st.integers(0, 6), min_size=1),
    ),
    min_size=1,
    max_size=3,
)


def reads_quiet(quiet: QuietHours, local: datetime) -> bool:
    """Tell whether a wall clock that shows this reads as quiet."""
    clock, today = local.time(), local.weekday()
    if quiet.start < quiet.until:
        return quiet.start <= clock < quiet.until and today in quiet.weekdays
    is_evening = clock >= quiet.start and today in quiet.weekdays
    return is_evening or (clock < quiet.until and (today - 1) % 7 in quiet.weekdays)


@settings(deadline=None, max_examples=100)
@given(quiet=QUIET, zone=ZONES, around=AROUND, minutes=st.integers(0, 60 * 72))
def test_the_end_of_the_quiet_is_loud_and_what_reads_as_quiet_is(
    quiet: list[QuietHours], zone: str, around: str, minutes: int
) -> None:
    """The end is never inside quiet hours; a wall clock that shows a quiet time is always right."""
    assume(not fills_the_week(quiet))
    set_, now, there = Wishes(quiet=tuple(quiet)), utc(around) + timedelta(minutes=minutes), ZoneInfo(zone)

    end = quiet_until(set_, zone, now)

    if any(reads_quiet(one, now.astimezone(there)) for one in quiet):
        assert end is not None
    if end is not None:
        assert end > now
        assert quiet_until(set_, zone, end) is None
        assert not any(reads_quiet(one, end.astimezone(there)) for one in quiet)
        assert quiet_until(set_, zone, end - timedelta(microseconds=1)) == end


@settings(deadline=None, max_examples=50)
@given(quiet=QUIET, minutes=st.integers(0, 60 * 24 * 7))
def test_without_a_change_of_the_clock_only_the_wall_counts(quiet: list[QuietHours], minutes: int) -> None:
    """In UTC, quiet is exactly what reads as quiet."""
    assume(not fills_the_week(quiet))
    now = utc("2026-06-01 00:00") + timedelta(minutes=minutes)

    is_quiet = quiet_until(Wishes(quiet=tuple(quiet)), "UTC", now) is not None

    assert is_quiet == any(reads_quiet(one, now) for one in quiet)


@pytest.mark.parametrize(
    ("local", "first", "last"),
    [
        ("2026-03-29 01:59", "2026-03-29 00:59", "2026-03-29 00:59"),
        ("2026-03-29 02:00", "2026-03-29 01:00", "2026-03-29 01:00"),
        ("2026-03-29 02:30", "2026-03-29 01:00", "2026-03-29 01:00"),
        ("2026-03-29 03:00", "2026-03-29 01:00", "2026-03-29 01:00"),
        ("2026-10-25 02:30", "2026-10-25 00:30", "2026-10-25 01:30"),
        ("2026-10-25 03:00", "2026-10-25 02:00", "2026-10-25 02:00"),
    ],
)
def test_a_local_time_is_a_moment(local: str, first: str, last: str) -> None:
    """Twice where it comes twice; the change itself where it is skipped."""
    there = ZoneInfo(BERLIN)

    assert first_moment(datetime.fromisoformat(local), there) == utc(first)
    assert last_moment(datetime.fromisoformat(local), there) == utc(last)


def test_a_time_without_a_day_is_refused() -> None:
    """It would never come."""
    with pytest.raises(ValueError, match="at least one"):
        next_of((time(8),), frozenset(), ZoneInfo(BERLIN), utc("2026-01-01 00:00"))
