"""Schedules fire at local times, once each, through both changes of the clock and after downtime."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.rules.schedules import NeverFiresError, fire_key, latest_due, next_fire

BERLIN = "Europe/Berlin"


def utc(text: str) -> datetime:
    """Read a time in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("cron", "after", "expected"),
    [
        # Winter is UTC+1, summer UTC+2: eight o'clock stays eight o'clock.
        ("0 8 * * *", "2026-01-10 06:59", "2026-01-10 07:00"),
        ("0 8 * * *", "2026-01-10 07:00", "2026-01-11 07:00"),
        ("0 8 * * *", "2026-03-28 07:00", "2026-03-29 06:00"),
        ("0 8 * * *", "2026-10-24 06:00", "2026-10-25 07:00"),
        # 29 March 2026, 02:00 to 03:00 does not exist in Berlin: fires at 03:00 = 01:00 UTC.
        ("30 2 * * *", "2026-03-28 12:00", "2026-03-29 01:00"),
        ("30 2 * * *", "2026-03-29 01:00", "2026-03-30 00:30"),
        ("15,45 2 * * *", "2026-03-29 01:00", "2026-03-30 00:15"),
        # 25 October 2026, 02:00 to 03:00 comes twice: fires in the first pass only.
        ("30 2 * * *", "2026-10-24 12:00", "2026-10-25 00:30"),
        ("30 2 * * *", "2026-10-25 00:30", "2026-10-26 01:30"),
        ("30 2 * * *", "2026-10-25 01:10", "2026-10-26 01:30"),
        # Every hour means every hour that passes.
        ("30 * * * *", "2026-10-25 00:30", "2026-10-25 01:30"),
        ("30 * * * *", "2026-03-29 00:30", "2026-03-29 01:30"),
        ("0 9 29 2 *", "2026-01-01 00:00", "2028-02-29 08:00"),
    ],
)
def test_the_next_fire_is_local_time(cron: str, after: str, expected: str) -> None:
    """The zone decides, with both edges of daylight saving."""
    assert next_fire(cron, BERLIN, utc(after)) == utc(expected)


@pytest.mark.parametrize("cron", ["", "* * *", "61 * * * *", "0 8 31 2 *", "0 0 */31 2 MON#5"])
def test_a_cron_that_never_fires_is_an_error(cron: str) -> None:
    """Wrong syntax, or a day that never comes."""
    with pytest.raises(NeverFiresError):
        next_fire(cron, BERLIN, utc("2026-01-01 00:00"))


@pytest.mark.parametrize(
    ("previous", "now", "expected"),
    [
        ("2026-05-01 06:00", "2026-05-01 20:00", None),
        ("2026-05-01 06:00", "2026-05-02 05:59", None),
        ("2026-05-01 06:00", "2026-05-02 06:00", "2026-05-02 06:00"),
        ("2026-05-01 06:00", "2026-05-02 06:01", "2026-05-02 06:00"),
        ("2026-05-01 06:00", "2026-05-09 05:00", "2026-05-08 06:00"),
        ("2020-05-01 06:00", "2026-05-09 05:00", "2026-05-08 06:00"),
        ("2026-05-01 06:00", "2026-04-01 00:00", None),
    ],
)
def test_after_downtime_only_the_latest_due_time_fires(previous: str, now: str, expected: str | None) -> None:
    """A digest missed eight times is one digest."""
    due = latest_due("0 8 * * *", BERLIN, previous=utc(previous), now=utc(now))

    assert due == (utc(expected) if expected else None)


def test_a_due_time_long_ago_is_still_found() -> None:
    """A job of one leap day only, although no other follows for years."""
    due = latest_due("0 0 29 2 *", "UTC", previous=utc("2024-01-01 00:00"), now=utc("2026-01-01 00:00"))

    assert due == utc("2024-02-29 00:00")


@given(
    minutes=st.integers(0, 60 * 24 * 5),
    downtime=st.integers(1, 60 * 24 * 3),
    cron=st.sampled_from(["*/7 * * * *", "30 2 * * *", "15,45 2,3 * * *", "30 */2 * * *", "0 8 * * 1"]),
    around=st.sampled_from(["2026-03-27 00:00", "2026-10-23 00:00"]),
)
def test_catching_up_finds_what_walking_forward_finds(
    minutes: int, downtime: int, cron: str, around: str
) -> None:
    """The shortcut backwards changes nothing, also across the change of the clock."""
    previous = utc(around) + timedelta(minutes=minutes)
    now = previous + timedelta(minutes=downtime)

    walked, due = None, next_fire(cron, BERLIN, previous)
    while due <= now:
        walked, due = due, next_fire(cron, BERLIN, due)

    assert latest_due(cron, BERLIN, previous=previous, now=now) == walked


def test_each_fire_has_its_own_key() -> None:
    """Two beats that see the same due time make the same event."""
    first = next_fire("0 8 * * *", BERLIN, utc("2026-05-01 00:00"))
    second = next_fire("0 8 * * *", BERLIN, first)

    assert fire_key("digest", first) == "schedule:digest:2026-05-01T06:00:00+00:00"
    assert fire_key("digest", first) != fire_key("digest", second)
