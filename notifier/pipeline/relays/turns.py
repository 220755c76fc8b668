"""Let all who have something due have their turn, however many they are and however few may go at a time.

Each look goes on where the last ended. Decides no limits and takes nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from notifier.delivery.shares import Due, shares
from notifier.store import turns
from notifier.store.database import Connection
from notifier.store.turns import BEGINNING, Flow, Look

_REMEMBERED = 10_000
"""So many tenants of a lane, and destinations with too few turns, at most."""


@dataclass(slots=True)
class _Served:
    """Who had a turn last, where there was not one for all."""

    tenant: str = ""
    destinations: dict[str, str] = field(default_factory=dict)
    """Tenant → its destination that had one last."""
    tenants: dict[str, str] = field(default_factory=dict)
    """Destination with too few turns → the tenant that had its last one."""


class Turns:
    """Who had the last turn, by relay, channel and lane; kept by the process, shared by its threads."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str, str], Flow] = {}
        self._served: dict[tuple[str, str, str], _Served] = {}

    def next(
        self,
        connection: Connection,
        *,
        relay: str,
        channel: str,
        lane: str,
        limit: int,
        resting: Sequence[str],
    ) -> list[Due]:
        """Return the next flows that have something due, at most ``limit``; nobody has where there are none.

        Those behind who was :meth:`served` last come first.
        """
        key = (relay, channel, lane)
        start = after = self._last.get(key, BEGINNING)
        found: dict[Flow, Due] = {}
        is_second_lap = start == BEGINNING
        while True:
            seen = turns.look(
                connection, relay=relay, channel=channel, lane=lane, limit=limit, after=after, resting=resting
            )
            found.update({(one.destination, one.tenant): one for one in seen.due})
            self._last[key] = after = seen.last or BEGINNING
            if _is_over(seen, has_found=bool(found), is_second_lap=is_second_lap, start=start):
                return self._in_turn(key, list(found.values())[:limit])
            is_second_lap = is_second_lap or seen.last is None

    def served(self, flows: Iterable[Flow], *, relay: str, channel: str, lane: str) -> None:
        """Note who had a turn, in order, where there was not one for all: the others come first next time."""
        key = (relay, channel, lane)
        served = self._served.setdefault(key, _Served())
        if len(served.destinations) > _REMEMBERED:
            served.destinations.clear()
        for flow in flows:
            destination, served.tenant = flow
            served.destinations[served.tenant] = destination
            # Where not all were seen, the next look begins behind the last that had a turn.
            if self._last.get(key, BEGINNING) != BEGINNING:
                self._last[key] = flow

    def narrowed(
        self,
        connection: Connection,
        due: Iterable[Due],
        destination: str,
        count: int,
        *,
        relay: str,
        channel: str,
        lane: str,
    ) -> list[Due]:
        """Return what is due, of a destination only what has its next ``count`` turns.

        A destination has turns of its own: who gets them must not depend on where a look at all of them began.
        """
        key = (relay, channel, lane)
        served = self._served.setdefault(key, _Served())
        found: dict[str, Due] = {}
        for after in dict.fromkeys((served.tenants.get(destination, ""), "")):
            place: Flow | None = (destination, after)
            while count and place is not None and place[0] == destination and len(found) < count:
                seen = turns.look(
                    connection, relay=relay, channel=channel, lane=lane, limit=count, after=place
                )
                found.update((one.tenant, one) for one in seen.due if one.destination == destination)
                place = seen.last
        taken = shares(list(found.values())[:count], count)
        if len(served.tenants) > _REMEMBERED:
            served.tenants.clear()
        for _, tenant in taken:
            served.tenants[destination] = tenant
        others = [one for one in due if one.destination != destination]
        return self._in_turn(key, [*others, *(Due(*flow, much) for flow, much in taken.items())])

    def _in_turn(self, key: tuple[str, str, str], due: list[Due]) -> list[Due]:
        """Order flows: tenants behind the one served last first, and so the destinations of each."""
        served = self._served.get(key)
        if served is not None and len(due) > 1:
            last = served.destinations
            due.sort(
                key=lambda one: (
                    one.tenant <= served.tenant, one.tenant,
                    one.destination <= last.get(one.tenant, ""), one.destination,
                )
            )  # fmt: skip
        return due


def _is_over(seen: Look, *, has_found: bool, is_second_lap: bool, start: Flow) -> bool:
    """Say whether to look no further: something was found, or everybody was asked."""
    if seen.last is None:
        return is_second_lap
    return has_found or (is_second_lap and start != BEGINNING and seen.last >= start)
