"""Clocks tell aware UTC; the virtual one moves only when told to."""

from datetime import UTC, datetime, timedelta

from notifier.clock import Clock, SystemClock, VirtualClock


def test_the_system_clock_tells_aware_utc() -> None:
    """And the time of the machine."""
    before = datetime.now(UTC)
    told = SystemClock().now()

    assert told.tzinfo is UTC
    assert before <= told <= datetime.now(UTC)


def test_the_virtual_clock_moves_only_when_told_to() -> None:
    """By as much as it is told."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    clock = VirtualClock(start)

    assert clock.now() == clock.now() == start
    assert clock.advance(timedelta(days=1)) == clock.now() == start + timedelta(days=1)


def test_both_are_clocks() -> None:
    """What asks for the time need not know which."""
    clocks: list[Clock] = [SystemClock(), VirtualClock(datetime(2026, 1, 1, tzinfo=UTC))]

    assert all(clock.now().utcoffset() == timedelta(0) for clock in clocks)
