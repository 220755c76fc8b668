"""Say who is on call at a moment, and when somebody else takes over.

Pure: people are values, the moment is passed in. Tells nobody, and knows nothing of alerts.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from notifier.events import Recipient
from notifier.rules.alerting.windows import Window, is_inside, next_change
from notifier.rules.localtime import local_at, moment_of

HORIZON = timedelta(days=366)
"""How far ahead a hand-over is looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """People who take turns; the first has the first turn, from ``start`` on."""

    people: tuple[Recipient, ...]
    start: datetime
    """The first hand-over: a local time of the rotation's zone. Nobody is on this layer before."""
    every: timedelta
    """How long a turn is by the clocks on the wall, so that hand-overs keep their time of day."""
    only: tuple[Window, ...] = ()
    """Outside of these windows the layer below answers; the turns pass all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """Who is on call instead from ``start`` until ``end``: local times of the rotation's zone."""

    start: datetime
    end: datetime
    people: tuple[Recipient, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """A list whose members depend on the time; later layers lie on top, overrides above them all."""

    name: str
    zone: ZoneInfo
    layers: tuple[Layer, ...]
    overrides: tuple[Override, ...] = ()
    """Of two that overlap the later in the list holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Who is on call, and by what: ``an override``, ``layer 2``, ``nobody``."""

    people: tuple[Recipient, ...]
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """One turn from ``start`` until ``end``."""

    start: datetime
    end: datetime
    turn: Turn


def on_call(rotation: Rotation, at: datetime) -> tuple[Recipient, ...]:
    """Return who is on call; nobody where no layer answers."""
    return turn_at(rotation, at).people


def turn_at(rotation: Rotation, at: datetime) -> Turn:
    """Return who is on call, and why they are."""
    for override in reversed(rotation.overrides):
        if moment_of(override.start, rotation.zone) <= at < moment_of(override.end, rotation.zone):
            return Turn(people=override.people, why="an override")
    for number in range(len(rotation.layers), 0, -1):
        layer = rotation.layers[number - 1]
        turn = _turns_begun(layer, rotation.zone, at)
        if turn and layer.people and (not layer.only or is_inside(layer.only, at)):
            return Turn(people=(layer.people[(turn - 1) % len(layer.people)],), why=f"layer {number}")
    return Turn(people=(), why="nobody")


def next_hand_over(rotation: Rotation, after: datetime, *, horizon: timedelta = HORIZON) -> datetime | None:
    """Return the first moment after ``after`` from which somebody else is on call, or nobody any more.

    None where that does not happen within the horizon, as in a rotation of one person.
    """
    people = on_call(rotation, after)
    for moment in _changes(rotation, after, after + horizon):
        if on_call(rotation, moment) != people:
            return moment
    return None


def shifts(rotation: Rotation, start: datetime, end: datetime) -> tuple[Shift, ...]:
    """Return who is on call from ``start`` until ``end``, without a gap: for people to look at."""
    if start >= end:
        return ()
    found: list[Shift] = []
    begins = [start, *_changes(rotation, start, end)]
    for begin, until in zip(begins, [*begins[1:], end], strict=True):
        turn = turn_at(rotation, begin)
        if found and found[-1].turn == turn:
            begin = found.pop().start  # noqa: PLW2901 - the shift before goes on
        found.append(Shift(start=begin, end=until, turn=turn))
    return tuple(found)


def _changes(rotation: Rotation, after: datetime, end: datetime) -> Iterator[datetime]:
    """Yield every moment between the two at which the answer may be another."""
    change = _next_change(rotation, after)
    while change is not None and change < end:
        yield change
        change = _next_change(rotation, change)


def _next_change(rotation: Rotation, after: datetime) -> datetime | None:
    edges = [moment_of(edge, rotation.zone) for one in rotation.overrides for edge in (one.start, one.end)]
    for layer in rotation.layers:
        edges += _layer_changes(layer, rotation.zone, after)
    return min((edge for edge in edges if edge > after), default=None)


def _layer_changes(layer: Layer, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    turn = _turns_begun(layer, zone, after)
    if len(layer.people) > 1 or not turn:
        yield _begin_of(layer, zone, turn)
    if layer.only and (change := next_change(layer.only, after)) is not None:
        yield change


def _turns_begun(layer: Layer, zone: ZoneInfo, at: datetime) -> int:
    """Return how many turns have begun by then."""
    turns = max(0, (local_at(at, zone) - layer.start) // layer.every + 1)
    # In the second pass of the doubled hour the clock shows less than it did when the last turn began.
    while _begin_of(layer, zone, turns) <= at:
        turns += 1
    return turns


def _begin_of(layer: Layer, zone: ZoneInfo, turn: int) -> datetime:
    return moment_of(layer.start + turn * layer.every, zone)
