"""A model of what the store does with messages that are held: for tests of the rules, without a database."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """One notification that is held back."""

    id: str
    arrived_at: datetime
    until: datetime
    """When it may be told at the earliest."""


def due_at(waiting: Iterable[Waiting]) -> datetime | None:
    """Return when the first of what waits may be told; None where nothing waits."""
    return min((one.until for one in waiting), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What one digest tells, oldest first, and what goes on waiting."""

    told: tuple[Waiting, ...]
    left: tuple[Waiting, ...]


def take(waiting: Iterable[Waiting], now: datetime, *, limit: int = 2000) -> Taken:
    """Part what may be told now from what may not yet, or does not fit; each id once, whatever the order."""
    ordered = sorted({one.id: one for one in waiting}.values(), key=lambda one: (one.arrived_at, one.id))
    told = tuple([one for one in ordered if one.until <= now][:limit])
    taken = {one.id for one in told}
    return Taken(told=told, left=tuple(one for one in ordered if one.id not in taken))
