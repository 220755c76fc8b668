"""Decide whether much more or much less was seen than in the window before.

Never says anything before two full windows were seen; counts firing sightings only.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

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

KIND = "spike"

# A look costs a task: between two of them lies at least this part of the window.
_LOOKS_PER_WINDOW = 60
# A key that was silent for so long is new when it comes back: rows of dead keys do not pile up.
_FORGOTTEN_AFTER_WINDOWS = 10


class Direction(StrEnum):
    """Which way a count must leap."""

    UP = "up"
    DOWN = "down"
    BOTH = "both"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spike:
    """Fires when a window holds ``height`` times what the one before held, or one ``height``-th of it.

    The current window ends with the newest sighting or look; both windows are half open, ``within`` long. Counts
    below ``min_now`` or ``min_before`` are too few to say anything, and nothing after nothing is no spike. After a
    match the key starts anew: it is silent until two more windows were seen, and the alert is over one window later.

    With ``is_new_key_told`` a key that is new needs no two windows once another key of the rule has seen them.

    With ``is_pause_skipped`` the window before ends with the newest sighting or look that the current one no longer
    holds, so that after a pause what comes is compared with what was before it, as ElastAlert does.

    Up to 480 instants a window is exact; beyond that they are coarsened (see ``tallies``). A fall that only time
    brings about is found up to a 60th of a window late.
    """

    within: timedelta
    height: float
    direction: Direction = Direction.BOTH
    min_now: int = 0
    min_before: int = 0
    is_new_key_told: bool = False
    is_pause_skipped: bool = False

    def observe(self, memory: Memory | None, sighting: Sighting, now: datetime) -> Reading:
        """Take in one firing sighting and compare."""
        state = _State.of(memory)
        if not sighting.is_firing:
            return self._reading(state, reason="not counted: only firing events are")
        at = seen_at(sighting, now)
        state = self._moved(state, at, max(0, sighting.count))
        return self._judged(state, is_rule_warm=sighting.is_rule_warm)

    def tick(self, memory: Memory, now: datetime) -> Reading:
        """Look: has time alone made a fall, ended the alert, or left a dead key?"""
        state, at = _State.of(memory), micros(now)
        if state.heard is None or at - state.heard >= _FORGOTTEN_AFTER_WINDOWS * length(self.within):
            return Reading(
                memory={}, is_firing=None if state.over is None else False, reason="silent for long"
            )
        return self._judged(self._moved(state, at, 0), is_rule_warm=False)

    def _moved(self, state: "_State", at: int, count: int) -> "_State":
        """Return the windows with one entry more, moved up to the newest."""
        width = length(self.within)
        current = state.current.plus(at, count)
        end = current.newest or at
        before = state.before
        for gone_at, gone in current.until(end - width).pairs:
            before = before.plus(gone_at, gone)
        before_end = (before.newest or 0) if self.is_pause_skipped else end - width
        return replace(
            state,
            current=current.after(end - width).bounded(width),
            before=before.after(before_end - width).bounded(width),
            first=end if state.first is None else state.first,
            heard=max(at, state.heard or at) if count else state.heard or at,
        )

    def _judged(self, state: "_State", *, is_rule_warm: bool) -> Reading:
        if self._may_speak(state, is_rule_warm=is_rule_warm) and self._leap(state) is not None:
            return self._matched(state)
        if state.over is not None and state.end >= state.over:
            return self._reading(replace(state, over=None), is_firing=False)
        return self._reading(state)

    def _may_speak(self, state: "_State", *, is_rule_warm: bool) -> bool:
        if self._is_warm(state):
            return True
        is_quiet = state.quiet is not None and state.end < state.quiet
        return is_rule_warm and self.is_new_key_told and not is_quiet

    def _is_warm(self, state: "_State") -> bool:
        return state.first is not None and state.end - state.first >= 2 * length(self.within)

    def _leap(self, state: "_State") -> Direction | None:
        now, before = state.current.total(), state.before.total()
        if now < self.min_now or before < self.min_before or now == before == 0:
            return None
        if self.direction is not Direction.DOWN and now >= before * self.height:
            return Direction.UP
        if self.direction is not Direction.UP and now * self.height <= before:
            return Direction.DOWN
        return None

    def _matched(self, state: "_State") -> Reading:
        width = length(self.within)
        since = next(_counted(state.current), state.end)
        anew = replace(state, before=NOTHING, first=None, quiet=since + 2 * width, over=state.end + width)
        return replace(
            self._reading(state), memory=anew.to_json(), is_firing=True, matches=1, due_at=self._due(anew)
        )

    def _reading(
        self, state: "_State", *, is_firing: bool | None = None, reason: str | None = None
    ) -> Reading:
        return Reading(
            memory=state.to_json(),
            is_firing=is_firing,
            due_at=self._due(state),
            reason=reason or self._words(state),
            facts={
                "now": state.current.total(),
                "before": state.before.total(),
                "is_warm": self._is_warm(state),
            },
        )

    def _due(self, state: "_State") -> datetime | None:
        if state.heard is None:
            return None
        candidates = [state.heard + _FORGOTTEN_AFTER_WINDOWS * length(self.within)]
        candidates += [] if state.over is None else [state.over]
        candidates += [] if self.is_pause_skipped else self._next_change(state)
        return moment_or_none(min(candidates))

    def _next_change(self, state: "_State") -> list[int]:
        """Return when time alone can next change what the windows hold, if ever."""
        width = length(self.within)
        leaving = [at + width for at in _counted(state.current)][:1]
        leaving += [at + 2 * width for at in _counted(state.before)][:1]
        if not leaving:
            return []
        # Nothing can be said before the key has seen two windows.
        warm = (state.end if state.first is None else state.first) + 2 * width
        return [max(min(leaving), state.end + max(1, width // _LOOKS_PER_WINDOW), warm)]

    def _words(self, state: "_State") -> str:
        within = span(self.within)
        numbers = f"{state.current.total()} within {within}, {state.before.total()} in the {within} before"
        return f"{numbers} ({self.direction.value}, >= {self.height:g} times)"


@dataclass(frozen=True, slots=True, kw_only=True)
class _State:
    current: Tally
    before: Tally
    first: int | None
    heard: int | None
    quiet: int | None
    over: int | None

    @property
    def end(self) -> int:
        return self.current.newest or 0

    @classmethod
    def of(cls, memory: Memory | None) -> "_State":
        known = remembered(memory, KIND)
        return cls(
            current=Tally.from_json(known.get("current")),
            before=Tally.from_json(known.get("before")),
            first=known.get("first"),
            heard=known.get("heard"),
            quiet=known.get("quiet"),
            over=known.get("over"),
        )

    def to_json(self) -> Memory:
        if self.heard is None:
            return {}
        return {
            "kind": KIND,
            "current": self.current.to_json(),
            "before": self.before.to_json(),
            "first": self.first,
            "heard": self.heard,
            "quiet": self.quiet,
            "over": self.over,
        }


def _counted(tally: Tally) -> Iterator[int]:
    return (at for at, count in tally.pairs if count)
