"""Count what one client does wrong, and stop listening to it for a while.

In memory and per process: it keeps guessing and hammering off the database, and is no accounting.
"""

import threading
import time
from collections.abc import Callable

from cachetools import TTLCache
from fastapi import Request

_CLIENTS = 10_000


def client_of(request: Request) -> str:
    """Return the address a request came from, as the proxy before us tells it where it is trusted; empty: unknown."""
    return request.client.host if request.client is not None else ""


class Throttle:
    """Lets each client do ``limit`` things in any window that begins with the first of them."""

    def __init__(
        self, limit: int, *, seconds: float = 60, timer: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit, self._lock = limit, threading.Lock()
        self._counts: TTLCache[str, list[int]] = TTLCache(_CLIENTS, ttl=seconds, timer=timer)

    def is_open(self, client: str) -> bool:
        """Tell whether the client may go on."""
        with self._lock:
            return self._counts.get(client, [0])[0] < self._limit

    def count(self, client: str) -> None:
        """Note one more."""
        with self._lock:
            # The entry is changed, never set anew: its time runs from the first.
            entry = self._counts.get(client)
            if entry is None:
                self._counts[client] = entry = [0]
            entry[0] += 1
