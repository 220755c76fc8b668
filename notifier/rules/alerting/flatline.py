"""Decide whether too few were seen within a sliding window.

Only time makes too few: a look finds it, a sighting can merely end it. Never counts what is not firing.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from notifier.recipients.words import span
from notifier.rules.alerting.sightings import (
    Memory,
    Reading,
    Sighting,
    length,
    micros,
    moment_or_none,
    remembered,
    seen_at,
)
from notifier.rules.alerting.tallies import NOTHING, Tally

KIND = "flatline"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flatline:
    """Fires at fewer than ``fewer_than`` within ``within``, not before one full window since the first sighting.

    A first look at an empty memory counts as the first sighting: that is how a rule without a key is armed before
    anything came. Every later look at too few is a match again, while the alert goes on firing. With
    ``is_forgetting`` the key is forgotten once it matched, and is new when it is seen again.

    Only the newest ``fewer_than`` sightings are kept; beyond 480 instants they are coarsened (see ``tallies``).
    """

    fewer_than: int
    within: timedelta
    is_forgetting: bool = False

    def observe(self, memory: Memory | None, sighting: Sighting, now: datetime) -> Reading:
        """Take in one firing sighting; ends the alert when it makes the window full enough."""
        state = _State.of(memory)
        if not sighting.is_firing:
            return self._reading(state, reason="not counted: only firing events are")
        at, is_first = seen_at(sighting, now), state.first is None
        state = replace(
            state,
            seen=state.seen.plus(at, max(0, sighting.count)),
            first=at if state.first is None else state.first,
            until=max(at, state.until),
        )
        state, count = self._within(state)
        if count >= self.fewer_than and state.is_low:
            return self._reading(replace(state, is_low=False), count, is_firing=False)
        # Whoever forgets does not know whether the alert of this key still stands: it ends with the next sighting.
        is_over = self.is_forgetting and is_first
        return self._reading(state, count, is_firing=False if is_over else None)

    def tick(self, memory: Memory, now: datetime) -> Reading:
        """Look: too few within the window that ends now?"""
        state, at = _State.of(memory), micros(now)
        first = at if state.first is None else state.first
        state, count = self._within(replace(state, first=first, until=max(at, state.until)))
        if state.until - first < length(self.within):
            return self._reading(state, count)
        if count >= self.fewer_than:
            is_back = state.is_low
            return self._reading(replace(state, is_low=False), count, is_firing=False if is_back else None)
        left = _State() if self.is_forgetting else replace(state, is_low=True)
        return self._reading(left, count, is_firing=True, matches=1)

    def _within(self, state: "_State") -> tuple["_State", int]:
        seen = state.seen.after(state.until - length(self.within))
        kept = seen.newest_of(self.fewer_than).bounded(length(self.within))
        return replace(state, seen=kept), seen.total()

    def _reading(
        self,
        state: "_State",
        count: int | None = None,
        *,
        is_firing: bool | None = None,
        matches: int = 0,
        reason: str | None = None,
    ) -> Reading:
        shown = min(state.seen.total() if count is None else count, self.fewer_than)
        limit = f"< {self.fewer_than}" if is_firing else f"limit < {self.fewer_than}"
        return Reading(
            memory=state.to_json(),
            is_firing=is_firing,
            matches=matches,
            due_at=self._due(state),
            reason=reason or f"{shown} within {span(self.within)} ({limit})",
            facts={"count": shown, "fewer_than": self.fewer_than},
        )

    def _due(self, state: "_State") -> datetime | None:
        if state.first is None or state.is_low:
            return None
        full = state.seen.reached(self.fewer_than)
        start = state.first if full is None else max(full, state.first)
        return moment_or_none(start + length(self.within))


@dataclass(frozen=True, slots=True, kw_only=True)
class _State:
    seen: Tally = NOTHING
    first: int | None = None
    until: int = 0
    is_low: bool = False

    @classmethod
    def of(cls, memory: Memory | None) -> "_State":
        known = remembered(memory, KIND)
        return cls(
            seen=Tally.from_json(known.get("seen")),
            first=known.get("first"),
            until=known.get("until", 0),
            is_low=known.get("low", False),
        )

    def to_json(self) -> Memory:
        if self.first is None:
            return {}
        return {
            "kind": KIND,
            "seen": self.seen.to_json(),
            "first": self.first,
            "until": self.until,
            "low": self.is_low,
        }
