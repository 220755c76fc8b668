"""Count how many messages may go now: a bucket that fills at a rate, and from which each message takes a token.

Pure: the clock is passed in. The same arithmetic is done in Redis, for all processes together.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """A bucket as it was ``at`` (seconds, of any clock that only goes forward)."""

    level: float
    at: float

    def take(self, rate: float, wanted: int, now: float) -> tuple["Bucket", int]:
        """Return the bucket afterwards, and how many of the wanted tokens there were."""
        level = min(burst(rate), self.level + max(0.0, now - self.at) * rate)
        granted = min(wanted, int(level))
        return Bucket(level=level - granted, at=now), granted


def burst(rate: float) -> float:
    """Return how many tokens a bucket holds: a second's worth, as beat rings each second, and a part of one kept."""
    return rate + 1.0


def full(rate: float, now: float) -> Bucket:
    """Return a new bucket."""
    return Bucket(level=burst(rate), at=now)
