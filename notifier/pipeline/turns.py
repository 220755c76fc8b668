"""Let all who have something due have their turn, however many they are: each look goes on where the last ended.

Decides no shares and takes nothing.
"""

from collections.abc import Sequence

from notifier.delivery.shares import Due
from notifier.store import turns
from notifier.store.database import Connection
from notifier.store.turns import BEGINNING, Flow, Look


class Turns:
    """Who had the last turn, by relay, channel and lane; kept by the process, shared by its threads."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str, str], Flow] = {}

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
        """Return the next flows that have something due, at most ``limit``; nobody has where there are none."""
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
                return list(found.values())[:limit]
            is_second_lap = is_second_lap or seen.last is None


def _is_over(seen: Look, *, has_found: bool, is_second_lap: bool, start: Flow) -> bool:
    """Say whether to look no further: something was found, or everybody was asked."""
    if seen.last is None:
        return is_second_lap
    return has_found or (is_second_lap and start != BEGINNING and seen.last >= start)
