"""Keep how many were seen when, in little room and whatever the order of arrival.

Never asks the clock and never decides what a number means.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable
from dataclasses import dataclass

from notifier.events import Json

EXACT_INSTANTS = 480
"""Up to so many different instants a tally is exact."""

BUCKETS = 240
"""Beyond that, instants within one 240th of the tally's span become one, the newest of them."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts by instant (microseconds), oldest first; an instant stands once.

    Coarsening moves a count to the newest instant of its bucket: it then stays in a window for up to a 240th of the
    span too long, never too short, and no count is lost.
    """

    pairs: tuple[tuple[int, int], ...] = ()

    @classmethod
    def from_json(cls, value: Json) -> "Tally":
        """Read what ``to_json`` wrote; nothing is an empty tally."""
        return cls(tuple(map(tuple, value or ())))

    def to_json(self) -> Json:
        """Return pairs of instant and count."""
        return list(map(list, self.pairs))

    def __bool__(self) -> bool:
        return bool(self.pairs)

    @property
    def newest(self) -> int | None:
        """The newest instant."""
        return self.pairs[-1][0] if self.pairs else None

    def plus(self, at: int, count: int) -> "Tally":
        """Return the tally with one more entry; zero counts are kept, they say that somebody looked."""
        if not self.pairs or at > self.pairs[-1][0]:
            return Tally((*self.pairs, (at, count)))
        place = bisect_left(self.pairs, (at,))
        if place < len(self.pairs) and self.pairs[place][0] == at:
            merged = (at, self.pairs[place][1] + count)
            return Tally((*self.pairs[:place], merged, *self.pairs[place + 1 :]))
        pairs = list(self.pairs)
        insort(pairs, (at, count))
        return Tally(tuple(pairs))

    def after(self, instant: int) -> "Tally":
        """Return what lies later than ``instant``."""
        return Tally(self.pairs[self._first_after(instant) :])

    def until(self, instant: int) -> "Tally":
        """Return what lies at or before ``instant``."""
        return Tally(self.pairs[: self._first_after(instant)])

    def total(self) -> int:
        """Return the sum of the counts."""
        return sum(count for _, count in self.pairs)

    def reached(self, wanted: int) -> int | None:
        """Return the instant at which ``wanted`` are there, counted back from the newest; None when too few are."""
        sum_so_far = 0
        for at, count in reversed(self.pairs):
            sum_so_far += count
            if sum_so_far >= wanted:
                return at
        return None

    def newest_of(self, wanted: int) -> "Tally":
        """Return the newest entries that ``wanted`` need; no window that ends later misses the others."""
        start = self.reached(wanted)
        return self if start is None else Tally(self.pairs[bisect_left(self.pairs, (start,)) :])

    def bounded(self, span: int) -> "Tally":
        """Return the tally, coarsened when it has too many instants; ``span`` is how far back it is kept."""
        if len(self.pairs) <= EXACT_INSTANTS:
            return self
        return Tally(tuple(_merged(self.pairs, max(1, -(-span // BUCKETS)))))

    def _first_after(self, instant: int) -> int:
        return bisect_right(self.pairs, instant, key=lambda pair: pair[0])


NOTHING = Tally()
"""Nobody was seen."""


def _merged(pairs: Iterable[tuple[int, int]], width: int) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for at, count in pairs:
        if merged and merged[-1][0] // width == at // width:
            merged[-1] = (at, merged[-1][1] + count)
        else:
            merged.append((at, count))
    return merged
