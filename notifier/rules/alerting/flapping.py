"""Decide whether an alert that keeps changing is held back, with two thresholds.

Never stores anything: the instants of the changes are handed in.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Flapping:
    """Held at ``hold_at`` changes or more within ``within``; let go when ``release_at`` or fewer are left.

    A change leaves the window once it is exactly ``within`` old. The instants may come in any order.
    """

    within: timedelta
    hold_at: int
    release_at: int

    def is_held(self, changes: Sequence[datetime], now: datetime, *, was_held: bool) -> bool:
        """Return whether the alert is held back now."""
        count = len(self.recent(changes, now))
        return count > self.release_at if was_held else count >= self.hold_at

    def look_at(self, changes: Sequence[datetime], now: datetime) -> datetime | None:
        """Return when a held alert is let go if nothing changes until then; None when that is so already."""
        recent = sorted(self.recent(changes, now), reverse=True)
        if len(recent) <= self.release_at:
            return None
        return recent[self.release_at] + self.within

    def recent(self, changes: Sequence[datetime], now: datetime) -> tuple[datetime, ...]:
        """Return the changes worth keeping, oldest first: within the window, and the newest ``hold_at`` of these."""
        return tuple(sorted(at for at in changes if at > now - self.within)[-self.hold_at :])
