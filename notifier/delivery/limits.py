"""Say how fast a flow may go: what the operator set, what was learned, whichever is less.

Pure: reads numbers, counts nothing.
"""

from notifier.delivery.destinations import WHOLE_RELAY
from notifier.setting_tables import RateLimits


def configured(limits: RateLimits | None, destination: str) -> float | None:
    """Return the rate an operator set for a destination, or the whole relay, in messages a second."""
    if limits is None:
        return None
    return limits.rate if destination == WHOLE_RELAY else limits.per_destination.get(destination)


def effective(limits: RateLimits | None, destination: str, learned: float | None) -> float | None:
    """Return how many messages a second may go, or None: as many as there are."""
    known = [one for one in (configured(limits, destination), learned) if one is not None]
    return min(known) if known else None
