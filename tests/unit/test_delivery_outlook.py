"""When a backlog will be gone (O7)."""

from datetime import UTC, datetime, timedelta

import pytest

from notifier.delivery.outlook import Drain, drains_at

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("drains", "seconds"),
    [
        ([Drain(waiting=1400, rate=14.0)], 100),
        ([Drain(waiting=50, rate=5.0), Drain(waiting=1400, rate=14.0)], 100),
        ([Drain(waiting=0, rate=5.0)], 0),
    ],
)
def test_the_slowest_limit_says_when_it_is_gone(drains: list[Drain], seconds: int) -> None:
    """A flow's own, or its relay's with all that waits there."""
    assert drains_at(NOW, drains) == NOW + timedelta(seconds=seconds)


def test_nothing_goes_before_the_rest_is_over() -> None:
    """A rest that is over delays nothing."""
    drain = [Drain(waiting=10, rate=1.0)]

    assert drains_at(NOW, drain, NOW + timedelta(minutes=1)) == NOW + timedelta(seconds=70)
    assert drains_at(NOW, drain, NOW - timedelta(minutes=1)) == NOW + timedelta(seconds=10)


def test_what_is_due_later_is_gone_no_sooner() -> None:
    """However fast the others go."""
    drain = [Drain(waiting=10, rate=1.0)]

    assert drains_at(NOW, drain, None, NOW + timedelta(hours=3)) == NOW + timedelta(hours=3)
    assert drains_at(NOW, drain, None, NOW - timedelta(hours=3)) == NOW + timedelta(seconds=10)


def test_what_rests_until_somebody_wakes_it_has_no_end() -> None:
    """The end of such a rest is a figure of speech."""
    assert drains_at(NOW, [Drain(waiting=1, rate=1.0)], NOW + timedelta(days=36_500)) is None


@pytest.mark.parametrize("drains", [[], [Drain(waiting=1, rate=0.0)], [Drain(waiting=10**9, rate=0.01)]])
def test_what_nobody_can_say_is_not_said(drains: list[Drain]) -> None:
    """No rate, or a moment years away."""
    assert drains_at(NOW, drains) is None
