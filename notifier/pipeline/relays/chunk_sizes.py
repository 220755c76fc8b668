"""Decide how many messages are claimed at once: what one connection to the relay takes in a second.

A slow relay's messages so spread over all connections, and a fast one's are enough that claiming them costs little.
Claims nothing.
"""

_SECONDS = 1.0
_FIRST = 20
_FEWEST = 4


class ChunkSizes:
    """How fast one connection to each relay takes messages, as this process sees it; shared by its threads."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._rates: dict[str, float] = {}

    def of(self, relay: str) -> int:
        """Return how many messages to claim for a relay."""
        rate = self._rates.get(relay)
        wanted = _FIRST if rate is None else max(_FEWEST, round(rate * _SECONDS))
        return min(wanted, self._most)

    def took(self, relay: str, messages: int, seconds: float) -> None:
        """Note how long a connection was busy with so many messages; the last chunks count most."""
        if messages and seconds > 0:
            rate = messages / seconds
            self._rates[relay] = (self._rates.get(relay, rate) + rate) / 2
