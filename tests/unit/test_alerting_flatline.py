"""Too few within a window: found by looking, never before one full window, ended by a sighting."""

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.rules.alerting.flatline import Flatline
from notifier.rules.alerting.sightings import Memory, Reading, Sighting

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
TWO = Flatline(fewer_than=2, within=10 * MINUTE)


def test_it_fires_when_the_window_has_run_empty() -> None:
    """The look is due when the second newest leaves the window, and then it fires."""
    reading = seen(TWO, [0, 4, 8])[-1]
    assert reading.due_at == START + 14 * MINUTE

    before = TWO.tick(reading.memory, reading.due_at - timedelta(microseconds=1))
    look = TWO.tick(before.memory, reading.due_at)

    assert before.is_firing is None
    assert (look.is_firing, look.matches, look.due_at) == (True, 1, None)
    assert look.reason == "1 within 10m (< 2)"


def test_it_waits_for_one_full_window() -> None:
    """One sighting is too few, but not before a window has passed since it."""
    reading = seen(TWO, [0])[-1]

    assert reading.due_at == START + 10 * MINUTE
    assert TWO.tick(reading.memory, START + 9 * MINUTE).is_firing is None
    assert TWO.tick(reading.memory, START + 10 * MINUTE).is_firing is True


def test_the_first_look_arms_a_rule_that_never_saw_anything() -> None:
    """Nothing at all for a window is too few as well."""
    armed = TWO.tick({}, START)

    assert armed.due_at == START + 10 * MINUTE
    assert TWO.tick(armed.memory, START + 10 * MINUTE).is_firing is True


def test_every_later_look_is_a_match_and_enough_sightings_end_it() -> None:
    """It goes on until the window holds enough again."""
    memory = TWO.tick(seen(TWO, [0])[-1].memory, START + 10 * MINUTE).memory

    again = TWO.tick(memory, START + 20 * MINUTE)
    one = TWO.observe(again.memory, Sighting(at=START + 21 * MINUTE), START + 21 * MINUTE)
    two = TWO.observe(one.memory, Sighting(at=START + 22 * MINUTE), START + 22 * MINUTE)

    assert again.matches == 1
    assert [one.is_firing, two.is_firing] == [None, False]
    assert two.due_at == START + 31 * MINUTE


def test_a_forgotten_key_is_told_once_and_is_new_when_it_returns() -> None:
    """Nothing is left after the match; the next sighting ends the alert and starts the wait anew."""
    once = Flatline(fewer_than=2, within=10 * MINUTE, is_forgetting=True)

    look = once.tick(seen(once, [0])[-1].memory, START + 10 * MINUTE)
    back = once.observe(None, Sighting(at=START + 30 * MINUTE), START + 30 * MINUTE)

    assert (look.is_firing, look.matches, look.memory, look.due_at) == (True, 1, {}, None)
    assert (back.is_firing, back.due_at) == (False, START + 40 * MINUTE)


def test_a_sighting_that_comes_late_counts_for_when_it_happened() -> None:
    """A late one within the window fills it; one from before it does not."""
    memory = TWO.tick(seen(TWO, [0])[-1].memory, START + 20 * MINUTE).memory
    now = START + 21 * MINUTE

    old = TWO.observe(memory, Sighting(at=START + 2 * MINUTE, count=5), now)
    recent = TWO.observe(old.memory, Sighting(at=START + 12 * MINUTE, count=2), now)

    assert [old.is_firing, recent.is_firing] == [None, False]


def test_only_what_fires_is_counted() -> None:
    """A recovery does not fill the window."""
    memory = seen(TWO, [0])[-1].memory

    reading = TWO.observe(memory, Sighting(at=START + MINUTE, is_firing=False), START + MINUTE)

    assert reading.memory == memory


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=30), st.integers(1, 4), st.integers(0, 60))
def test_a_look_says_what_all_the_sightings_say(minutes: list[int], limit: int, look_at: int) -> None:
    """The few that are kept decide as all would, in any order of arrival."""
    watch = Flatline(fewer_than=limit, within=10 * MINUTE)
    reading = seen(watch, minutes)[-1]

    look = watch.tick(reading.memory, START + look_at * MINUTE)

    end = max(look_at, *minutes, minutes[0])
    held = sum(minute > end - 10 for minute in minutes)
    assert (look.is_firing is True) == (held < limit and end - minutes[0] >= 10)
    assert len(look.memory["seen"]) <= limit


def seen(watch: Flatline, minutes: list[int]) -> list[Reading]:
    """Return what is said after each sighting."""
    memory: Memory | None = None
    readings, latest = [], START
    for minute in minutes:
        at = START + minute * MINUTE
        latest = max(latest, at)
        readings.append(watch.observe(memory, Sighting(at=at), latest))
        memory = readings[-1].memory
    return readings
