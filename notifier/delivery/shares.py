"""Share a chunk out among the flows that have something due: in turn by tenant, within a tenant by destination.

Pure arithmetic over counts: one tenant's hundred thousand mails do not delay another's ten.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Due:
    """How much a tenant has due for a destination, counted up to the size of a chunk."""

    destination: str
    tenant: str
    count: int


def shares(
    due: Sequence[Due], limit: int, allowed: Mapping[str, int] | None = None
) -> dict[tuple[str, str], int]:
    """Return how many to take of each (destination, tenant).

    As many as there are, at most ``limit`` together and ``allowed`` for each destination named in it. Among tenants
    the shares differ by one at most, but for those who have less due or whose destinations allow less. The first
    tenant in ``due`` has the first turn; whoever had the last one stands last in what is returned.
    """
    room = dict(allowed or {})
    if len(due) == 1:
        one = due[0]
        count = min(one.count, limit, room.get(one.destination, limit))
        return {(one.destination, one.tenant): count} if count > 0 else {}
    taken: dict[tuple[str, str], int] = {}
    turns = _turns(due)
    while turns and limit:
        flows = turns.popleft()
        while flows:
            one, left = flows.popleft()
            if left > 0 and room.get(one.destination, 1) > 0:
                key = (one.destination, one.tenant)
                taken[key] = taken.pop(key, 0) + 1
                limit -= 1
                if one.destination in room:
                    room[one.destination] -= 1
                flows.append((one, left - 1))
                turns.append(flows)
                break
    return taken


def wanted(due: Sequence[Due], limit: int) -> dict[str, int]:
    """Return how many of each destination could be taken at most."""
    total: dict[str, int] = {}
    for one in due:
        total[one.destination] = min(limit, total.get(one.destination, 0) + one.count)
    return total


def _turns(due: Sequence[Due]) -> deque[deque[tuple[Due, int]]]:
    by_tenant: dict[str, deque[tuple[Due, int]]] = {}
    for one in due:
        by_tenant.setdefault(one.tenant, deque()).append((one, one.count))
    return deque(by_tenant.values())
