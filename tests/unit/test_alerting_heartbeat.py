"""A dead man's switch: armed by the first beat, fires once when overdue, over when the beat is back."""

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.rules.alerting.heartbeat import Heartbeat
from notifier.rules.alerting.sightings import Sighting

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAILY = Heartbeat(every=24 * HOUR, grace=HOUR)


def test_nothing_is_overdue_before_the_first_beat() -> None:
    """A job that never ran is not armed."""
    reading = DAILY.tick({}, START + 1000 * HOUR)

    assert (reading.is_firing, reading.memory, reading.due_at) == (None, {}, None)


def test_it_fires_when_period_and_grace_are_over() -> None:
    """Not a microsecond before, and once."""
    beat = DAILY.observe(None, Sighting(at=START), START)
    assert beat.due_at == START + 25 * HOUR

    before = DAILY.tick(beat.memory, beat.due_at - timedelta(microseconds=1))
    overdue = DAILY.tick(before.memory, beat.due_at)
    later = DAILY.tick(overdue.memory, beat.due_at + HOUR)

    assert [before.is_firing, overdue.is_firing, later.is_firing] == [None, True, None]
    assert [overdue.matches, later.matches] == [1, 0]
    assert overdue.due_at is None
    assert overdue.reason == "no beat in time: one is expected every 1d, grace 1h"


def test_it_is_over_when_the_beat_returns() -> None:
    """The next one is expected from then on."""
    memory = DAILY.tick(DAILY.observe(None, Sighting(at=START), START).memory, START + 30 * HOUR).memory

    back = DAILY.observe(memory, Sighting(at=START + 31 * HOUR), START + 31 * HOUR)

    assert (back.is_firing, back.due_at) == (False, START + 56 * HOUR)


def test_an_old_beat_that_arrives_late_does_not_end_it() -> None:
    """It says only that the job lived then."""
    memory = DAILY.tick(DAILY.observe(None, Sighting(at=START), START).memory, START + 30 * HOUR).memory

    late = DAILY.observe(memory, Sighting(at=START + HOUR), START + 31 * HOUR)

    assert late.is_firing is None


def test_a_recovery_is_a_beat_too() -> None:
    """Whatever its state, it was heard."""
    assert DAILY.observe(None, Sighting(at=START, is_firing=False), START).due_at == START + 25 * HOUR


def test_a_beat_from_the_future_counts_as_now() -> None:
    """A clock that runs ahead does not silence the switch for a year."""
    reading = DAILY.observe(None, Sighting(at=START + 9000 * HOUR), START)

    assert reading.due_at == START + 25 * HOUR


@settings(deadline=None, max_examples=60)
@given(st.permutations([0, 7, 20, 31, 44]))
def test_the_order_of_arrival_does_not_matter(hours: list[int]) -> None:
    """The newest beat decides when the next one is due."""
    memory, now = None, START + 44 * HOUR
    for hour in hours:
        reading = DAILY.observe(memory, Sighting(at=START + hour * HOUR), now)
        memory = reading.memory

    assert reading.due_at == START + 69 * HOUR
