"""Choose which relay takes a message: the first route that fits it, then by weight, then whoever stands in.

Pure: which relays are open comes in; nothing is looked up, and no dice are thrown.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import blake2b
from uuid import UUID

from notifier.events import Urgency
from notifier.messages import ChannelName
from notifier.setting_tables import Route


def fitting(routes: Sequence[Route], channel: ChannelName, urgency: Urgency, tenant: str) -> Route | None:
    """Return the first route for such a message, or None."""
    for route in routes:
        is_tenant = not route.tenants or tenant in route.tenants
        is_urgency = not route.urgency or urgency in route.urgency
        if route.channel is channel and is_tenant and is_urgency:
            return route
    return None


def choose(route: Route, message: UUID, is_open: Callable[[str], bool]) -> str:
    """Return the relay for a message.

    By weight among the open ones of ``use``; else the first open one of ``failover``; where none is open, the
    one it would have without all this: there it waits.
    """
    ranked = _ranked(route.use, message)
    return next(filter(is_open, (*ranked, *route.failover)), ranked[0])


def has_stand_in(route: Route, relay: str, is_open: Callable[[str], bool]) -> bool:
    """Tell whether something waiting at ``relay`` could go another way."""
    return any(other != relay and is_open(other) for other in (*route.use, *route.failover))


def named_tenants(routes: Iterable[Route]) -> frozenset[str]:
    """Return the tenants some route names; all others are alike."""
    return frozenset(tenant for route in routes for tenant in route.tenants)


def _ranked(weights: Mapping[str, int], message: UUID) -> list[str]:
    """Return the relays, the message's own first.

    Weighted rendezvous hashing: each relay is first for its share of all messages, and where one drops out only
    its own messages move, to the others by weight.
    """
    return sorted(weights, key=lambda relay: _score(relay, weights[relay], message), reverse=True)


def _score(relay: str, weight: int, message: UUID) -> float:
    number = int.from_bytes(blake2b(message.bytes + relay.encode(), digest_size=6).digest())
    # Within (0, 1), never at an end: neither has a logarithm to divide by.
    return -weight / math.log((number + 0.5) / 2**48)
