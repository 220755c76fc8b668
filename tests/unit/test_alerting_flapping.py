"""Flap hold: two thresholds keep it from flapping itself."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.rules.alerting.flapping import Flapping

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
FLAP = Flapping(within=15 * MINUTE, hold_at=4, release_at=1)


@pytest.mark.parametrize(
    ("changes", "at", "was_held", "is_held"),
    [
        ([0, 1, 2], 3, False, False),
        ([0, 1, 2, 3], 3, False, True),
        ([0, 1, 2, 3], 15, False, False),
        ([0, 1, 2, 3], 15, True, True),
        ([0, 1, 2, 3], 16.9, True, True),
        ([0, 1, 2, 3], 17, True, False),
        ([3, 0, 2, 1], 3, False, True),
        ([], 0, True, False),
    ],
)
def test_held_at_one_number_and_let_go_at_a_lower_one(
    *, changes: list[int], at: float, was_held: bool, is_held: bool
) -> None:
    """Four changes within a quarter of an hour hold; one or none let go; in between it stays as it was."""
    assert FLAP.is_held(instants(changes), START + at * MINUTE, was_held=was_held) is is_held


def test_it_says_when_to_look_again() -> None:
    """With the third change leaving the window, one is left."""
    assert FLAP.look_at(instants([0, 1, 2, 3]), START + 3 * MINUTE) == START + 17 * MINUTE
    assert FLAP.look_at(instants([0]), START + 3 * MINUTE) is None


@settings(deadline=None, max_examples=80)
@given(st.lists(st.integers(0, 60), max_size=30), st.integers(0, 60))
def test_a_held_alert_is_let_go_at_the_look_and_not_before(minutes: list[int], at: int) -> None:
    """What is kept is little, and is enough to decide on."""
    now, changes = START + at * MINUTE, instants([minute for minute in minutes if minute <= at])
    kept = FLAP.recent(changes, now)
    look_at = FLAP.look_at(kept, now)

    assert len(kept) <= FLAP.hold_at
    assert FLAP.look_at(changes, now) == look_at
    for was_held in (True, False):
        assert FLAP.is_held(kept, now, was_held=was_held) == FLAP.is_held(changes, now, was_held=was_held)
    if look_at is None:
        assert not FLAP.is_held(changes, now, was_held=True)
    else:
        assert FLAP.is_held(changes, look_at - timedelta(microseconds=1), was_held=True)
        assert not FLAP.is_held(changes, look_at, was_held=True)


def instants(minutes: list[int]) -> tuple[datetime, ...]:
    """Return the instants so many minutes from the start."""
    return tuple(START + minute * MINUTE for minute in minutes)
