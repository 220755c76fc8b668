"""List every place where rules say who is told of which types, with what each inherits.

Judges nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from notifier.catalog.types import EventType
from notifier.rules.alerting.model import AlertEntry, RouteEntry
from notifier.rules.checks import Place
from notifier.rules.lint.known import Known
from notifier.rules.model import JourneyEntry, NotifyEntry
from notifier.rules.read_telling import Chosen


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """What holds at one place, and for which types."""

    place: Place
    chosen: Chosen
    types: tuple[EventType, ...]


def tellings(known: Known) -> Iterator[Telling]:
    """Yield notify rules, the stages of journeys, and alert rules with their routes."""
    for place, notify in known.entries(NotifyEntry):
        yield Telling(place=place, chosen=Chosen.of(notify, place), types=known.types_for(notify.on))
    for place, journey in known.entries(JourneyEntry):
        defaults = Chosen.of(journey.defaults, place.at("defaults"))
        for index, stage in enumerate(journey.stages):
            here = place.at("stages", index)
            yield Telling(
                place=here, chosen=Chosen.of(stage, here, defaults), types=known.types_for(stage.on)
            )
    for place, alert in known.entries(AlertEntry):
        yield from _branch(place, alert, None, known.types_for(alert.on))


def _branch(
    place: Place, entry: AlertEntry | RouteEntry, above: Chosen | None, types: tuple[EventType, ...]
) -> Iterator[Telling]:
    chosen = Chosen.of(entry, place, above)
    yield Telling(place=place, chosen=chosen, types=types)
    for index, route in enumerate(entry.routes):
        yield from _branch(place.at("routes", index), route, chosen, types)
