"""Know where a message goes: its relay, by routes, weights and who works; and its destination.

A relay that failed, or took nothing, for long is left to others, but for one message a second, which tries it.
"""

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from notifier.delivery.destinations import Destination, Destinations
from notifier.delivery.routes import choose, fitting, has_stand_in, named_tenants
from notifier.events import Urgency
from notifier.messages import ChannelName
from notifier.setting_tables import Route
from notifier.store.relays import RelayState

_FRESH_SECONDS = 1.0
"""How old what is known of relays may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """Where a message goes."""

    relay: str
    destination: Destination


@dataclass(frozen=True, slots=True, kw_only=True)
class Movable:
    """Whose messages of a relay, channel and urgency could go another way."""

    named: frozenset[str]
    """Tenants that some route names."""
    of_named: frozenset[str]
    """Those of them whose messages could."""
    others: bool
    """Whether those of all other tenants could."""

    @property
    def is_any(self) -> bool:
        """Say whether anybody's could."""
        return self.others or bool(self.of_named)


class Routing:
    """The way of each message.

    Args:
        routes: In order, the first that fits holds; without one, ``usual`` does.
        usual: (channel, urgency) → relay.
        states: Asks which relays fail.
        destinations: The mailbox providers.
        domain_key: Returns the key of the hash of small domains.
    """

    def __init__(
        self,
        *,
        routes: Sequence[Route],
        usual: Callable[[ChannelName, Urgency], str],
        states: Callable[[], Mapping[str, RelayState]],
        destinations: Destinations,
        domain_key: Callable[[], bytes],
    ) -> None:
        self._routes, self._usual, self._ask = tuple(routes), usual, states
        self._destinations, self._domain_key = destinations, domain_key
        self._lock, self._fresh_until = threading.Lock(), 0.0
        self._states: Mapping[str, RelayState] = {}
        self._probes: set[str] = set()

    @property
    def has_choice(self) -> bool:
        """Say whether any message could go more than one way."""
        return any(len(route.use) + len(route.failover) > 1 for route in self._routes)

    def way(self, channel: ChannelName, urgency: Urgency, tenant: str, message: UUID, address: str) -> Way:
        """Return where a new message goes."""
        destination = self._destinations.of(channel, address, self._domain_key())
        return Way(relay=self.relay(channel, urgency, tenant, message), destination=destination)

    def relay(self, channel: ChannelName, urgency: Urgency, tenant: str, message: UUID) -> str:
        """Return the relay of a message that is new, or handed over."""
        route = fitting(self._routes, channel, urgency, tenant)
        if route is None:
            return self._usual(channel, urgency)
        self._refresh()
        return choose(route, message, lambda relay: self._is_open(relay, urgency))

    def movable(self, relay: str, channel: ChannelName, urgency: Urgency) -> Movable:
        """Return whose messages, waiting at a relay, could go another way."""
        self._refresh()
        named = named_tenants(self._routes)
        could = {tenant for tenant in named if self._could(relay, channel, urgency, tenant)}
        # No tenant has an empty id: this asks for one that no route names.
        return Movable(
            named=named, of_named=frozenset(could), others=self._could(relay, channel, urgency, "")
        )

    @property
    def uses(self) -> frozenset[str]:
        """The relays that have messages of their own."""
        return frozenset(relay for route in self._routes for relay in route.use)

    @property
    def stand_ins(self) -> frozenset[str]:
        """The relays that stand in for others."""
        return frozenset(relay for route in self._routes for relay in route.failover)

    def returnable(
        self, relay: str, channel: ChannelName, urgency: Urgency, recovered: Collection[str]
    ) -> Movable:
        """Return whose messages, waiting at a relay that stands in, could go back to one that recovered."""
        self._refresh()

        def could(tenant: str) -> bool:
            route = fitting(self._routes, channel, urgency, tenant)
            return (
                route is not None and relay not in route.use and relay in route.failover
                and any(one in recovered for one in route.use)
            )  # fmt: skip

        named = named_tenants(self._routes)
        return Movable(named=named, of_named=frozenset(filter(could, named)), others=could(""))

    def _could(self, relay: str, channel: ChannelName, urgency: Urgency, tenant: str) -> bool:
        route = fitting(self._routes, channel, urgency, tenant)
        return route is not None and has_stand_in(route, relay, self._works)

    def _works(self, relay: str) -> bool:
        state = self._states.get(relay)
        return state is None or not state.is_down

    def _is_open(self, relay: str, urgency: Urgency) -> bool:
        """Say whether a message may go to the relay: it works, or somebody must find out, and this one has time.

        An urgent one has none, unless no other came for long: else the relay would never be used again.
        """
        state = self._states.get(relay)
        if state is None or not state.is_down:
            return True
        with self._lock:
            has_time = urgency is not Urgency.URGENT or state.is_untried
            is_probe = relay in self._probes and has_time
            if is_probe:
                self._probes.discard(relay)
        return is_probe

    def _refresh(self) -> None:
        """Ask again which relays fail, if what is known is too old; not where there is no choice anyway."""
        if not self.has_choice or time.monotonic() < self._fresh_until:
            return
        with self._lock:
            if time.monotonic() < self._fresh_until:
                return
            self._states = self._ask()
            self._probes = {name for name, one in self._states.items() if one.is_down and not one.is_resting}
            self._fresh_until = time.monotonic() + _FRESH_SECONDS
