"""So many within a sliding window: when it fires, when it is over, and how little it remembers."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.rules.alerting.counting import Count
from notifier.rules.alerting.sightings import Memory, Reading, Sighting

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
THREE = Count(at_least=3, within=timedelta(minutes=10))


def test_the_limit_itself_fires() -> None:
    """At least three means the third."""
    readings = seen(THREE, [0, 1, 2, 3])

    assert [reading.is_firing for reading in readings] == [None, None, True, True]
    assert [reading.matches for reading in readings] == [0, 0, 1, 0]
    assert readings[2].reason == "3 or more within 10m (>= 3)"
    assert readings[1].reason == "2 within 10m (limit >= 3)"


@pytest.mark.parametrize(("last", "fires"), [(9.999, True), (10, None)])
def test_the_window_is_half_open(*, last: float, fires: bool | None) -> None:
    """A sighting exactly one window old no longer counts."""
    assert seen(THREE, [0, 1, last])[-1].is_firing is fires


def test_it_is_over_when_the_window_no_longer_holds_enough() -> None:
    """The look that ends the alert is due when the third newest leaves the window."""
    reading = seen(THREE, [0, 1, 2])[-1]

    before = THREE.tick(reading.memory, START + 10 * MINUTE - timedelta(microseconds=1))
    after = THREE.tick(reading.memory, START + 10 * MINUTE)

    assert reading.due_at == START + 10 * MINUTE
    assert before.is_firing is None
    assert after.is_firing is False
    assert after.reason == "2 within 10m (limit >= 3)"


def test_a_further_sighting_keeps_it_firing() -> None:
    """The end moves with the newest three."""
    assert seen(THREE, [0, 1, 2, 8])[-1].due_at == START + 11 * MINUTE


def test_a_late_look_and_a_new_burst_are_two_alerts() -> None:
    """An alert that was over by then ends with the next sighting, and the next burst is a match of its own."""
    readings = seen(THREE, [0, 1, 2, 30, 31, 32])

    assert [reading.is_firing for reading in readings[3:]] == [False, None, True]
    assert sum(reading.matches for reading in readings) == 2


def test_a_restarting_key_uses_up_what_matched() -> None:
    """Six sightings are two matches of three, each needing three of its own."""
    readings = seen(Count(at_least=3, within=10 * MINUTE, is_restarting=True), [0, 1, 2, 3, 4, 5])

    assert [reading.matches for reading in readings] == [0, 0, 1, 0, 0, 1]
    assert readings[-1].due_at == START + 13 * MINUTE


def test_only_what_fires_is_counted() -> None:
    """A recovery is no fourth failure."""
    memory = seen(THREE, [0, 1])[-1].memory

    reading = THREE.observe(memory, Sighting(at=START + 2 * MINUTE, is_firing=False), START + 2 * MINUTE)

    assert reading.is_firing is None
    assert reading.memory == memory


def test_a_sighting_may_stand_for_many() -> None:
    """A summary of two after one makes three."""
    first = THREE.observe(None, Sighting(at=START), START)

    second = THREE.observe(first.memory, Sighting(at=START + MINUTE, count=2), START + MINUTE)

    assert second.is_firing is True


def test_a_sighting_that_comes_late_still_counts() -> None:
    """What happened within the newest window belongs to it, whenever it arrives."""
    assert [reading.is_firing for reading in seen(THREE, [9, 8, 1])] == [None, None, True]
    assert [reading.is_firing for reading in seen(THREE, [19, 18, 1])] == [None, None, None]


def test_a_clock_that_runs_ahead_does_not_move_ours() -> None:
    """A sighting from tomorrow counts as of now, and pushes nothing out of the window."""
    memory = seen(THREE, [0, 1])[-1].memory
    tomorrow = Sighting(at=START + timedelta(days=1))

    assert THREE.observe(memory, tomorrow, START + 2 * MINUTE).is_firing is True


def test_a_silent_key_is_forgotten() -> None:
    """A look after two windows leaves nothing to store, and nothing to wait for."""
    reading = seen(THREE, [0])[-1]
    assert reading.due_at is not None

    last = THREE.tick(reading.memory, reading.due_at)

    assert last.memory == {}
    assert last.due_at is None


def test_memory_of_another_threshold_is_nothing() -> None:
    """A rule whose threshold was exchanged starts anew instead of failing."""
    reading = THREE.observe({"kind": "heartbeat", "last": 5}, Sighting(at=START), START)

    assert reading.facts["count"] == 1


@settings(deadline=None, max_examples=60)
@given(st.permutations([0, 0.5, 3, 3, 7, 9.5]), st.integers(1, 7))
def test_the_order_of_arrival_within_the_window_does_not_matter(minutes: list[float], at_least: int) -> None:
    """The same sightings lead to the same end, however they are shuffled."""
    count = Count(at_least=at_least, within=10 * MINUTE)

    shuffled, ordered = seen(count, minutes)[-1], seen(count, sorted(minutes))[-1]

    assert shuffled.memory == ordered.memory
    assert shuffled.due_at == ordered.due_at


@settings(deadline=None, max_examples=60)
@given(
    minutes=st.lists(st.integers(0, 40), max_size=30), at_least=st.integers(1, 5), is_restarting=st.booleans()
)
def test_it_fires_exactly_while_the_newest_window_holds_enough(
    *, minutes: list[int], at_least: int, is_restarting: bool
) -> None:
    """The little that is kept decides as all of it would, and never exceeds the limit."""
    count = Count(at_least=at_least, within=10 * MINUTE, is_restarting=is_restarting)

    for number, reading in enumerate(seen(count, minutes), start=1):
        end = max(minutes[:number])
        held = sum(minute > end - 10 for minute in minutes[:number])
        assert len(reading.memory["seen"]) <= max(at_least, 1)
        assert json.loads(json.dumps(reading.memory)) == reading.memory
        if not is_restarting:
            assert (reading.is_firing is True) == (held >= at_least)


@settings(deadline=None, max_examples=40)
@given(minutes=st.lists(st.integers(0, 60), min_size=1, max_size=20), is_restarting=st.booleans())
def test_looking_whenever_it_is_due_comes_to_an_end(*, minutes: list[int], is_restarting: bool) -> None:
    """Every look asks for a later one or for none; the last one leaves nothing."""
    count = Count(at_least=3, within=10 * MINUTE, is_restarting=is_restarting)
    reading = seen(count, minutes)[-1]
    is_firing, looks = reading.is_firing is True, 0

    while reading.due_at is not None:
        now = max(reading.due_at, START + max(minutes) * MINUTE)
        reading = count.tick(reading.memory, now)
        is_firing = is_firing if reading.is_firing is None else reading.is_firing
        assert reading.due_at is None or reading.due_at > now
        looks += 1

    assert reading.memory == {}
    assert looks <= 3
    assert not is_firing


def seen(count: Count, minutes: Iterable[float]) -> list[Reading]:
    """Return what is said after each sighting."""
    memory: Memory | None = None
    readings, latest = [], START
    for minute in minutes:
        at = START + minute * MINUTE
        latest = max(latest, at)
        readings.append(count.observe(memory, Sighting(at=at), latest))
        memory = readings[-1].memory
    return readings
