"""Decide when what waits for a person is told together.

Pure: the caller keeps what waits, and takes out only what was told.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from enum import StrEnum

from notifier.recipients.local_times import EVERY_DAY, next_of, write_weekdays, zone_of
from notifier.recipients.words import span


class Gather(StrEnum):
    """What a person chose for a category."""

    NONE = "none"
    """Each by itself, at once, although a digest of all categories was chosen."""
    ACCUMULATE = "accumulate"
    """Nothing by itself: all together, later."""
    FIRST_NOW = "first_now"
    """The first at once; what follows soon after it together, later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DigestPolicy:
    """How a category is gathered: over a length of time, or until local times of day.

    Raises:
        ValueError: it has neither or both, or can never come.
    """

    gather: Gather
    every: timedelta | None = None
    at: tuple[time, ...] = ()
    weekdays: frozenset[int] = EVERY_DAY
    """On which ``at`` holds; 0 is Monday."""

    def __post_init__(self) -> None:
        if self.gather is Gather.NONE:
            if self.every is not None or self.at:
                raise ValueError("what is not gathered has no times: leave out every and at")
        elif (self.every is None) == (not self.at):
            raise ValueError("needs exactly one of every and at")
        if self.every is not None and self.every <= timedelta(0):
            raise ValueError("every must be longer than nothing")
        if not self.weekdays:
            raise ValueError("weekdays must name at least one")

    def __str__(self) -> str:
        if self.every is not None:
            return f"every {span(self.every)}"
        times = ", ".join(f"{one:%H:%M}" for one in sorted(self.at))
        days = "" if self.weekdays == EVERY_DAY else f" on {', '.join(write_weekdays(self.weekdays))}"
        return f"at {times}{days}"

    @property
    def slack(self) -> timedelta:
        """How far ahead of now the last digest may lie: two clocks that differ, not one set back."""
        return self.every or timedelta(days=1)

    def next_after(self, at: datetime, zone: str | None) -> datetime:
        """Return the first time for a digest after ``at``."""
        if self.every is not None:
            return at + self.every
        return next_of(self.at, self.weekdays, zone_of(zone), at)


def plan(
    policy: DigestPolicy,
    waiting: Sequence[datetime],
    last_sent_at: datetime | None,
    now: datetime,
    *,
    zone: str | None = None,
) -> datetime | None:
    """Return when what waits is due, never before ``now``; None where nothing waits.

    Args:
        policy: What the person chose.
        waiting: When each thing that waits arrived.
        last_sent_at: When the person was last told of this: a digest, or a first one told at once.
        now: The moment it is.
        zone: The person's, for local times of day.
    """
    if not waiting:
        return None
    # A moment far ahead is of a clock that was set back: it must hold nothing until then.
    told = last_sent_at if last_sent_at is not None and last_sent_at - now <= policy.slack else None
    oldest = min(*waiting, now)
    if policy.gather is Gather.ACCUMULATE:
        return max(now, policy.next_after(oldest if told is None else max(oldest, told), zone))
    if policy.gather is Gather.FIRST_NOW and told is not None:
        return max(now, policy.next_after(told, zone))
    return now
