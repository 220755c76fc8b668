"""Tell the time, from one place, so that tests can set it.

Pure parts take ``now`` as an argument; only the pipeline asks a clock.
"""

from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Whatever can say what time it is."""

    def now(self) -> datetime:
        """Return the current moment as aware UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the current moment as aware UTC."""
        return datetime.now(UTC)


class VirtualClock:
    """A clock that moves only when told to: tests, `explain` and `simulate` run on it."""

    def __init__(self, start: datetime) -> None:
        self._now = start

    def now(self) -> datetime:
        """Return the moment the clock was last set to."""
        return self._now

    def advance(self, step: timedelta) -> datetime:
        """Move on by ``step`` and return the new moment."""
        self._now += step
        return self._now
