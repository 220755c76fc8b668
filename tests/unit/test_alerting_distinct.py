"""Too many or too few different values: exact, though only digests of the newest are kept."""

import json
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.events import Json
from notifier.rules.alerting.distinct import Distinct
from notifier.rules.alerting.sightings import Memory, Reading, Sighting

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
EDGE = timedelta(microseconds=1)
TWO_AT_MOST = Distinct(within=10 * MINUTE, more_than=2)
TWO_AT_LEAST = Distinct(within=10 * MINUTE, fewer_than=2)


def test_one_value_too_many_fires() -> None:
    """Repeating a value is nothing new; the third one fires, and every sighting beyond it matches."""
    readings = seen(TWO_AT_MOST, [(0, "a"), (1, "b"), (2, "a"), (3, "c"), (4, "c")])

    assert [reading.is_firing for reading in readings] == [None, None, None, True, True]
    assert [reading.matches for reading in readings] == [0, 0, 0, 1, 1]
    assert readings[-1].reason == "more than 2 different within 10m (> 2)"


def test_it_is_over_once_a_value_was_not_seen_for_longer_than_the_window() -> None:
    """Exactly one window old still counts; the look is due right after."""
    reading = seen(TWO_AT_MOST, [(0, "a"), (1, "b"), (2, "c")])[-1]

    assert reading.due_at == START + 10 * MINUTE + EDGE
    assert TWO_AT_MOST.tick(reading.memory, START + 10 * MINUTE).is_firing is True
    assert TWO_AT_MOST.tick(reading.memory, reading.due_at).is_firing is False


def test_too_few_is_said_only_after_a_full_window() -> None:
    """The first window is needed to know what is usual; later the look fires once."""
    memory = seen(TWO_AT_LEAST, [(0, "a"), (6, "a")])[-1].memory

    early = TWO_AT_LEAST.tick(memory, START + 10 * MINUTE)
    late = TWO_AT_LEAST.tick(early.memory, START + 10 * MINUTE + EDGE)

    assert early.is_firing is None
    assert early.due_at == START + 10 * MINUTE + EDGE
    assert (late.is_firing, late.matches) == (True, 1)
    assert late.reason == "1 different within 10m (limit < 2)"


def test_enough_values_end_too_few() -> None:
    """A second value is enough again."""
    memory = TWO_AT_LEAST.tick(seen(TWO_AT_LEAST, [(0, "a")])[-1].memory, START + 11 * MINUTE).memory

    one = TWO_AT_LEAST.observe(memory, Sighting(at=START + 12 * MINUTE, value="a"), START + 12 * MINUTE)
    two = TWO_AT_LEAST.observe(one.memory, Sighting(at=START + 13 * MINUTE, value="b"), START + 13 * MINUTE)

    assert [one.is_firing, two.is_firing] == [None, False]


def test_a_missing_value_is_said_and_not_counted() -> None:
    """The reason says why nothing happened."""
    reading = TWO_AT_MOST.observe(None, Sighting(at=START), START)

    assert reading.is_firing is None
    assert reading.reason == "not counted: the field is missing"
    assert reading.memory == {}


def test_only_what_fires_is_counted() -> None:
    """A recovery brings no value."""
    reading = TWO_AT_MOST.observe(None, Sighting(at=START, value="a", is_firing=False), START)

    assert reading.facts["distinct"] == 0


def test_values_are_told_apart_as_json() -> None:
    """The number 1, the text 1 and a list are three values; the order of keys makes none."""
    values: list[Json] = [1, "1", [1], {"a": 1, "b": 2}, {"b": 2, "a": 1}]
    watch = Distinct(within=10 * MINUTE, more_than=9)

    assert seen(watch, list(enumerate(values)))[-1].facts["distinct"] == 4


def test_no_value_is_kept_or_said() -> None:
    """Neither memory nor reason holds what was seen."""
    reading = seen(TWO_AT_MOST, [(0, "ann@shop.example")])[-1]

    assert "ann" not in json.dumps([reading.memory, reading.reason, dict(reading.facts)])


def test_values_are_forgotten_with_their_window() -> None:
    """The last look leaves nothing to store."""
    reading = seen(TWO_AT_MOST, [(0, "a"), (3, "b")])[-1]
    assert reading.due_at == START + 13 * MINUTE + EDGE

    assert TWO_AT_MOST.tick(reading.memory, reading.due_at).memory == {}


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 30), st.sampled_from("abcdefgh")), min_size=1, max_size=40),
    st.integers(1, 4),
)
def test_the_few_that_are_kept_decide_as_all_would(sightings: list[tuple[int, str]], limit: int) -> None:
    """In any order of arrival it fires exactly when the newest window holds too many; memory stays small."""
    watch = Distinct(within=10 * MINUTE, more_than=limit)

    for number, reading in enumerate(seen(watch, sightings), start=1):
        end = max(minute for minute, _ in sightings[:number])
        held = {value for minute, value in sightings[:number] if minute >= end - 10}
        assert (reading.is_firing is True) == (len(held) > limit)
        assert len(reading.memory["last"]) <= limit + 1


def seen(watch: Distinct, sightings: list[tuple[int, Json]]) -> list[Reading]:
    """Return what is said after each sighting."""
    memory: Memory | None = None
    readings, latest = [], START
    for minute, value in sightings:
        at = START + minute * MINUTE
        latest = max(latest, at)
        readings.append(watch.observe(memory, Sighting(at=at, value=value), latest))
        memory = readings[-1].memory
    return readings
