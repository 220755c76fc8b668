"""A value past a limit: once per crossing, armed again on recovery only."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.events import Json
from notifier.rules.alerting.crossing import Crossing, Side
from notifier.rules.alerting.sightings import Memory, Reading, Sighting

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
LOW = Crossing(limit=100, side=Side.BELOW, rearm=120)
HIGH = Crossing(limit=100, side=Side.ABOVE, rearm=80)


@pytest.mark.parametrize(
    ("watch", "values", "says"),
    [
        (LOW, [150, 99, 50, 110, 99, 119.9, 120, 99], [None, True, None, None, None, None, False, True]),
        (LOW, [100], [None]),
        (LOW, [99.99], [True]),
        (HIGH, [50, 101, 90, 101, 80, 101], [None, True, None, None, False, True]),
        (HIGH, [100, 100.5], [None, True]),
        (Crossing(limit=0), [-1, 0, -1], [True, False, True]),
        (Crossing(limit=0, side=Side.ABOVE), [1, 0, 1], [True, False, True]),
    ],
)
def test_it_speaks_at_crossings_only(watch: Crossing, values: list[float], says: list[bool | None]) -> None:
    """Past the limit it fires, at the rearm value it is over, and between the two it is quiet."""
    readings = seen(watch, values)

    assert [crossed(reading) for reading in readings] == says
    assert sum(reading.matches for reading in readings) == says.count(True)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "the field is missing"),
        ("90", "the field is no number (str)"),
        (True, "the field is no number (bool)"),
        ([90], "the field is no number (list)"),
        (float("nan"), "the field is no finite number"),
    ],
)
def test_what_is_no_number_changes_nothing(value: Json, reason: str) -> None:
    """The reason says what is wrong, and what was known stays."""
    memory = seen(LOW, [50])[-1].memory

    reading = LOW.observe(memory, Sighting(at=START, value=value), START)

    assert (reading.is_firing, reading.reason, reading.memory) == (None, reason, memory)


def test_an_older_value_changes_nothing() -> None:
    """A recovery that happened before the newest value is history."""
    now = START + timedelta(minutes=5)
    memory = LOW.observe(None, Sighting(at=now, value=50), now).memory

    reading = LOW.observe(memory, Sighting(at=START, value=500), now)

    assert (reading.is_firing, reading.memory) == (None, memory)
    assert reading.reason == "older than the newest value: changes nothing"


def test_reasons_name_limits_and_never_values() -> None:
    """A balance is nobody's business; a limit is in the rule file."""
    readings = seen(Crossing(limit=1_000_000, rearm=1_500_000), [31_337, 2_000_000])

    assert readings[0].reason == "now below 1000000 (over at 1500000 or more)"
    assert readings[1].reason == "now not below 1000000"
    assert "31337" not in repr(readings[0])


def test_a_number_too_large_for_a_float_is_compared_all_the_same() -> None:
    """JSON has no largest number."""
    assert seen(HIGH, [10**400])[-1].is_firing is True


def test_time_changes_no_value() -> None:
    """Nothing is due, and a look says nothing."""
    reading = seen(LOW, [50])[-1]

    look = LOW.tick(reading.memory, START + timedelta(days=365))

    assert reading.due_at is None
    assert (look.is_firing, look.memory, look.due_at) == (None, reading.memory, None)


@settings(deadline=None, max_examples=80)
@given(st.lists(st.integers(0, 200), max_size=40))
def test_one_firing_per_crossing(values: list[int]) -> None:
    """Firing and recovery alternate, and each has a value that is the reason for it."""
    says = [crossed(reading) for reading in seen(LOW, values)]

    spoken = [(said, value) for said, value in zip(says, values, strict=True) if said is not None]
    assert [said for said, _ in spoken] == [number % 2 == 0 for number in range(len(spoken))]
    assert all(value < 100 if said else value >= 120 for said, value in spoken)


def test_a_value_that_is_still_past_the_limit_keeps_the_alert_alive() -> None:
    """It fires on, without another crossing; one within the gap says nothing."""
    readings = seen(LOW, [50, 60, 110, 130])

    assert [(one.is_firing, one.matches) for one in readings] == [(True, 1), (True, 0), (True, 0), (False, 0)]


def crossed(reading: Reading) -> bool | None:
    """Return which way the limit was crossed, if it was."""
    if reading.is_firing is None or (reading.is_firing and not reading.matches):
        return None
    return reading.is_firing


def seen(watch: Crossing, values: list[float] | list[int]) -> list[Reading]:
    """Return what is said after each value, a minute apart."""
    memory: Memory | None = None
    readings = []
    for number, value in enumerate(values):
        at = START + number * timedelta(minutes=1)
        readings.append(watch.observe(memory, Sighting(at=at, value=value), at))
        memory = readings[-1].memory
    return readings
