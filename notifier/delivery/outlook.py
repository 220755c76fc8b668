"""Say when a backlog will be gone, if it goes on like this.

Pure arithmetic; what comes in meanwhile is not foreseen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

_NEVER_SECONDS = 365 * 86_400.0
"""Longer is no answer to plan by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """So many messages at so many a second."""

    waiting: int
    rate: float


def drains_at(
    now: datetime,
    drains: Sequence[Drain],
    rests_until: datetime | None = None,
    last_due: datetime | None = None,
) -> datetime | None:
    """Return when the slowest of the limits will have let all through; None where nobody can say.

    Args:
        now: The moment.
        drains: A flow's own limit, and that of the relay with all that waits for it, as far as they are known.
        rests_until: Nothing goes before then.
        last_due: The last message does not go before then.
    """
    if not drains or any(one.rate <= 0 for one in drains):
        return None
    seconds = max(one.waiting / one.rate for one in drains)
    begin = max(now, rests_until or now)
    if seconds + (begin - now).total_seconds() > _NEVER_SECONDS:
        return None
    return max(begin + timedelta(seconds=seconds), last_due or now)
