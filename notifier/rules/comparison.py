"""Replay what happened through two sets of rules, and say who would have got what more, less, later or otherwise.

Pure: events come in with the moments they arrived at. Both start with nothing known: what fired before is not seen.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from notifier.catalog import Catalog
from notifier.errors import EventRefused
from notifier.events import Event, Recipient
from notifier.rules.ruleset import RuleSet
from notifier.rules.simulation.told import PLAIN, Told
from notifier.rules.simulation.world import World

NOW_AND_THEN = timedelta(seconds=1)
"""A shift that nobody notices: two runs of the pipeline differ by more."""


class Change(StrEnum):
    """What becomes of a message under the other rules."""

    MORE = "more"
    LESS = "less"
    MOVED = "moved"
    """It comes at another time."""
    OTHERWISE = "otherwise"
    """It comes at its time, by other channels, in other words or with another urgency."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One message that is not the same."""

    change: Change
    before: Told | None
    after: Told | None

    @property
    def shown(self) -> Told:
        """Return the message as it would be, or as it was where it would not be any more."""
        found = self.after or self.before
        if found is None:
            raise ValueError("a difference is about a message")
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two runs of the same events."""

    events: int
    refused: int
    """Events that do not fit the catalogue as it is now."""
    before: int
    after: int
    """How many messages each would have told."""
    differences: tuple[Difference, ...]

    def count(self, change: Change) -> int:
        """Return how many differ in this way."""
        return sum(one.change is change for one in self.differences)


def compare(
    events: Iterable[tuple[datetime, Event]],
    before: RuleSet,
    after: RuleSet,
    catalog: Catalog,
    lists: Mapping[str, tuple[Recipient, ...]],
    *,
    start: datetime,
    end: datetime,
) -> Comparison:
    """Run events, in the order they arrived, through both sets of rules, and compare what is told until the end."""
    worlds = [World(rules, catalog, lists, start=start) for rules in (before, after)]
    count = refused = 0
    for at, event in events:
        count += 1
        try:
            catalog.check(event.type, event.data)
        except EventRefused:
            refused += 1
            continue
        for world in worlds:
            world.reach(max(at, world.now))
            world.feed(event)
    for world in worlds:
        world.advance(end)
    first, second = (world.told for world in worlds)
    return Comparison(
        events=count,
        refused=refused,
        before=len(first),
        after=len(second),
        differences=differences(first, second),
    )


def differences(before: Sequence[Told], after: Sequence[Told]) -> tuple[Difference, ...]:
    """Pair what says the same to the same person, the nearest in time first seen, and return what differs."""
    left, right = _by_content(before), _by_content(after)
    found: list[Difference] = []
    for content in dict.fromkeys((*left, *right)):
        found += _paired(left.get(content, []), right.get(content, []))
    return tuple(sorted(found, key=lambda one: (one.shown.at, one.shown.recipient.identity)))


def _by_content(told: Sequence[Told]) -> dict[tuple[object, ...], list[Told]]:
    found: dict[tuple[object, ...], list[Told]] = defaultdict(list)
    for one in told:
        found[_content(one)].append(one)
    return found


def _content(one: Told) -> tuple[object, ...]:
    """Return what a person learns, and not by which rule: an event, or what fires and what is over."""
    who = (one.event.tenant, one.recipient.identity.casefold())
    if one.why == PLAIN:
        return (*who, one.event.source, one.event.id)
    # Who they are tells groups apart, not what the groups are called.
    alerts = frozenset((alert.is_firing, alert.subject, alert.started_at) for alert in one.alerts)
    return (*who, alerts)


def _paired(before: list[Told], after: list[Told]) -> list[Difference]:
    """Pair messages of one content: first those of the same moment, then in order; what is left is less or more."""
    found: list[Difference] = []
    left, right = list(before), list(after)
    for one in before:
        same = next((other for other in right if abs(other.at - one.at) <= NOW_AND_THEN), None)
        if same is not None:
            left.remove(one)
            right.remove(same)
            if _form(one) != _form(same):
                found.append(Difference(change=Change.OTHERWISE, before=one, after=same))
    for one, other in zip(left, right, strict=False):
        found.append(Difference(change=Change.MOVED, before=one, after=other))
    found += (Difference(change=Change.LESS, before=one, after=None) for one in left[len(right) :])
    found += (Difference(change=Change.MORE, before=None, after=one) for one in right[len(left) :])
    return found


def _form(one: Told) -> tuple[object, ...]:
    return one.channels, one.template, one.urgency
