"""Somebody is on call at every moment, and hands over at the same local time all year."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.documents import ConfigErrors, parse
from notifier.events import Recipient
from notifier.rules.alerting.rotation_model import RotationEntry
from notifier.rules.alerting.rotations import (
    Layer,
    Override,
    Rotation,
    next_hand_over,
    on_call,
    shifts,
    turn_at,
)
from notifier.rules.alerting.windows import Window
from notifier.rules.localtime import moment_of

BERLIN = ZoneInfo("Europe/Berlin")
ANN, BOB, CAT, DAN = (Recipient(email=f"{name}@example.com") for name in ("ann", "bob", "cat", "dan"))
TICK = timedelta(microseconds=1)
DAY = timedelta(days=1)
OFFICE = Window(times=((9 * 60, 17 * 60),), weekdays=((1, 5),), zone="Europe/Berlin")


def utc(text: str) -> datetime:
    """Read a time in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def local(text: str) -> datetime:
    """Read a time without an offset."""
    return datetime.fromisoformat(text)


def layer(
    *people: Recipient, start: str = "2026-01-05 09:00", every: timedelta = DAY, only: tuple[Window, ...] = ()
) -> Layer:
    """Return a layer; 5 January 2026 is a Monday."""
    return Layer(people=people, start=local(start), every=every, only=only)


def rotation(*layers: Layer, zone: ZoneInfo = BERLIN, overrides: tuple[Override, ...] = ()) -> Rotation:
    """Return a rotation."""
    return Rotation(name="on-call", zone=zone, layers=layers, overrides=overrides)


@pytest.mark.parametrize(
    ("zone", "start", "moments"),
    [
        ("Europe/Berlin", "2026-03-28 09:00", ["2026-03-28 08:00", "2026-03-29 07:00", "2026-03-30 07:00"]),
        ("Europe/Berlin", "2026-10-24 09:00", ["2026-10-24 07:00", "2026-10-25 08:00", "2026-10-26 08:00"]),
        ("Europe/Berlin", "2026-03-28 02:30", ["2026-03-28 01:30", "2026-03-29 01:00", "2026-03-30 00:30"]),
        ("Europe/Berlin", "2026-10-24 02:30", ["2026-10-24 00:30", "2026-10-25 00:30", "2026-10-26 01:30"]),
        (
            "America/New_York",
            "2026-03-07 02:30",
            ["2026-03-07 07:30", "2026-03-08 07:00", "2026-03-09 06:30"],
        ),
        (
            "America/New_York",
            "2026-10-31 01:30",
            ["2026-10-31 05:30", "2026-11-01 05:30", "2026-11-02 06:30"],
        ),
        (
            "Australia/Lord_Howe",
            "2026-10-03 02:15",
            ["2026-10-02 15:45", "2026-10-03 15:30", "2026-10-04 15:15"],
        ),
        (
            "Australia/Lord_Howe",
            "2026-04-04 01:45",
            ["2026-04-03 14:45", "2026-04-04 14:45", "2026-04-05 15:15"],
        ),
        ("Asia/Kolkata", "2026-03-28 02:30", ["2026-03-27 21:00", "2026-03-28 21:00", "2026-03-29 21:00"]),
    ],
)
def test_hand_over_keeps_its_local_time(zone: str, start: str, moments: list[str]) -> None:
    """Right after the missing hour, and once in the doubled one, at its first pass."""
    plan = rotation(layer(ANN, BOB, CAT, start=start), zone=ZoneInfo(zone))
    first, second, third = (utc(moment) for moment in moments)

    assert [on_call(plan, first - TICK), on_call(plan, first)] == [(), (ANN,)]
    assert [on_call(plan, second - TICK), on_call(plan, second)] == [(ANN,), (BOB,)]
    assert [on_call(plan, third - TICK), on_call(plan, third)] == [(BOB,), (CAT,)]
    assert [next_hand_over(plan, first - DAY), next_hand_over(plan, first)] == [first, second]
    assert [next_hand_over(plan, third - TICK), next_hand_over(plan, second)] == [third, third]


def test_nobody_hands_back_in_the_second_pass() -> None:
    """25 October 2026, 02:30 in Berlin: 00:30 and 01:30 UTC; 02:15 comes again after the hand-over."""
    plan = rotation(layer(ANN, BOB, start="2026-10-24 02:30"))

    assert [on_call(plan, utc(f"2026-10-25 {time}")) for time in ("00:15", "00:30", "01:15", "01:45")] == [
        (ANN,),
        (BOB,),
        (BOB,),
        (BOB,),
    ]


def test_turns_shorter_than_a_day_follow_the_clock_on_the_wall() -> None:
    """Night shifts begin at 21:00, in winter and in summer; the one of 28 March is an hour shorter."""
    plan = rotation(layer(ANN, BOB, start="2026-03-28 09:00", every=timedelta(hours=12)))

    found = [
        (shift.start, shift.turn.people) for shift in shifts(plan, utc("2026-03-28 08:00"), utc("2026-03-30"))
    ]

    assert found == [
        (utc("2026-03-28 08:00"), (ANN,)),
        (utc("2026-03-28 20:00"), (BOB,)),
        (utc("2026-03-29 07:00"), (ANN,)),
        (utc("2026-03-29 19:00"), (BOB,)),
    ]


def test_a_turn_that_would_fall_wholly_into_the_missing_hour_is_passed_over() -> None:
    """Turns of an hour: the one of 02:00 does not exist that night, and begins when it ends."""
    plan = rotation(layer(ANN, BOB, CAT, start="2026-03-29 00:00", every=timedelta(hours=1)))

    found = [on_call(plan, utc("2026-03-28 23:00") + hour * timedelta(hours=1)) for hour in range(4)]

    assert found == [(ANN,), (BOB,), (ANN,), (BOB,)]


def test_a_layer_on_top_answers_inside_its_windows_and_the_one_below_outside() -> None:
    """Office hours have their own people; turns pass while they are not asked."""
    plan = rotation(layer(ANN, every=7 * DAY), layer(BOB, CAT, only=(OFFICE,)))

    assert on_call(plan, utc("2026-01-05 07:59")) == ()
    assert turn_at(plan, utc("2026-01-05 08:00")).why == "layer 2"
    assert on_call(plan, utc("2026-01-05 08:00")) == (BOB,)
    assert on_call(plan, utc("2026-01-05 15:59")) == (BOB,)
    assert on_call(plan, utc("2026-01-05 16:00")) == (ANN,)
    assert on_call(plan, utc("2026-01-06 08:00")) == (CAT,)
    assert on_call(plan, utc("2026-01-10 10:00")) == (ANN,)  # a Saturday
    assert on_call(plan, utc("2026-01-12 08:00")) == (CAT,)  # seven turns after Bob
    assert next_hand_over(plan, utc("2026-01-05 08:00")) == utc("2026-01-05 16:00")
    assert next_hand_over(plan, utc("2026-01-09 16:00")) == utc("2026-01-12 08:00")


def test_a_layer_on_top_that_has_not_begun_leaves_the_answer_to_the_one_below() -> None:
    """From its start on it lies on top."""
    plan = rotation(layer(ANN), layer(BOB, start="2026-02-01 09:00"))

    assert [on_call(plan, utc("2026-02-01 07:59")), on_call(plan, utc("2026-02-01 08:00"))] == [
        (ANN,),
        (BOB,),
    ]
    assert next_hand_over(plan, utc("2026-01-20")) == utc("2026-02-01 08:00")


def test_an_override_holds_in_local_time_and_the_turns_pass_below_it() -> None:
    """Over the change of the clock: from 00:00 summer time to 00:00 winter time are 25 hours."""
    away = Override(start=local("2026-10-25 00:00"), end=local("2026-10-26 00:00"), people=(CAT, DAN))
    plan = rotation(layer(ANN, BOB, start="2026-10-24 00:00"), overrides=(away,))

    found = [
        (shift.start, shift.end, shift.turn.people, shift.turn.why)
        for shift in shifts(plan, utc("2026-10-24 12:00"), utc("2026-10-27"))
    ]

    assert found == [
        (utc("2026-10-24 12:00"), utc("2026-10-24 22:00"), (ANN,), "layer 1"),
        (utc("2026-10-24 22:00"), utc("2026-10-25 23:00"), (CAT, DAN), "an override"),
        (utc("2026-10-25 23:00"), utc("2026-10-26 23:00"), (ANN,), "layer 1"),
        (utc("2026-10-26 23:00"), utc("2026-10-27"), (BOB,), "layer 1"),
    ]


def test_of_two_overrides_the_later_in_the_list_holds() -> None:
    """Somebody who swaps a part of a swap."""
    week = Override(start=local("2026-02-02 00:00"), end=local("2026-02-09 00:00"), people=(BOB,))
    evening = Override(start=local("2026-02-03 18:00"), end=local("2026-02-03 22:00"), people=(CAT,))
    plan = rotation(layer(ANN), overrides=(week, evening))

    assert on_call(plan, utc("2026-02-03 16:59")) == (BOB,)
    assert on_call(plan, utc("2026-02-03 17:00")) == (CAT,)
    assert on_call(plan, utc("2026-02-03 21:00")) == (BOB,)
    assert on_call(plan, utc("2026-02-08 23:00")) == (ANN,)


def test_the_same_people_by_another_layer_are_no_hand_over() -> None:
    """Nobody is told to take over from themselves."""
    swap = Override(start=local("2026-02-02 00:00"), end=local("2026-02-09 00:00"), people=(ANN,))
    plan = rotation(layer(ANN), overrides=(swap,))

    assert next_hand_over(plan, utc("2026-01-20")) is None
    assert len(shifts(plan, utc("2026-01-20"), utc("2026-03-01"))) == 3


def test_there_are_no_shifts_in_no_time() -> None:
    """An end before the start shows nothing."""
    assert shifts(rotation(layer(ANN)), utc("2026-02-01"), utc("2026-02-01")) == ()


@given(
    hours=st.sampled_from([1, 5, 12, 24, 36, 168]),
    minute=st.integers(0, 24 * 60 - 1),
    around=st.sampled_from(["2026-03-27", "2026-10-23", "2026-04-03", "2026-10-02", "2026-03-06"]),
    zone=st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"]),
    after=st.integers(0, 60 * 24 * 4),
)
@settings(deadline=None)
def test_who_is_on_call_is_whoever_took_over_last(
    hours: int, minute: int, around: str, zone: str, after: int
) -> None:
    """Walking from hand-over to hand-over finds the same, in every zone."""
    place, every = ZoneInfo(zone), timedelta(hours=hours)
    start = local(around) + timedelta(minutes=minute)
    plan = rotation(Layer(people=(ANN, BOB, CAT), start=start, every=every), zone=place)
    at = utc(around) + timedelta(minutes=after)

    walked: tuple[Recipient, ...] = ()
    turn, hand_over = 0, start
    while moment_of(hand_over, place) <= at:
        walked = ((ANN, BOB, CAT)[turn % 3],)
        turn, hand_over = turn + 1, hand_over + every

    assert on_call(plan, at) == walked


@given(
    start=st.integers(0, 60 * 24 * 4),
    length=st.integers(1, 60 * 24 * 4),
    percent=st.integers(0, 99),
    around=st.sampled_from(["2026-03-27", "2026-10-23", "2026-12-30"]),
)
@settings(deadline=None)
def test_shifts_show_whoever_is_on_call(start: int, length: int, percent: int, around: str) -> None:
    """Without gap or overlap, and each ends where the next hand-over is."""
    swap = Override(start=local("2026-10-25 02:30"), end=local("2026-10-25 04:00"), people=(DAN,))
    plan = rotation(
        layer(ANN, BOB, every=timedelta(hours=9)), layer(CAT, DAN, only=(OFFICE,)), overrides=(swap,)
    )
    begin = utc(around) + timedelta(minutes=start)
    end = begin + timedelta(minutes=length)
    at = begin + percent * (end - begin) // 100

    found = shifts(plan, begin, end)

    assert [one.end for one in found[:-1]] == [one.start for one in found[1:]]
    assert (found[0].start, found[-1].end) == (begin, end)
    current = next(one for one in found if one.start <= at < one.end)
    assert current.turn == turn_at(plan, at)
    changes = (one.start for one in found if one.start > at and one.turn.people != current.turn.people)
    assert next_hand_over(plan, at, horizon=end - at) == next(changes, None)


ROTATION = """
rotation: on-call
zone: Europe/Berlin
layers:
  - people: [ann@example.com, {email: bob@example.com, phone: "+49 30 123", name: Bob}]
    start: 2026-01-05
    every: 1w
  - people: [cat@example.com]
    start: "2026-01-05"
    every: 1d12h
    at: "18:30"
    only: office
overrides:
  - {from: "2026-12-24T00:00", until: 2026-12-27 00:00:00, people: [dan@example.com]}
"""


def test_a_rotation_is_read_as_it_is_written() -> None:
    """With texts and dates as YAML has them; hand-over is at nine unless it says otherwise."""
    entry = parse(ROTATION, Path("rules.yaml")).read(RotationEntry)

    assert entry.window_names == ("office",)
    assert entry.compiled({"office": [OFFICE]}) == Rotation(
        name="on-call",
        zone=BERLIN,
        layers=(
            Layer(
                people=(ANN, Recipient(email="bob@example.com", phone="+49 30 123", name="Bob")),
                start=local("2026-01-05 09:00"),
                every=7 * DAY,
            ),
            Layer(people=(CAT,), start=local("2026-01-05 18:30"), every=timedelta(hours=36), only=(OFFICE,)),
        ),
        overrides=(Override(start=local("2026-12-24"), end=local("2026-12-27"), people=(DAN,)),),
    )


def test_a_rotation_can_be_hashed_and_shown_to_editors() -> None:
    """Its JSON form reads back to the same, and it has a JSON Schema."""
    entry = parse(ROTATION, Path("rules.yaml")).read(RotationEntry)

    assert entry.model_dump(mode="json", by_alias=True)["layers"][0]["people"][1]["name"] == "Bob"
    assert set(RotationEntry.model_json_schema()["properties"]) == {"rotation", "zone", "layers", "overrides"}


@pytest.mark.parametrize(
    ("good", "bad", "line", "problem"),
    [
        ("Europe/Berlin", "Europe/Nowhere", 3, "no time zone"),
        ("every: 1w", "every: 59m", 7, "one hour to 366 days"),
        ("every: 1w", "every: 1y", 7, "length of a turn"),
        ("every: 1w", "every: 1wx", 7, "length of a turn"),
        ("every: 1w", "every: 7", 7, "length of a turn"),
        ("start: 2026-01-05", "start: 2026-02-30x", 6, "must be a date"),
        ('start: "2026-01-05"', 'start: "2026-02-30"', 9, "no day of the calendar"),
        ("start: 2026-01-05", "start: 2026-01-05 09:00:00", 6, "must be a date"),
        ("start: 2026-01-05", "start: 0001-01-01", 6, "between 1900"),
        ('"18:30"', "18:30", 11, "must be a time of day"),  # YAML 1.1 makes it 1110
        ('"18:30"', '"24:00"', 11, "must be a time of day"),
        ("[cat@example.com]", "[]", 8, "at least one"),
        ("[cat@example.com]", "[{name: Cat}]", 8, "needs email, phone or contact"),
        ('"2026-12-24T00:00"', '"2026-12-24T00:00+01:00"', 14, "without an offset"),
        ('"2026-12-24T00:00"', '"2026-12-24"', 14, "a date and a time of day"),
        ('"2026-12-24T00:00"', '"2026-12-28T00:00"', 14, "`until` must be after `from`"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(good: str, bad: str, line: int, problem: str) -> None:
    """What happened, where, and what to write instead."""
    assert ROTATION.count(good) >= 1
    document = parse(ROTATION.replace(good, bad), Path("rules.yaml"))

    with pytest.raises(ConfigErrors) as caught:
        document.read(RotationEntry)

    (error,) = caught.value.errors
    assert error.line == line
    assert problem in str(error)
    assert error.mend or bad == "[]"  # the problem says it all
