"""Decide whether so many were seen within a sliding window.

A window is half open: it begins just after ``end - within`` and ends with the newest sighting. Never counts what is
not firing, and never looks at values.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from notifier.recipients.words import span
from notifier.rules.alerting.sightings import (
    Memory,
    Reading,
    Sighting,
    length,
    micros,
    moment,
    moment_or_none,
    remembered,
    seen_at,
)
from notifier.rules.alerting.tallies import NOTHING, Tally

KIND = "count"


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """Fires at ``at_least`` or more within ``within``, and is over when the window holds that many no longer.

    ``is_restarting`` is ElastAlert's frequency: the sightings that matched are used up and the key starts anew, so
    that five more are needed for the next match. Only the newest ``at_least`` sightings are kept: older ones cannot
    matter to a window that ends later. Beyond 480 different instants these are coarsened (see ``tallies``).
    """

    at_least: int
    within: timedelta
    is_restarting: bool = False

    def observe(self, memory: Memory | None, sighting: Sighting, now: datetime) -> Reading:
        """Count a firing sighting into the window; it may be older than others."""
        known = remembered(memory, KIND)
        seen, over = Tally.from_json(known.get("seen")), known.get("over")
        if not sighting.is_firing:
            return self._reading(seen, over, reason="not counted: only firing events are")
        seen = self._window(seen.plus(seen_at(sighting, now), max(0, sighting.count)))
        start = seen.reached(self.at_least)
        if start is not None:
            return self._matched(seen, start, over)
        if over is not None and seen.newest is not None and seen.newest >= over:
            return self._reading(seen, None, is_firing=False)
        return self._reading(seen, over)

    def tick(self, memory: Memory, now: datetime) -> Reading:
        """End the alert when the window has moved on; forget a key that was silent for a window."""
        known, at = remembered(memory, KIND), micros(now)
        seen, over = Tally.from_json(known.get("seen")), known.get("over")
        if seen.newest is not None and at - seen.newest > length(self.within):
            seen = NOTHING
        if over is not None and at >= over:
            # The sightings stay a while: one that comes late may still belong with them.
            still = seen.after(at - length(self.within))
            return self._reading(seen, None, is_firing=False, shown=still)
        return self._reading(seen, over)

    def _matched(self, seen: Tally, start: int, over: int | None) -> Reading:
        end = start + length(self.within)
        over_at = end if over is None else max(end, over)
        is_new = over is None or (seen.newest or 0) >= over
        return self._reading(
            NOTHING if self.is_restarting else seen.newest_of(self.at_least).bounded(length(self.within)),
            over_at,
            is_firing=True,
            matches=1 if is_new or self.is_restarting else 0,
            shown=seen,
        )

    def _window(self, seen: Tally) -> Tally:
        newest = seen.newest or 0
        return seen.after(newest - length(self.within)).bounded(length(self.within))

    def _reading(
        self,
        seen: Tally,
        over: int | None,
        *,
        is_firing: bool | None = None,
        matches: int = 0,
        reason: str | None = None,
        shown: Tally | None = None,
    ) -> Reading:
        count = min((seen if shown is None else shown).total(), self.at_least)
        return Reading(
            memory=_memory(seen, over),
            is_firing=is_firing,
            matches=matches,
            due_at=self._due(seen, over),
            reason=reason or self._words(count, is_firing=is_firing),
            facts={"count": count, "at_least": self.at_least},
        )

    def _due(self, seen: Tally, over: int | None) -> datetime | None:
        if over is not None:
            return moment(over)
        forget_at = None if seen.newest is None else seen.newest + 2 * length(self.within)
        return moment_or_none(forget_at)

    def _words(self, count: int, *, is_firing: bool | None) -> str:
        within = span(self.within)
        if is_firing:
            return f"{self.at_least} or more within {within} (>= {self.at_least})"
        return f"{count} within {within} (limit >= {self.at_least})"


def _memory(seen: Tally, over: int | None) -> Memory:
    if not seen and over is None:
        return {}
    kept: Memory = {"kind": KIND, "seen": seen.to_json()}
    return kept if over is None else {**kept, "over": over}
