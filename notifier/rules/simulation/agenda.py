"""Keep what is due when, and hand it out in order: by moment, then by kind, then as it was planned.

Knows nothing of what it keeps.
"""

import heapq
from collections.abc import Hashable
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum


class Phase(IntEnum):
    """What comes before what at one moment: first what is so, then what is told of it."""

    LAPSE = 0
    """Time alone changes an alert."""
    EVENT = 1
    """A timer or schedule makes an event."""
    SPEAK = 2
    """A group of alerts is looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """Something that is due."""

    at: datetime
    phase: Phase
    key: Hashable


@dataclass(slots=True)
class Agenda:
    """Everything that is due, each thing once; planning it again moves it."""

    _heap: list[tuple[datetime, Phase, int, Hashable]] = field(default_factory=list)
    _live: dict[tuple[Phase, Hashable], int] = field(default_factory=dict)
    _count: int = 0

    def plan(self, phase: Phase, key: Hashable, at: datetime | None) -> None:
        """Plan something, move it, or with no moment take it off."""
        if at is None:
            self._live.pop((phase, key), None)
            return
        self._count += 1
        self._live[phase, key] = self._count
        heapq.heappush(self._heap, (at, phase, self._count, key))

    def next(self) -> Item | None:
        """Return what is due first; it stays until it is taken."""
        while self._heap:
            at, phase, number, key = self._heap[0]
            if self._live.get((phase, key)) == number:
                return Item(at=at, phase=phase, key=key)
            heapq.heappop(self._heap)
        return None

    def take(self) -> Item:
        """Return what is due first, and take it off."""
        item = self.next()
        if item is None:
            raise LookupError("nothing is due")
        heapq.heappop(self._heap)
        del self._live[item.phase, item.key]
        return item
