"""Much more or much less than in the window before: silent at first, once per leap, small in memory."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.rules.alerting.sightings import Memory, Reading, Sighting
from notifier.rules.alerting.spikes import Direction, Spike

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
TWICE = Spike(within=10 * MINUTE, height=2, min_before=1)


@pytest.mark.parametrize(
    ("direction", "now", "fires"),
    [
        (Direction.UP, 20, True),
        (Direction.UP, 19, None),
        (Direction.UP, 5, None),
        (Direction.DOWN, 5, True),
        (Direction.DOWN, 6, None),
        (Direction.DOWN, 20, None),
        (Direction.BOTH, 20, True),
        (Direction.BOTH, 5, True),
        (Direction.BOTH, 10, None),
    ],
)
def test_a_leap_is_the_height_or_more(*, direction: Direction, now: int, fires: bool | None) -> None:
    """Ten before: twenty is twice as much, five is half."""
    watch = Spike(within=10 * MINUTE, height=2, direction=direction)

    assert seen(watch, [(0, 10), (10, 10), (20, now)])[-1].is_firing is fires


def test_it_is_silent_until_two_windows_were_seen() -> None:
    """However much comes in the second window, there is nothing yet to compare with."""
    readings = seen(TWICE, [(0, 1), (10, 100), (19.9, 1000)])

    assert [reading.is_firing for reading in readings] == [None, None, None]


@pytest.mark.parametrize(
    ("watch", "before", "now"),
    [
        (Spike(within=10 * MINUTE, height=2, min_before=6), 5, 50),
        (Spike(within=10 * MINUTE, height=2, min_now=51), 5, 50),
        (Spike(within=10 * MINUTE, height=2, min_now=1), 5, 0),
        (Spike(within=10 * MINUTE, height=2), 0, 0),
    ],
)
def test_too_few_say_nothing(watch: Spike, before: int, now: int) -> None:
    """Counts below the least ones are no ground to judge from, and nothing after nothing is no leap."""
    assert seen(watch, [(0, 0), (10, before), (20, now)])[-1].is_firing is None


def test_a_leap_is_told_once_and_is_over_a_window_later() -> None:
    """After a match the key starts anew: two windows pass before it speaks again."""
    readings = seen(TWICE, [(0, 10), (10, 10), (20, 40), (25, 400), (39, 4000)])

    assert [reading.matches for reading in readings] == [0, 0, 1, 0, 0]
    assert readings[2].reason == "40 within 10m, 10 in the 10m before (both, >= 2 times)"
    assert readings[4].is_firing is False
    assert TWICE.tick(readings[2].memory, START + 30 * MINUTE).is_firing is False


def test_a_fall_that_only_time_brings_is_found_by_looking() -> None:
    """When nothing comes any more, the looks that are due find it."""
    reading = seen(TWICE, [(minute, 1) for minute in range(21)])[-1]

    looks = 0
    while reading.is_firing is None:
        assert reading.due_at is not None
        reading, looks = TWICE.tick(reading.memory, reading.due_at), looks + 1

    assert reading.is_firing is True
    assert reading.facts["now"] == 5
    assert looks <= 10


def test_a_new_key_is_told_once_the_rule_is_warm() -> None:
    """Another key has seen two windows: a key never seen before may speak at once, and then rests."""
    watch = Spike(within=10 * MINUTE, height=2, min_now=50, is_new_key_told=True)

    cold = watch.observe(None, Sighting(at=START, count=100), START)
    warm = watch.observe(None, Sighting(at=START, count=100, is_rule_warm=True), START)
    again = watch.observe(
        warm.memory, Sighting(at=START + 19 * MINUTE, count=100, is_rule_warm=True), START + 19 * MINUTE
    )

    assert [cold.is_firing, warm.is_firing, again.matches] == [None, True, 0]


def test_a_key_that_has_seen_two_windows_says_so() -> None:
    """That is how the other keys of its rule learn that the rule is warm."""
    readings = seen(TWICE, [(0, 1), (19, 1), (20, 1)])

    assert [reading.facts["is_warm"] for reading in readings] == [False, False, True]


@pytest.mark.parametrize(("is_pause_skipped", "fires"), [(False, None), (True, True)])
def test_what_comes_after_a_pause(*, is_pause_skipped: bool, fires: bool | None) -> None:
    """A pause is an empty window with too few to judge from, or it is skipped."""
    watch = Spike(within=10 * MINUTE, height=2, min_before=5, is_pause_skipped=is_pause_skipped)

    assert seen(watch, [(0, 5), (10, 5), (45, 50)])[-1].is_firing is fires


def test_a_sighting_that_comes_late_belongs_to_its_own_window() -> None:
    """Forty that happened before the current window are no rise: they are what it is compared with."""
    late = seen(TWICE, [(0, 10), (15, 10), (22, 10), (8, 40)])[-1]

    assert (late.facts["now"], late.facts["before"]) == (20, 40)


def test_only_what_fires_is_counted() -> None:
    """A recovery is no rise."""
    reading = TWICE.observe(None, Sighting(at=START, is_firing=False), START)

    assert (reading.memory, reading.due_at) == ({}, None)


def test_a_dead_key_is_forgotten() -> None:
    """Looking whenever it is due ends with nothing to store."""
    reading = seen(TWICE, [(0, 1), (5, 1)])[-1]

    looks = 0
    while reading.due_at is not None:
        due_at = reading.due_at
        reading, looks = TWICE.tick(reading.memory, due_at), looks + 1
        assert reading.due_at is None or reading.due_at > due_at

    assert reading.memory == {}
    assert looks < 20


def test_memory_stays_small() -> None:
    """Five thousand sightings within two windows are some hundred numbers, and none is lost."""
    watch = Spike(within=10 * MINUTE, height=3)

    reading = seen(watch, [(number / 500, 1) for number in range(5000)])[-1]

    assert len(json.dumps(reading.memory)) < 30_000
    assert reading.facts["now"] == pytest.approx(5000, rel=0.01)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 9)), min_size=1, max_size=30))
def test_windows_hold_what_was_seen_in_them(sightings: list[tuple[int, int]]) -> None:
    """In whatever order sightings come, both windows count those of their own time."""
    sightings = [(0, 0), *sightings]
    never = Spike(within=10 * MINUTE, height=1e9, min_now=1_000_000)

    for number, reading in enumerate(seen(never, sightings), start=1):
        end = max(minute for minute, _ in sightings[:number])
        assert reading.facts["now"] == sum(c for at, c in sightings[:number] if at > end - 10)
        assert reading.facts["before"] == sum(c for at, c in sightings[:number] if end - 20 < at <= end - 10)


def seen(watch: Spike, sightings: Sequence[tuple[float, int]]) -> list[Reading]:
    """Return what is said after each sighting."""
    memory: Memory | None = None
    readings, latest = [], START
    for minute, count in sightings:
        at = START + minute * MINUTE
        latest = max(latest, at)
        readings.append(watch.observe(memory, Sighting(at=at, count=count), latest))
        memory = readings[-1].memory
    return readings
