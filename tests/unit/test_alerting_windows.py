"""Windows of local time hold when their zone's clocks say so, also where these change."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from notifier.events import Json
from notifier.rules.alerting.window_model import WindowEntry
from notifier.rules.alerting.windows import Window, is_inside, next_change

BERLIN = "Europe/Berlin"
MINUTE = timedelta(minutes=1)
TICK = timedelta(microseconds=1)


def utc(text: str) -> datetime:
    """A moment, written without its offset."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def window(zone: str = BERLIN, **fields: Json) -> Window:
    """A window as a person writes it; times as ``09:00-17:00``."""
    times = [
        dict(zip(("start_time", "end_time"), text.split("-"), strict=True))
        for text in fields.pop("times", [])
    ]
    return WindowEntry.model_validate({**fields, "times": times or None, "location": zone}).compiled()


@pytest.mark.parametrize(
    ("one", "inside", "outside"),
    [
        (window(), ["2026-03-02 09:00"], []),
        (
            window(times=["09:00-17:00"]),
            ["2026-01-05 08:00", "2026-07-06 14:59:59.999"],
            ["2026-01-05 16:00"],
        ),
        (
            window("UTC", times=["23:00-24:00"]),
            ["2026-01-05 23:59:59"],
            ["2026-01-05 00:00", "2026-01-05 22:59"],
        ),
        (window("UTC", weekdays=["sunday"]), ["2026-03-01 00:00"], ["2026-02-28 23:59", "2026-03-02 00:00"]),
        (
            window("UTC", weekdays=["friday:saturday"]),
            ["2026-03-06 00:00", "2026-03-07 00:00"],
            ["2026-03-08 00:00"],
        ),
        (window(weekdays=["monday"]), ["2026-03-01 23:00"], ["2026-03-02 23:00"]),
        (window("UTC", days_of_month=["-1"]), ["2026-02-28 00:00", "2028-02-29 00:00"], ["2028-02-28 00:00"]),
        (window("UTC", days_of_month=["30:31"]), ["2026-01-30 00:00"], ["2026-02-28 00:00"]),
        (window("UTC", days_of_month=["25:31"]), ["2026-02-28 00:00"], ["2026-02-24 00:00"]),
        (
            window("UTC", days_of_month=["-31:-30"]),
            ["2026-01-02 00:00", "2026-04-01 00:00"],
            ["2026-02-01 00:00"],
        ),
        (
            window("UTC", days_of_month=["27:-2"]),
            ["2026-02-27 00:00", "2026-03-30 00:00"],
            ["2026-02-28 00:00"],
        ),
        (
            window("UTC", months=["june:august", "12"]),
            ["2026-07-01 00:00", "2026-12-31 00:00"],
            ["2026-09-01 00:00"],
        ),
        (window("UTC", years=["2026:2027"]), ["2027-12-31 23:59"], ["2025-12-31 23:59", "2028-01-01 00:00"]),
        (window("UTC", weekdays=["monday"], months=["march"]), ["2026-03-02 00:00"], ["2026-03-03 00:00"]),
    ],
)
def test_window_holds_when_all_its_fields_do(
    one: Window, inside: Sequence[str], outside: Sequence[str]
) -> None:
    """The end of times is not inside; days, months and years are inside to their last."""
    assert [one.contains(utc(at)) for at in inside] == [True] * len(inside)
    assert [one.contains(utc(at)) for at in outside] == [False] * len(outside)


def test_no_windows_hold_nowhere() -> None:
    """Any of them is asked for, and there is none; it never changes either."""
    assert not is_inside([], utc("2026-03-02 09:00"))
    assert next_change([], utc("2026-03-02 09:00")) is None


@pytest.mark.parametrize(
    ("windows", "after", "changes"),
    [
        pytest.param(
            [window(times=["09:00-17:00"], weekdays=["monday:friday"])],
            "2026-03-27 08:00",
            ["2026-03-27 16:00", "2026-03-30 07:00", "2026-03-30 15:00"],
            id="business hours keep their local time when summer comes",
        ),
        pytest.param(
            [window(times=["02:00-03:00"])],
            "2026-03-28 02:00",
            ["2026-03-30 00:00", "2026-03-30 01:00"],
            id="a window that the spring night skips does not happen",
        ),
        pytest.param(
            [window(times=["02:30-04:00"])],
            "2026-03-28 12:00",
            ["2026-03-29 01:00", "2026-03-29 02:00"],
            id="one that begins in the skipped hour begins after it",
        ),
        pytest.param(
            [window(times=["01:30-02:30"])],
            "2026-10-24 12:00",
            ["2026-10-24 23:30", "2026-10-25 00:30", "2026-10-25 01:00", "2026-10-25 01:30"],
            id="one whose end is passed twice holds twice",
        ),
        pytest.param(
            [window(weekdays=["sunday"])],
            "2026-10-24 12:00",
            ["2026-10-24 22:00", "2026-10-25 23:00"],
            id="the Sunday of autumn has 25 hours",
        ),
        pytest.param(
            [window("UTC", times=["00:00-09:00", "17:00-24:00"])],
            "2026-03-02 12:00",
            ["2026-03-02 17:00", "2026-03-03 09:00"],
            id="midnight between two ranges that touch is no change",
        ),
        pytest.param(
            [window("UTC", times=["09:00-12:00"]), window("UTC", times=["11:00-13:00"])],
            "2026-03-02 10:00",
            ["2026-03-02 13:00", "2026-03-03 09:00"],
            id="windows that overlap are one",
        ),
        pytest.param(
            [window("UTC", times=["09:00-12:00"]), window("Asia/Tokyo", times=["21:00-22:00"])],
            "2026-03-02 10:00",
            ["2026-03-02 13:00"],
            id="windows of two zones that touch are one",
        ),
        pytest.param(
            [window("UTC", months=["february"], days_of_month=["29"])],
            "2026-03-02 10:00",
            ["2028-02-29 00:00", "2028-03-01 00:00"],
            id="a leap day is found",
        ),
        pytest.param(
            [window("Pacific/Apia", days_of_month=["30"], months=["december"])],
            "2011-12-01 00:00",
            ["2012-12-29 10:00"],
            id="a day that a zone has left out does not happen",
        ),
        pytest.param(
            [window("UTC", years=["2028", "2031:2033"])],
            "2026-03-02 10:00",
            ["2028-01-01 00:00", "2029-01-01 00:00", "2031-01-01 00:00"],
            id="years in between are passed over",
        ),
    ],
)
def test_next_change_is_exact(windows: list[Window], after: str, changes: list[str]) -> None:
    """From change to change, to the minute, in winter and in summer."""
    found: list[datetime | None] = []
    at: datetime | None = utc(after)
    while at is not None and len(found) < len(changes):
        at = next_change(windows, at)
        found.append(at)

    assert found == [utc(change) for change in changes]


@pytest.mark.parametrize(
    "windows",
    [
        [window()],
        [window(years=["2020"])],
        [window(times=["00:00-09:00", "17:00-24:00"]), window(times=["09:00-17:00"])],
    ],
)
def test_what_never_changes_says_so(windows: list[Window]) -> None:
    """Always inside, over for good, or always inside one of two."""
    assert next_change(windows, utc("2026-03-02 09:00")) is None


def test_change_behind_the_horizon_is_not_looked_for() -> None:
    """The horizon itself is not within."""
    one = window("UTC", times=["09:00-17:00"])
    after = utc("2026-03-02 12:00")

    assert next_change([one], after, timedelta(hours=5)) is None
    assert next_change([one], after, timedelta(hours=5, seconds=1)) == utc("2026-03-02 17:00")


MINUTES = st.integers(0, 24 * 4).map(lambda quarter: quarter * 15)
TIMES = st.lists(st.tuples(MINUTES, MINUTES).filter(lambda edges: edges[0] < edges[1]), max_size=2).map(tuple)
DAYS = st.sampled_from([(), ((1, 5),), ((0, 0), (6, 6)), ((0, 0), (3, 3))])
DATES = st.sampled_from([(), ((-1, -1),), ((1, 1), (25, 31)), ((-7, -1),)])
ZONES = st.sampled_from(
    [BERLIN, "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia", "UTC"]
)
WINDOWS = st.lists(
    st.builds(Window, times=TIMES, weekdays=DAYS, days_of_month=DATES, zone=ZONES), min_size=1, max_size=3
)
EDGES = [
    "2026-03-28 12:00",
    "2026-10-24 12:00",
    "2026-04-04 00:00",
    "2026-10-03 00:00",
    "2011-12-29 00:00",
    "2026-03-07",
]
STARTS = st.builds(
    lambda edge, minutes: utc(edge) + minutes * MINUTE, st.sampled_from(EDGES), st.integers(0, 2 * 24 * 60)
)


@given(WINDOWS, STARTS)
@settings(deadline=None, max_examples=60)
def test_nothing_changes_before_the_next_change(windows: list[Window], after: datetime) -> None:
    """Looking at every quarter of an hour finds no change before it; it is one, to the microsecond."""
    change = next_change(windows, after, timedelta(days=4))

    before = is_inside(windows, after)
    end = change or after + timedelta(days=4)
    moment = after
    while moment < end:
        assert is_inside(windows, moment) is before, moment
        moment += 15 * MINUTE
    if change is not None:
        assert change > after
        assert is_inside(windows, change) is not before
        assert is_inside(windows, change - TICK) is before


@pytest.mark.parametrize(
    ("entry", "want"),
    [
        ({}, Window()),
        ({"location": BERLIN}, Window(zone=BERLIN)),
        ({"times": [{"start_time": "00:00", "end_time": "24:00"}]}, Window(times=((0, 1440),))),
        # YAML reads an unquoted 17:00 as 1020, an unquoted 10:20 as 620, an unquoted 2026 as a number.
        ({"times": [{"start_time": "09:00", "end_time": 1020}]}, Window(times=((540, 1020),))),
        ({"days_of_month": [1, 620, -1]}, Window(days_of_month=((1, 1), (10, 20), (-1, -1)))),
        ({"years": [2026, "2028:2030"]}, Window(years=((2026, 2026), (2028, 2030)))),
        ({"weekdays": ["Monday:FRIDAY", "sunday"]}, Window(weekdays=((1, 5), (0, 0)))),
        ({"months": ["january:3", "May", 12]}, Window(months=((1, 3), (5, 5), (12, 12)))),
        ({"days_of_month": ["1:5", "-3:-1", "28:-1"]}, Window(days_of_month=((1, 5), (-3, -1), (28, -1)))),
    ],
)
def test_entry_is_read(entry: Json, want: Window) -> None:
    """Names in any case, numbers with or without quotes, one value or a range."""
    assert WindowEntry.model_validate(entry).compiled() == want


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ({"weekdays": ["funday"]}, "'funday' is not a weekday"),
        ({"weekdays": ["monday:funday"]}, "'funday' is not a weekday"),
        ({"weekdays": [1]}, "'1' is not a weekday"),
        ({"weekdays": ["saturday:monday"]}, "the last comes before the first"),
        ({"weekdays": ["monday:tuesday:friday"]}, "is no range; write first:last"),
        ({"weekdays": [""]}, "'' is not a weekday"),
        ({"weekdays": [True]}, "must be one value, or a range"),
        ({"weekdays": "monday"}, "valid tuple"),
        ({"weekdays": []}, "at least 1 item"),
        ({"days_of_month": ["0"]}, "0 is no day of the month"),
        ({"days_of_month": ["1:32"]}, "32 is out of range"),
        ({"days_of_month": ["-32:-1"]}, "-32 is out of range"),
        ({"days_of_month": ["first"]}, "'first' is no number"),
        ({"days_of_month": ["-5:5"]}, "a range that begins at the end must end there"),
        ({"days_of_month": ["20:10"]}, "the last day comes before the first"),
        ({"days_of_month": ["-1:-5"]}, "the last day comes before the first"),
        ({"days_of_month": ["20:-20"]}, "the last day comes before the first"),
        ({"months": ["smarch"]}, "'smarch' is not a month"),
        ({"months": ["0:3"]}, "0 is out of range"),
        ({"months": [13]}, "13 is out of range"),
        ({"months": ["december:january"]}, "the last comes before the first"),
        ({"years": ["2027:2026"]}, "the last comes before the first"),
        ({"years": ["soon"]}, "'soon' is no number"),
        ({"years": [0]}, "0 is out of range"),
        ({"times": [{"start_time": "09:00"}]}, "Field required"),
        ({"times": [{"start_time": "9:00", "end_time": "17:00"}]}, "'9:00' is no time of day"),
        ({"times": [{"start_time": "", "end_time": "17:00"}]}, "'' is no time of day"),
        ({"times": [{"start_time": "09:00", "end_time": "24:01"}]}, "'24:01' is no time of day"),
        ({"times": [{"start_time": "09:00", "end_time": "17:60"}]}, "'17:60' is no time of day"),
        ({"times": [{"start_time": "09:00", "end_time": 1441}]}, "1441 is no time of day"),
        ({"times": [{"start_time": "17:00", "end_time": "09:00"}]}, "start_time must be before end_time"),
        ({"times": [{"start_time": "24:00", "end_time": "24:00"}]}, "start_time must be before end_time"),
        ({"location": "Europe/Nowhere"}, "unknown time zone 'Europe/Nowhere'"),
        ({"location": "Local"}, "unknown time zone 'Local'"),
        ({"location": "../etc"}, "unknown time zone"),
        ({"weekday": ["monday"]}, "Extra inputs"),
    ],
)
def test_wrong_entry_is_refused_with_what_to_write(entry: Json, problem: str) -> None:
    """The message names the value, and how it would be right."""
    with pytest.raises(ValidationError) as refused:
        WindowEntry.model_validate(entry)

    assert problem in str(refused.value)


def test_moments_in_any_zone_are_the_same_moment() -> None:
    """The zone of the moment asked about does not matter; changes come back as UTC."""
    one = window(times=["09:00-17:00"])
    tokyo = utc("2026-03-02 10:00").astimezone(ZoneInfo("Asia/Tokyo"))

    change = next_change([one], tokyo)

    assert one.contains(tokyo)
    assert change == utc("2026-03-02 16:00")
    assert change.tzinfo is UTC


def test_spans_are_cut_to_what_is_asked_for() -> None:
    """Neither what began before nor what ends later sticks out."""
    one = window("UTC", times=["09:00-17:00"])

    spans = list(one.spans(utc("2026-03-02 12:00"), utc("2026-03-03 10:00")))

    assert spans == [
        (utc("2026-03-02 12:00"), utc("2026-03-02 17:00")),
        (utc("2026-03-03 09:00"), utc("2026-03-03 10:00")),
    ]
