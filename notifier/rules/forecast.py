"""Say what would come of an event, now and next, if nothing else happened. Sends and stores nothing.

Knows rules, lists and the event; not what happened before, and not the address book.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from notifier.catalog import Catalog
from notifier.decisions import Decision
from notifier.events import Event, Recipient
from notifier.rules.ruleset import RuleSet
from notifier.rules.simulation.told import Told
from notifier.rules.simulation.world import World

HORIZON = timedelta(days=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What the rules make of an event."""

    decision: Decision
    now: tuple[Told, ...]
    """Told at once."""
    later: tuple[Told, ...]
    """Told next, all at one moment; none within the horizon where it is empty."""


def forecast(
    event: Event, rules: RuleSet, catalog: Catalog, lists: Mapping[str, tuple[Recipient, ...]], now: datetime
) -> Forecast:
    """Return what would come of an event that arrives now.

    Raises:
        EventRefused: it does not fit its type.
    """
    # A schedule would speak within the horizon, too, and of something else.
    world = World(rules, catalog, lists, start=now, has_schedules=False)
    (decision,) = world.feed(event)
    world.advance(now)
    at_once = len(world.told)
    while len(world.told) == at_once and (due := world.next_at()) is not None and due <= now + HORIZON:
        world.advance(due)
    return Forecast(decision=decision, now=tuple(world.told[:at_once]), later=tuple(world.told[at_once:]))
