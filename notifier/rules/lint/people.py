"""Find rules that tell nobody: empty lists, lists a type is not for, alerts that no route takes.

Knows lists and rotations; whom an event itself will name is not known here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from notifier.catalog.types import EventType
from notifier.recipients.may_we import is_in_audience
from notifier.recipients.sources import ListSource, Source
from notifier.rules.alerting.escalation_model import EscalationEntry
from notifier.rules.alerting.model import AlertEntry
from notifier.rules.checks import Place
from notifier.rules.lint.known import Known, Lint, finding, listed
from notifier.rules.lint.reach import World, read_matchers
from notifier.rules.lint.tellings import tellings


def people(known: Known) -> Iterator[Lint]:
    """Yield every place where nobody is told."""
    for telling in tellings(known):
        sources = telling.chosen.values["recipients"] or ()
        yield from _lists(telling.chosen.where["recipients"], sources, telling.types, known)
    for place, escalation in known.entries(EscalationEntry):
        types = _escalated(escalation.escalation, known)
        for index, step in enumerate(escalation.steps):
            yield from _lists(place.at("steps", index, "recipients"), step.recipients, types, known)
        if escalation.at_end is not None:
            yield from _lists(place.at("at_end", "recipients"), escalation.at_end.recipients, types, known)
    for place, alert in known.entries(AlertEntry):
        yield from _untaken(place, alert, known)


def _escalated(name: str, known: Known) -> tuple[EventType, ...]:
    """Return the types of all rules and routes that use the escalation, each once."""
    users = (one for one in tellings(known) if one.chosen.values.get("escalate") == name)
    return tuple({kind.type: kind for user in users for kind in user.types}.values())


def _lists(
    place: Place, sources: Sequence[Source], types: Sequence[EventType], known: Known
) -> Iterator[Lint]:
    for index, source in enumerate(sources):
        if not isinstance(source, ListSource) or source.members_of not in known.lists:
            continue
        name, here = source.members_of, place.at(index, "list")
        if not known.lists[name]:
            others = "" if len(sources) == 1 else ", which leaves the others"
            mend = f"add people to `lists: {name}:` in notifier.yaml"
            problem = f"the list {name!r} is empty{others}"
            yield finding("warning" if others else "error", here, problem, mend)
            continue
        refused = [one.type for one in types if not _admits(one, name, known)]
        if refused:
            problem = f"nobody on {name!r} is in the audience of {listed(refused)}"
            yield finding("error", here, problem, f"add {name} to its `audience` in config/events")


def _admits(kind: EventType, name: str, known: Known) -> bool:
    """Whoever the event names itself may be on the list by chance: that is no plan."""
    members = (replace(one, role=one.role or name) for one in known.lists[name])
    return any(is_in_audience(kind.audience, one, is_addressed=False) for one in members)


def _untaken(place: Place, entry: AlertEntry, known: Known) -> Iterator[Lint]:
    """``recipients: []`` says that nobody is meant; leaving it out says nothing."""
    if entry.recipients is not None or not entry.routes:
        return
    world = World.of(entry, known)
    if not any(all(map(world.implies, read_matchers(route.match))) for route in entry.routes):
        mend = "add `recipients:` to the rule, a route without `match` at the end, or `recipients: []`"
        yield finding("warning", place, "nobody is told of alerts that no route takes", mend)
