"""Decide whether too many or too few different values were seen within a sliding window.

Keeps digests, never the values; counts firing sightings that have a value, and never says which values they were.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from notifier.events import Json
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

KIND = "distinct"


@dataclass(frozen=True, slots=True, kw_only=True)
class Distinct:
    """Fires at more than ``more_than`` different values within ``within``, or at fewer than ``fewer_than``.

    A value counts until it was not seen for longer than ``within``. Each sighting beyond ``more_than`` is a match.
    Too few is found by a look, not before more than one window since the first sighting; after a match the wait
    begins anew with the next sighting, as in ElastAlert.

    Of each value the newest instant is kept, and only as many values as the limits need (the newest ones): that is
    exact, whatever the number of values. Values are told apart by 64 bits of their SHA-256.
    """

    within: timedelta
    more_than: int | None = None
    fewer_than: int | None = None

    def observe(self, memory: Memory | None, sighting: Sighting, now: datetime) -> Reading:
        """Take in one firing sighting; without a value it only starts the wait."""
        state = _State.of(memory)
        if not sighting.is_firing:
            return self._reading(state, reason="not counted: only firing events are")
        at = seen_at(sighting, now)
        state = replace(
            state,
            first=at if state.first is None else state.first,
            until=max(at, state.until),
        )
        if sighting.value is None:
            return self._reading(state, reason="not counted: the field is missing")
        digest = _digest(sighting.value)
        last = {**state.last, digest: max(at, state.last.get(digest, at))}
        state = self._pruned(replace(state, last=last))
        return self._judged(state, is_look=False)

    def tick(self, memory: Memory, now: datetime) -> Reading:
        """Look: too few now, or no longer too many?"""
        state = _State.of(memory)
        state = self._pruned(replace(state, until=max(state.until, micros(now))))
        return self._judged(state, is_look=True)

    def _judged(self, state: "_State", *, is_look: bool) -> Reading:
        if self._is_above(state):
            # A look alone is no further sighting beyond the limit: the alert just goes on.
            first = state.first if is_look else None
            return self._reading(
                replace(state, is_firing=True, first=first), is_firing=True, matches=0 if is_look else 1
            )
        if self._is_below(state):
            is_match = is_look and state.first is not None and state.until - state.first > length(self.within)
            if is_match:
                return self._reading(replace(state, is_firing=True, first=None), is_firing=True, matches=1)
            return self._reading(state)
        return self._reading(replace(state, is_firing=False), is_firing=False if state.is_firing else None)

    def _is_above(self, state: "_State") -> bool:
        return self.more_than is not None and len(state.last) > self.more_than

    def _is_below(self, state: "_State") -> bool:
        return self.fewer_than is not None and len(state.last) < self.fewer_than

    def _pruned(self, state: "_State") -> "_State":
        oldest = state.until - length(self.within)
        recent = sorted(((at, digest) for digest, at in state.last.items() if at >= oldest), reverse=True)
        needed = max((self.more_than or 0) + 1, self.fewer_than or 0)
        return replace(state, last={digest: at for at, digest in recent[:needed]})

    def _reading(
        self, state: "_State", *, is_firing: bool | None = None, matches: int = 0, reason: str | None = None
    ) -> Reading:
        # Without values only the wait for `fewer_than` is worth a row.
        is_idle = not state.last and self.fewer_than is None
        return Reading(
            memory={} if is_idle else state.to_json(),
            is_firing=is_firing,
            matches=matches,
            due_at=moment_or_none(self._due(state)),
            reason=reason or self._words(state),
            facts={"distinct": len(state.last), "more_than": self.more_than, "fewer_than": self.fewer_than},
        )

    def _due(self, state: "_State") -> int | None:
        """Return the first microsecond at which a look can find something else than now."""
        newest = sorted(state.last.values(), reverse=True)
        expiry = length(self.within) + 1
        if self._is_above(state):
            return newest[self.more_than or 0] + expiry
        if self.fewer_than is None:
            return newest[0] + expiry if newest else None
        if self._is_below(state):
            return None if state.first is None or state.is_firing else state.first + expiry
        return newest[self.fewer_than - 1] + expiry

    def _words(self, state: "_State") -> str:
        within = span(self.within)
        if self._is_above(state):
            return f"more than {self.more_than} different within {within} (> {self.more_than})"
        limits = [f"> {self.more_than}"] if self.more_than is not None else []
        limits += [f"< {self.fewer_than}"] if self.fewer_than is not None else []
        return f"{len(state.last)} different within {within} (limit {' or '.join(limits)})"


@dataclass(frozen=True, slots=True, kw_only=True)
class _State:
    last: Mapping[str, int]
    first: int | None
    until: int
    is_firing: bool

    @classmethod
    def of(cls, memory: Memory | None) -> "_State":
        known = remembered(memory, KIND)
        return cls(
            last=known.get("last", {}),
            first=known.get("first"),
            until=known.get("until", 0),
            is_firing=known.get("firing", False),
        )

    def to_json(self) -> Memory:
        return {
            "kind": KIND,
            "last": dict(self.last),
            "first": self.first,
            "until": self.until,
            "firing": self.is_firing,
        }


def _digest(value: Json) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
