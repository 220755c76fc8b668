"""A local time happens once, also when its clock skips it or shows it twice."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.rules.localtime import find_zone, local_at, moment_of


@pytest.mark.parametrize(
    ("zone", "local", "moment"),
    [
        # 29 March 2026, 02:00 to 03:00 does not exist in Berlin; 25 October it comes twice.
        ("Europe/Berlin", "2026-03-29 01:59", "2026-03-29 00:59"),
        ("Europe/Berlin", "2026-03-29 02:00", "2026-03-29 01:00"),
        ("Europe/Berlin", "2026-03-29 02:30", "2026-03-29 01:00"),
        ("Europe/Berlin", "2026-03-29 02:59:59.500000", "2026-03-29 01:00"),
        ("Europe/Berlin", "2026-03-29 03:00", "2026-03-29 01:00"),
        ("Europe/Berlin", "2026-03-29 03:01", "2026-03-29 01:01"),
        ("Europe/Berlin", "2026-10-25 01:59", "2026-10-24 23:59"),
        ("Europe/Berlin", "2026-10-25 02:00", "2026-10-25 00:00"),
        ("Europe/Berlin", "2026-10-25 02:59", "2026-10-25 00:59"),
        ("Europe/Berlin", "2026-10-25 03:00", "2026-10-25 02:00"),
        ("America/New_York", "2026-03-08 01:59", "2026-03-08 06:59"),
        ("America/New_York", "2026-03-08 02:30", "2026-03-08 07:00"),
        ("America/New_York", "2026-03-08 03:00", "2026-03-08 07:00"),
        ("America/New_York", "2026-11-01 01:30", "2026-11-01 05:30"),
        ("America/New_York", "2026-11-01 02:00", "2026-11-01 07:00"),
        # Half an hour only.
        ("Australia/Lord_Howe", "2026-10-04 01:59", "2026-10-03 15:29"),
        ("Australia/Lord_Howe", "2026-10-04 02:00", "2026-10-03 15:30"),
        ("Australia/Lord_Howe", "2026-10-04 02:15", "2026-10-03 15:30"),
        ("Australia/Lord_Howe", "2026-10-04 02:30", "2026-10-03 15:30"),
        ("Australia/Lord_Howe", "2026-10-04 02:31", "2026-10-03 15:31"),
        ("Australia/Lord_Howe", "2026-04-05 01:29", "2026-04-04 14:29"),
        ("Australia/Lord_Howe", "2026-04-05 01:45", "2026-04-04 14:45"),
        ("Australia/Lord_Howe", "2026-04-05 02:00", "2026-04-04 15:30"),
        ("Asia/Kolkata", "2026-03-29 02:30", "2026-03-28 21:00"),
        ("UTC", "2026-03-29 02:30", "2026-03-29 02:30"),
        # Samoa went from one side of the date line to the other: 30 December 2011 does not exist.
        ("Pacific/Apia", "2011-12-30 09:00", "2011-12-30 10:00"),
    ],
)
def test_a_local_time_is_one_moment(zone: str, local: str, moment: str) -> None:
    """Right after the missing hour, at the first pass of the doubled one."""
    found = moment_of(datetime.fromisoformat(local), ZoneInfo(zone))

    assert found == datetime.fromisoformat(moment).replace(tzinfo=UTC)
    assert found.tzinfo is UTC


@given(
    zone=st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "UTC"]),
    day=st.sampled_from(["2026-03-28", "2026-10-24", "2026-03-07", "2026-04-04", "2026-10-03", "2011-12-29"]),
    minutes=st.integers(0, 60 * 72),
    later=st.integers(1, 60 * 30),
)
@settings(deadline=None)
def test_later_by_the_clock_is_never_earlier(zone: str, day: str, minutes: int, later: int) -> None:
    """And where the clock shows that time at all, it shows it then."""
    place, local = ZoneInfo(zone), datetime.fromisoformat(day) + timedelta(minutes=minutes)

    moment = moment_of(local, place)

    assert moment <= moment_of(local + timedelta(minutes=later), place)
    assert local_at(moment, place) >= local
    assert local_at(moment - timedelta(microseconds=1), place) < local


@pytest.mark.parametrize(
    "name", ["", "Europe", "../etc/passwd", "Europe/Nowhere", "UTC\x00", None, 7, ["UTC"]]
)
def test_what_is_no_zone_is_none(name: object) -> None:
    """Data may hold anything."""
    assert find_zone(name) is None


def test_a_zone_is_found_by_its_name() -> None:
    """As the database of zones has it."""
    assert find_zone("Europe/Berlin") == ZoneInfo("Europe/Berlin")
