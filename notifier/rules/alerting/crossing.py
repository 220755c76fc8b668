"""Decide whether a value went past a limit: once per crossing, with hysteresis.

Never quotes the value: it may be somebody's balance.
"""

import math
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from notifier.events import Json
from notifier.rules.alerting.sightings import Memory, Reading, Sighting, remembered, seen_at

KIND = "crossing"


class Side(StrEnum):
    """On which side of the limit a value is bad."""

    BELOW = "below"
    ABOVE = "above"


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """Fires when a value is past ``limit``; a value that equals the limit is not.

    It is armed again, and the alert over, only when a value reaches ``rearm`` on the good side (default: the limit
    itself). Between the two nothing happens. A value that is past the limit when first seen fires as well. A sighting
    older than the newest one is history and changes nothing, and so does a value that is missing or no number.
    """

    limit: float
    side: Side = Side.BELOW
    rearm: float | None = None

    def observe(self, memory: Memory | None, sighting: Sighting, now: datetime) -> Reading:
        """Compare one value with the limit."""
        known, at = remembered(memory, KIND), seen_at(sighting, now)
        kept = memory if memory and memory.get("kind") == KIND else {}
        problem = _problem(sighting.value)
        if problem:
            return self._silent(kept, problem)
        if at < known.get("at", at):
            return self._silent(kept, "older than the newest value: changes nothing")
        was_past = known.get("past", False)
        is_past = self._is_past(sighting.value, was_past=was_past)
        changed: Memory = {"kind": KIND, "at": at, "past": is_past}
        if is_past == was_past:
            # What is still past the limit keeps its alert alive, and up to date; it is no crossing.
            words = f"still {self._words(is_past=is_past)}"
            return replace(self._silent(changed, words), is_firing=True if is_past else None)
        return Reading(
            memory=changed,
            is_firing=is_past,
            matches=1 if is_past else 0,
            reason=f"now {self._words(is_past=is_past)}",
            facts=self._limits(),
        )

    def tick(self, memory: Memory, now: datetime) -> Reading:  # noqa: ARG002  time changes no value
        """Say nothing: a value stays what it is."""
        return self._silent(memory, "time changes no value")

    def _is_past(self, value: float, *, was_past: bool) -> bool:
        edge = self._back if was_past else self.limit
        return value < edge if self.side is Side.BELOW else value > edge

    @property
    def _back(self) -> float:
        return self.limit if self.rearm is None else self.rearm

    def _words(self, *, is_past: bool) -> str:
        past = f"{self.side.value} {self.limit:.15g}"
        direction = "more" if self.side is Side.BELOW else "less"
        return f"{past} (over at {self._back:.15g} or {direction})" if is_past else f"not {past}"

    def _silent(self, memory: Memory, reason: str) -> Reading:
        return Reading(memory=memory, reason=reason, facts=self._limits())

    def _limits(self) -> dict[str, Json]:
        return {"side": self.side.value, "limit": self.limit, "rearm": self._back}


def _problem(value: Json) -> str | None:
    if value is None:
        return "the field is missing"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"the field is no number ({type(value).__name__})"
    return None if isinstance(value, int) or math.isfinite(value) else "the field is no finite number"
