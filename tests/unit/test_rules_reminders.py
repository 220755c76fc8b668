"""People are reminded of a date at a local time, and not any more when it moved or was settled."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.decisions import CancelTimer, SetTimer
from notifier.events import Event
from notifier.recipients.paths import Missing
from notifier.rules.catch_up import CatchUp
from notifier.rules.localtime import local_at
from notifier.rules.reminders import (
    Due,
    DueTimes,
    Reminder,
    due_times,
    offset_text,
    remind,
    settle,
    timer_key,
)

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
INVOICE = Reminder(
    name="invoice-due",
    patterns=("invoice.issued", "invoice.changed"),
    settled_by=("invoice.paid",),
    date_path="data.due_at",
    offsets=(-3 * DAY, 0 * DAY, 7 * DAY),
    event_type="invoice.due",
    zone=ZoneInfo("Europe/Berlin"),
)


def utc(text: str) -> datetime:
    """Read a time in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def times(reminder: Reminder, due_at: object, now: str = "2026-01-01") -> DueTimes:
    """Return the due times of a date."""
    found = due_times(reminder, {"due_at": due_at}, utc(now))
    assert isinstance(found, DueTimes)
    return found


def moments(found: DueTimes) -> list[str]:
    """Return the moments in UTC, to the minute."""
    return [one.at.astimezone(UTC).strftime("%Y-%m-%d %H:%M") for one in found.due]


def event(data: dict[str, Any], *, at: str = "2026-03-01", subject: str = "INV-1") -> Event:
    """Return an event of an invoice."""
    return Event(
        id="1", source="erp", type="invoice.issued", subject=subject, time=utc(at), data={"number": 7} | data
    )


@pytest.mark.parametrize(
    ("zone", "at", "due_at", "expected"),
    [
        # Nine o'clock stays nine o'clock.
        (
            "Europe/Berlin",
            "09:00",
            "2026-03-29",
            ["2026-03-28 08:00", "2026-03-29 07:00", "2026-03-30 07:00"],
        ),
        (
            "Europe/Berlin",
            "09:00",
            "2026-10-25",
            ["2026-10-24 07:00", "2026-10-25 08:00", "2026-10-26 08:00"],
        ),
        # In the missing hour right after it, in the doubled hour at its first pass.
        (
            "Europe/Berlin",
            "02:30",
            "2026-03-29",
            ["2026-03-28 01:30", "2026-03-29 01:00", "2026-03-30 00:30"],
        ),
        (
            "Europe/Berlin",
            "02:30",
            "2026-10-25",
            ["2026-10-24 00:30", "2026-10-25 00:30", "2026-10-26 01:30"],
        ),
        (
            "America/New_York",
            "02:30",
            "2026-03-08",
            ["2026-03-07 07:30", "2026-03-08 07:00", "2026-03-09 06:30"],
        ),
        (
            "America/New_York",
            "01:30",
            "2026-11-01",
            ["2026-10-31 05:30", "2026-11-01 05:30", "2026-11-02 06:30"],
        ),
        (
            "Australia/Lord_Howe",
            "02:15",
            "2026-10-04",
            ["2026-10-02 15:45", "2026-10-03 15:30", "2026-10-04 15:15"],
        ),
        (
            "Australia/Lord_Howe",
            "01:45",
            "2026-04-05",
            ["2026-04-03 14:45", "2026-04-04 14:45", "2026-04-05 15:15"],
        ),
        ("Asia/Kolkata", "09:00", "2026-03-29", ["2026-03-28 03:30", "2026-03-29 03:30", "2026-03-30 03:30"]),
        # Over the end of a year, and a leap day.
        ("UTC", "09:00", "2026-12-31", ["2026-12-30 09:00", "2026-12-31 09:00", "2027-01-01 09:00"]),
        ("UTC", "09:00", "2028-02-29", ["2028-02-28 09:00", "2028-02-29 09:00", "2028-03-01 09:00"]),
    ],
)
def test_a_date_is_a_time_of_day_in_the_zone(zone: str, at: str, due_at: str, expected: list[str]) -> None:
    """The day before, the day itself, the day after."""
    reminder = replace(INVOICE, offsets=(-DAY, 0 * DAY, DAY), zone=ZoneInfo(zone), at=time.fromisoformat(at))

    assert moments(times(reminder, due_at)) == expected


@pytest.mark.parametrize(
    ("zone", "due_at", "expected"),
    [
        # So many days before or after it is as late on the wall's clock, not so many times 24 hours.
        (
            "Europe/Berlin",
            "2026-03-29T12:00:00+02:00",
            ["2026-03-28 11:00", "2026-03-29 10:00", "2026-03-30 10:00"],
        ),
        (
            "Europe/Berlin",
            "2026-10-25T11:00:00Z",
            ["2026-10-24 10:00", "2026-10-25 11:00", "2026-10-26 11:00"],
        ),
        # What lands in the missing or the doubled hour.
        (
            "Europe/Berlin",
            "2026-03-28T02:30:00+01:00",
            ["2026-03-27 01:30", "2026-03-28 01:30", "2026-03-29 01:00"],
        ),
        (
            "Europe/Berlin",
            "2026-10-26T02:30:00+01:00",
            ["2026-10-25 00:30", "2026-10-26 01:30", "2026-10-27 01:30"],
        ),
        # In the doubled hour the offset says which pass, and the moment stays what it is.
        (
            "Europe/Berlin",
            "2026-10-25T02:30:00+02:00",
            ["2026-10-24 00:30", "2026-10-25 00:30", "2026-10-26 01:30"],
        ),
        (
            "Europe/Berlin",
            "2026-10-25T02:30:00+01:00",
            ["2026-10-24 00:30", "2026-10-25 01:30", "2026-10-26 01:30"],
        ),
        # Days are those of the zone, whatever offset the date-time is written with.
        (
            "America/New_York",
            "2026-03-08T23:30:00-04:00",
            ["2026-03-08 04:30", "2026-03-09 03:30", "2026-03-10 03:30"],
        ),
        (
            "Australia/Lord_Howe",
            "2026-10-04T01:00:00Z",
            ["2026-10-03 01:30", "2026-10-04 01:00", "2026-10-05 01:00"],
        ),
        (
            "Asia/Kolkata",
            "2026-03-29T12:00:00Z",
            ["2026-03-28 12:00", "2026-03-29 12:00", "2026-03-30 12:00"],
        ),
        # Without an offset it is a local time.
        ("Europe/Berlin", "2026-03-29T12:00", ["2026-03-28 11:00", "2026-03-29 10:00", "2026-03-30 10:00"]),
        (
            "Europe/Berlin",
            "2026-03-29 02:30:00",
            ["2026-03-28 01:30", "2026-03-29 01:00", "2026-03-30 00:30"],
        ),
    ],
)
def test_a_date_time_keeps_its_own_time_of_day(zone: str, due_at: str, expected: list[str]) -> None:
    """The day before, then, the day after; ``at`` is for dates."""
    reminder = replace(INVOICE, offsets=(-DAY, 0 * DAY, DAY), zone=ZoneInfo(zone))

    assert moments(times(reminder, due_at)) == expected


def test_hours_before_a_date_time_are_hours_that_pass() -> None:
    """Six hours before noon of 29 March it is five o'clock in Berlin, not six."""
    reminder = replace(INVOICE, offsets=(-12 * HOUR, -DAY - HOUR, 30 * timedelta(minutes=1)))

    found = times(reminder, "2026-03-29T12:00:00+02:00")

    assert moments(found) == ["2026-03-28 10:00", "2026-03-28 22:00", "2026-03-29 10:30"]


def test_days_before_and_after_come_in_order_with_their_offsets() -> None:
    """Whatever order the rule has them in."""
    found = times(replace(INVOICE, offsets=(7 * DAY, -3 * DAY, 0 * DAY)), "2026-06-10")

    assert found.due == (
        Due(offset=-3 * DAY, at=utc("2026-06-07 07:00")),
        Due(offset=0 * DAY, at=utc("2026-06-10 07:00")),
        Due(offset=7 * DAY, at=utc("2026-06-17 07:00")),
    )
    assert (found.date, found.zone) == ("2026-06-10", "Europe/Berlin")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"customer": {"zone": "America/New_York"}}, "America/New_York"),
        ({"customer": {"zone": "Mars/Olympus"}}, "Europe/Berlin"),
        ({"customer": {"zone": 7}}, "Europe/Berlin"),
        ({"customer": {"zone": "../x"}}, "Europe/Berlin"),
        ({"customer": "Ann"}, "Europe/Berlin"),
        ({}, "Europe/Berlin"),
        ({"site": {"zone": "Asia/Kolkata"}}, "Asia/Kolkata"),
    ],
)
def test_the_zone_may_stand_in_the_data(data: dict[str, Any], expected: str) -> None:
    """The first path that has one; else the rule's own holds."""
    reminder = replace(INVOICE, zone_paths=("data.customer.zone", "data.site.zone"))

    found = due_times(reminder, {"due_at": "2026-06-10", **data}, utc("2026-06-01"))

    assert isinstance(found, DueTimes)
    assert found.zone == expected
    local = local_at(found.due[0].at, ZoneInfo(expected))
    assert local == datetime(2026, 6, 7, 9)  # noqa: DTZ001 - a local time


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({}, "data.due_at is absent"),
        ({"due_at": None}, "data.due_at is absent"),
        *(
            ({"due_at": wrong}, "data.due_at is neither a date nor a date-time of ISO 8601")
            for wrong in (
                *("", "soon", "2026-02-30", "2026-13-01", "10.06.2026", "20260610", "2026-W23-1", "2026-6-1"),
                *("2026-06-10T25:00", "2026-06-10T12:00:60Z", "2026-06-10T12:00+99:00", "2026-06-10T", " "),
                *(
                    20260610,
                    1.5,
                    True,
                    ["2026-06-10"],
                    {"date": "2026-06-10"},
                    "2026-06-10\n",
                    "\u0662026-06-10",
                ),
            )
        ),
    ],
)
def test_a_date_that_cannot_be_read_is_a_reason(data: dict[str, Any], reason: str) -> None:
    """Never an exception, and the value is not repeated."""
    found = due_times(INVOICE, data, utc("2026-01-01"))

    assert found == Missing(reason=reason)
    assert remind(INVOICE, event(data), utc("2026-01-01")).is_set is not True


@pytest.mark.parametrize(
    "value",
    [
        "2026-06-10T07:00:00Z",
        "2026-06-10t07:00:00.000z",
        "2026-06-10 09:00:00+0200",
        "2026-06-10T09:00",
        "2026-06-10",
    ],
)
def test_dates_are_read_in_every_form_of_iso_8601_people_use(value: str) -> None:
    """With seconds or without, with T or a blank."""
    assert moments(times(replace(INVOICE, offsets=(0 * DAY,)), value)) == ["2026-06-10 07:00"]


def test_dates_of_a_yaml_file_are_dates() -> None:
    """A test of rules may write them without quotes."""
    reminder = replace(INVOICE, offsets=(0 * DAY,))

    assert moments(times(reminder, date(2026, 6, 10))) == ["2026-06-10 07:00"]
    assert moments(times(reminder, utc("2026-06-10 07:00"))) == ["2026-06-10 07:00"]


def test_what_was_over_for_a_day_when_it_was_set_is_skipped() -> None:
    """Less than a day is still news: an invoice issued at noon, due the same day."""
    kept = times(INVOICE, "2026-06-10", now="2026-06-11 06:59")
    over = times(INVOICE, "2026-06-10", now="2026-06-11 07:00")

    assert [one.offset for one in kept.due] == [0 * DAY, 7 * DAY]
    assert [one.offset for one in over.due] == [7 * DAY]
    assert [(one.offset, one.reason) for one in over.skipped] == [
        (-3 * DAY, "was over more than a day before it was set"),
        (0 * DAY, "was over more than a day before it was set"),
    ]


def test_a_rule_that_wants_nothing_late_gets_nothing_late() -> None:
    """``catch_up: skip`` holds for what is late when it is set, too."""
    reminder = replace(INVOICE, catch_up=CatchUp.SKIP)

    assert len(times(reminder, "2026-06-10", now="2026-06-10 07:09").due) == 2
    found = times(reminder, "2026-06-10", now="2026-06-10 07:10")
    assert [one.offset for one in found.due] == [7 * DAY]
    assert found.skipped[1].reason == "was over more than 10 minutes before it was set"


@pytest.mark.parametrize(
    ("never", "due"),
    [
        ("9999-12-31", [-3 * DAY, 0 * DAY]),
        ("9999-12-31T23:59:59Z", [0 * DAY]),
    ],  # in Berlin that is year 10000
)
def test_the_end_of_the_calendar_is_no_error(never: str, due: list[timedelta]) -> None:
    """Some systems write "never" so."""
    found = times(INVOICE, never)

    assert [one.offset for one in found.due] == due
    assert {one.reason for one in found.skipped} == {"lies outside the calendar"}
    assert len(found.due) + len(found.skipped) == 3


@pytest.mark.parametrize("unset", ["0001-01-01", "0001-01-01T00:00:00Z"])
def test_the_beginning_of_the_calendar_is_no_error(unset: str) -> None:
    """And "not set" so."""
    assert times(INVOICE, unset).due == ()


def test_a_reminder_sets_a_timer_for_each_offset() -> None:
    """Its event says how far the date is, which date, and what was known; what is over comes no more."""
    found = remind(INVOICE, event({"due_at": "2026-06-10"}), utc("2026-06-09"))

    assert found.is_set is True
    assert found.actions == (
        SetTimer(
            key="reminder:invoice-due:INV-1:0d",
            due_at=utc("2026-06-10 07:00"),
            event_type="invoice.due",
            subject="INV-1",
            data={"offset_days": 0, "due": "2026-06-10", "last": {"number": 7, "due_at": "2026-06-10"}},
        ),
        SetTimer(
            key="reminder:invoice-due:INV-1:7d",
            due_at=utc("2026-06-17 07:00"),
            event_type="invoice.due",
            subject="INV-1",
            data={"offset_days": 7, "due": "2026-06-10", "last": {"number": 7, "due_at": "2026-06-10"}},
        ),
        CancelTimer(key="reminder:invoice-due:INV-1:-3d"),
    )
    assert found.reason == (
        "0d at 2026-06-10T07:00:00+00:00; 7d at 2026-06-17T07:00:00+00:00; "
        "-3d was over more than a day before it was set (Europe/Berlin)"
    )


@given(
    first=st.integers(-20, 40),
    second=st.integers(-20, 40),
    between=st.integers(0, 30),
)
@settings(deadline=None)
def test_a_date_that_moves_leaves_no_timer_of_the_old_one(first: int, second: int, between: int) -> None:
    """Wherever it moves to, and whenever: each offset is set anew or called off."""
    start = utc("2026-03-10")
    timers: dict[str, SetTimer] = {}
    days = [(start + first * DAY).date(), (start + second * DAY).date()]
    for now, day in zip((start, start + between * DAY), days, strict=True):
        for action in remind(INVOICE, event({"due_at": day.isoformat()}), now).actions:
            if isinstance(action, SetTimer):
                timers[action.key] = action
            else:
                timers.pop(action.key, None)

    assert {timer.data["due"] for timer in timers.values()} <= {days[1].isoformat()}
    late = start + between * DAY - DAY
    expected = [offset for offset in INVOICE.offsets if _nine_in_berlin(days[1] + offset) > late]
    assert sorted(timers) == sorted(timer_key("invoice-due", "INV-1", offset) for offset in expected)


def _nine_in_berlin(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 9, tzinfo=ZoneInfo("Europe/Berlin"))


def test_setting_the_same_date_again_keeps_the_due_times() -> None:
    """What was told already has the same id again, and is not told twice."""
    data = {"due_at": "2026-06-10"}

    first = remind(INVOICE, event(data), utc("2026-06-01"))
    again = remind(INVOICE, event(data), utc("2026-06-10 12:00"))

    due = {action.key: action.due_at for action in first.actions if isinstance(action, SetTimer)}
    late = {action.key: action.due_at for action in again.actions if isinstance(action, SetTimer)}
    assert set(late) == {"reminder:invoice-due:INV-1:0d", "reminder:invoice-due:INV-1:7d"}
    assert late.items() <= due.items()


def test_settling_calls_off_every_offset() -> None:
    """Whatever else the event says."""
    found = settle(INVOICE, event({}))

    assert found.is_set is False
    assert {action.key for action in found.actions} == {
        "reminder:invoice-due:INV-1:-3d",
        "reminder:invoice-due:INV-1:0d",
        "reminder:invoice-due:INV-1:7d",
    }
    assert all(isinstance(action, CancelTimer) for action in found.actions)


def test_a_date_taken_away_calls_the_reminder_off_and_one_not_spoken_of_does_not() -> None:
    """``due_at: null`` is said; an event without it is about something else."""
    nested = replace(INVOICE, date_path="data.terms.due_at")

    assert (
        remind(INVOICE, event({"due_at": None}), utc("2026-06-01")).actions
        == settle(INVOICE, event({})).actions
    )
    assert remind(nested, event({"terms": {"due_at": None}}), utc("2026-06-01")).is_set is False
    assert remind(INVOICE, event({}), utc("2026-06-01")).is_set is None
    assert remind(nested, event({"terms": {}}), utc("2026-06-01")).is_set is None
    assert remind(nested, event({"terms": None}), utc("2026-06-01")).reason == (
        "data.terms.due_at is absent: there is no data.terms"
    )


def test_an_event_older_than_one_seen_before_changes_nothing() -> None:
    """An invoice that was paid is not set again by its issue arriving late."""
    old, paid = event({"due_at": "2026-06-10"}, at="2026-03-01"), utc("2026-03-02")

    assert remind(INVOICE, old, utc("2026-03-03"), latest=paid).actions == ()
    assert settle(INVOICE, old, latest=paid).actions == ()
    assert remind(INVOICE, old, utc("2026-03-03"), latest=old.time).is_set is True


@pytest.mark.parametrize(
    ("path", "expected"),
    [("event.subject", "INV-1"), ("data.number", "7"), ("data.customer.id", "C-3")],
)
def test_the_subject_is_whose_date_it_is(path: str, expected: str) -> None:
    """Part of the timers' keys, and the subject of the events they make."""
    reminder = replace(INVOICE, subject_path=path)

    found = remind(reminder, event({"due_at": "2026-06-10", "customer": {"id": "C-3"}}), utc("2026-06-01"))

    (first, *_) = found.actions
    assert isinstance(first, SetTimer)
    assert (first.subject, first.key) == (expected, f"reminder:invoice-due:{expected}:-3d")


@pytest.mark.parametrize("value", [None, True, 1.5, "", {"id": 3}])
def test_without_a_subject_nothing_is_set(value: object) -> None:
    """With the reason."""
    reminder = replace(INVOICE, subject_path="data.customer")
    one = event({"due_at": "2026-06-10", "customer": value})

    assert remind(reminder, one, utc("2026-06-01")).actions == ()
    assert settle(reminder, one).actions == ()
    assert settle(reminder, one).reason.startswith("data.customer ")


@pytest.mark.parametrize(
    ("offset", "text", "days"),
    [
        (timedelta(0), "0d", 0),
        (-3 * DAY, "-3d", -3),
        (7 * DAY, "7d", 7),
        (-2 * HOUR, "-2h", -1 / 12),
        (DAY + 12 * HOUR, "1d12h", 1.5),
        (-DAY - 12 * HOUR, "-1d12h", -1.5),
        (timedelta(minutes=-90), "-1h30m", -1 / 16),
        (timedelta(seconds=45), "45s", 1 / 1920),
    ],
)
def test_an_offset_is_written_as_rules_have_it(offset: timedelta, text: str, days: float) -> None:
    """In keys, in words, and as days in the data of the event."""
    reminder = replace(INVOICE, offsets=(offset,))

    (action,) = remind(reminder, event({"due_at": "2026-06-10"}), utc("2026-06-01")).actions

    assert isinstance(action, SetTimer)
    assert offset_text(offset) == text
    assert action.key.endswith(f":{text}")
    assert action.data["offset_days"] == pytest.approx(days)
    assert isinstance(action.data["offset_days"], int) or offset % DAY
