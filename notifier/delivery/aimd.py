"""Learn how fast a flow may go: much less after a refusal, a little more while all it may is used up.

Additive increase, multiplicative decrease, as TCP does (RFC 5681 §3.1): it finds the other side's limit, whatever
that is, and shares it. Pure arithmetic: no clock, no database.
"""

from dataclasses import dataclass
from datetime import timedelta

FLOOR = 1 / 60
"""One message a minute: slower than that nobody learns when a limit is gone."""
_LESS, _MUCH_LESS = 0.7, 0.5
_STEP = 0.05
_LONGEST_STEP = 2.0
_FIRST_REST, _LONGEST_REST, _LONGEST_HINT = timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """What was learned of a flow."""

    rate: float
    """Messages a second."""
    step: float
    """How much more a second each second brings: a part of what was taken before the refusals in a row began."""
    refusals: int
    """Rounds of refusals since the last message that was taken."""


def after_refusal(before: Pace | None, observed: float) -> Pace:
    """Return the pace after a round of refusals.

    Args:
        before: What was learned earlier; None where this is the first refusal.
        observed: How many messages a second it took just before.
    """
    if before is not None and before.refusals:
        # Refused again before anything was taken: the guess is far off, or the other side takes nothing for a while.
        # The step stays: else a storm of minutes would be followed by hours at the pace it was left at.
        slower = max(FLOOR, before.rate * _MUCH_LESS)
        return Pace(rate=slower, step=before.step, refusals=before.refusals + 1)
    slower = max(FLOOR, (observed if before is None else before.rate) * _LESS)
    return Pace(rate=slower, step=slower * _STEP, refusals=1)


def after_success(before: Pace, seconds: float, *, was_the_limit: bool) -> Pace:
    """Return the pace after messages were taken, ``seconds`` after it last changed.

    It grows only where it was what limited the flow: else nothing was learned about a higher one.
    """
    gained = before.step * min(max(seconds, 0.0), _LONGEST_STEP) if was_the_limit else 0.0
    return Pace(rate=before.rate + gained, step=before.step, refusals=0)


def rest(pace: Pace, hint: timedelta | None) -> timedelta:
    """Return how long the flow rests after a refusal: as the other side asked, else longer each time."""
    if hint is not None:
        return min(max(hint, _FIRST_REST), _LONGEST_HINT)
    return min(_FIRST_REST * (1 << min(pace.refusals - 1, 10)), _LONGEST_REST)
