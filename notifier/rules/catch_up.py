"""Decide what of the things missed while nothing ran is made up for.

Pure: due times and the clock come in. Of one reminder's subject, or of one schedule, at a time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

GRACE = timedelta(minutes=10)
"""What is no later than this was not missed: a restart, or a sweep that had much to do."""


class CatchUp(StrEnum):
    """What becomes of what was missed."""

    NEWEST = "newest"
    """Only the newest is sent: eight missed digests are one digest."""
    SEND = "send"
    """Each is sent, late, in order."""
    SKIP = "skip"
    """None is sent; the next one comes at its time."""
    SUMMARY = "summary"
    """The newest is sent, and says which others were missed."""


class Timed(Protocol):
    """Whatever was due at a moment."""

    @property
    def at(self) -> datetime:
        """When it was due."""
        ...


T = TypeVar("T", bound=Timed)


@dataclass(frozen=True, slots=True, kw_only=True)
class CaughtUp(Generic[T]):
    """What is sent, oldest first, what is only mentioned in it, and what is left out for good."""

    send: tuple[T, ...] = ()
    mentioned: tuple[T, ...] = ()
    left_out: tuple[T, ...] = ()
    reason: str = "on time"


def catch_up(policy: CatchUp, due: Sequence[T], now: datetime, *, grace: timedelta = GRACE) -> CaughtUp[T]:
    """Return what becomes of all that is due by now; the policy holds as soon as one of it was missed."""
    ordered = tuple(sorted(due, key=lambda one: one.at))
    missed = tuple(one for one in ordered if is_missed(one.at, now, grace=grace))
    if not missed:
        return CaughtUp(send=ordered)
    count = f"{len(missed)} missed"
    if policy is CatchUp.SEND:
        return CaughtUp(send=ordered, reason=f"{count}: each is sent late")
    if policy is CatchUp.SKIP:
        # What was missed is the oldest of what is due.
        return CaughtUp(send=ordered[len(missed) :], left_out=missed, reason=f"{count}: left out")
    *others, newest = ordered
    if policy is CatchUp.SUMMARY:
        return CaughtUp(send=(newest,), mentioned=tuple(others), reason=f"{count}: one summary is sent")
    return CaughtUp(send=(newest,), left_out=tuple(others), reason=f"{count}: only the newest is sent")


def is_missed(at: datetime, now: datetime, *, grace: timedelta = GRACE) -> bool:
    """Tell whether something is later than a running system would be."""
    return now - at > grace
