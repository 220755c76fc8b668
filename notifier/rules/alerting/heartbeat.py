"""Decide whether a beat is overdue: a dead man's switch.

Never fires for what was never heard: the first beat arms it.
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
    remembered,
    seen_at,
)

KIND = "heartbeat"


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """Fires once when no beat came for ``every`` and ``grace``; over when a beat comes that is recent enough.

    Any sighting is a beat, whatever its state. A beat that arrives late counts for when it happened: an old one does
    not end the alert.
    """

    every: timedelta
    grace: timedelta = timedelta()

    def observe(self, memory: Memory | None, sighting: Sighting, now: datetime) -> Reading:
        """Hear a beat."""
        at, known = seen_at(sighting, now), remembered(memory, KIND)
        return self._judged({**known, "last": max(at, known.get("last", at))}, now)

    def tick(self, memory: Memory, now: datetime) -> Reading:
        """Look: is the beat overdue?"""
        known = remembered(memory, KIND)
        if "last" not in known:
            return Reading(memory={}, reason="no beat was heard yet")
        return self._judged(known, now)

    def _judged(self, known: Memory, now: datetime) -> Reading:
        due_at = known["last"] + length(self.every + self.grace)
        was_overdue, is_overdue = known.get("overdue", False), micros(now) >= due_at
        return Reading(
            memory={**known, "overdue": is_overdue},
            is_firing=None if is_overdue == was_overdue else is_overdue,
            matches=1 if is_overdue and not was_overdue else 0,
            due_at=None if is_overdue else moment(due_at),
            reason=self._words(is_overdue=is_overdue),
            facts={"last_at": moment(known["last"]).isoformat(), "due_at": moment(due_at).isoformat()},
        )

    def _words(self, *, is_overdue: bool) -> str:
        expected = f"one is expected every {span(self.every)}, grace {span(self.grace)}"
        return f"no beat in time: {expected}" if is_overdue else f"the beat was heard: {expected}"
