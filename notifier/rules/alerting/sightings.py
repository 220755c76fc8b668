"""What a detector is shown and what it says: a sighting in, a reading out, memory as JSON between the two.

Never decides anything: the thresholds live in the modules named for them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

from notifier.events import Json

Memory = dict[str, Json]
"""What a detector knows of one key. Empty: nothing is worth keeping, and the row may be deleted."""

MICROSECOND = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """One event as a detector sees it.

    ``value`` is what stands in the field the detector watches. ``count`` is how many events it stands for. Whatever
    counts takes firing sightings only. ``is_rule_warm`` says that some key of the rule has seen two full windows:
    one key's memory cannot know (``spike`` with ``new_keys``; a reading's fact ``is_warm`` says when to set it).
    """

    at: datetime
    value: Json = None
    count: int = 1
    is_firing: bool = True
    is_rule_warm: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a detector says after a sighting or a tick.

    ``is_firing`` is None when there is nothing new to say. ``matches`` counts how often the threshold was met by this
    very sighting or look; an alert that merely goes on firing has none. ``due_at`` replaces any earlier one; it may
    lie in the past when sightings came late. ``reason`` is for people and names limits and counts only.
    """

    memory: Memory
    is_firing: bool | None = None
    matches: int = 0
    due_at: datetime | None = None
    reason: str = ""
    facts: Mapping[str, Json] = field(default_factory=dict)


class Detector(Protocol):
    """A threshold, as immutable configuration; what it knows of a key is handed in and back."""

    def observe(self, memory: Memory | None, sighting: Sighting, now: datetime) -> Reading:
        """Take in one sighting; ``memory`` is None for a key never seen."""
        ...

    def tick(self, memory: Memory, now: datetime) -> Reading:
        """Look again because time has passed."""
        ...


def remembered(memory: Memory | None, kind: str) -> Memory:
    """Return what a detector of this kind stored; another kind's memory, from before a rule changed, is nothing."""
    return dict(memory) if memory and memory.get("kind") == kind else {"kind": kind}


def seen_at(sighting: Sighting, now: datetime) -> int:
    """Return when it happened, in microseconds; a producer's clock that runs ahead does not move ours."""
    return micros(min(sighting.at, now))


def micros(at: datetime) -> int:
    """Return microseconds since 1970: exact, small in JSON, and in order."""
    return (at - _EPOCH) // MICROSECOND


def moment(at: int) -> datetime:
    """Return the instant so many microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=at)


def moment_or_none(at: int | None) -> datetime | None:
    """Return the instant, or None when there is none."""
    return None if at is None else moment(at)


def length(span: timedelta) -> int:
    """Return a length of time in microseconds."""
    return span // MICROSECOND
