"""Find labels that alerts cannot have where something depends on them: keys, groups, inhibitions, maintenance.

Knows which labels a rule sets; their values only where ``reach`` knows them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from notifier.catalog.types import EventType
from notifier.events import Json
from notifier.rules.alerting.matchers import Matcher
from notifier.rules.alerting.model import AlertEntry, InhibitEntry, MaintenanceEntry
from notifier.rules.alerting.plan import BUILT_IN, EVERY_LABEL
from notifier.rules.checks import Place
from notifier.rules.lint.known import Known, Lint, finding, listed, routes_of
from notifier.rules.lint.reach import World, read_matchers


@dataclass(frozen=True, slots=True, kw_only=True)
class _Alerts:
    """The alerts of one rule."""

    name: str
    world: World

    def can_match(self, matchers: Sequence[Matcher]) -> bool:
        return self.world.within(matchers).impossible() is None

    def can_have(self, label: str) -> bool:
        return self.world.names is None or label in self.world.names


def labels(known: Known) -> Iterator[Lint]:
    """Yield what depends on a label that is not there."""
    alerts = [
        _Alerts(name=entry.alert, world=World.of(entry, known)) for _, entry in known.entries(AlertEntry)
    ]
    for place, entry in known.entries(AlertEntry):
        yield from _key(place, entry, known)
        yield from _groups(place, entry)
    for place, inhibit in known.entries(InhibitEntry):
        yield from _inhibit(place, inhibit, alerts)
    for place, maintenance in known.entries(MaintenanceEntry):
        if not any(one.can_match(read_matchers(maintenance.match)) for one in alerts):
            yield finding("warning", place.at("match"), "no alert rule makes such an alert", "see its labels")


def is_required(schema: Mapping[str, Json], path: str) -> bool:
    """Tell whether data of the schema has a value there for certain, as far as plain schemas say it."""
    place: Json = schema
    for key in path.split("."):
        place = _plain(schema, place)
        if not isinstance(place, Mapping) or key not in place.get("required", ()):
            return False
        place = place.get("properties", {}).get(key, {})
    return True


def _plain(root: Mapping[str, Json], place: Json) -> Json:
    reference = place.get("$ref") if isinstance(place, Mapping) else None
    if not isinstance(reference, str) or not reference.startswith("#/"):
        return place
    found: Json = root
    for part in reference[2:].split("/"):
        found = found.get(part, {}) if isinstance(found, Mapping) else {}
    return found


def _key(place: Place, entry: AlertEntry, known: Known) -> Iterator[Lint]:
    """Two things whose events lack every field of the key would be one alert but for their subjects."""
    if entry.key == EVERY_LABEL:
        return
    sure = set(BUILT_IN) - {"severity"}
    unsure = [
        one.type
        for one in known.types_for(entry.on)
        if not any(_is_sure(name, entry, one, sure) for name in entry.key)
    ]
    if unsure:
        problem = f"{listed(unsure)} may lack every field of the key: the subject would stand in"
        mend = "make one of them `required` in the schema, or add `subject` to the key"
        yield finding("warning", place.at("key"), problem, mend)


def _is_sure(name: str, entry: AlertEntry, kind: EventType, sure: set[str]) -> bool:
    path = entry.labels.get(name)
    if path is None:
        return name in sure
    root, _, rest = path.partition(".")
    return root == "event" or is_required(kind.data_schema, rest)


def _groups(place: Place, entry: AlertEntry) -> Iterator[Lint]:
    """The rule's own groups are checked when it is loaded."""
    names = {*BUILT_IN, *entry.labels, *EVERY_LABEL}
    if "*" in names:
        return
    for where, route in routes_of(place, entry):
        for index, name in enumerate(route.group_by or ()):
            if name not in names and route is not entry:
                known = ", ".join(sorted(names - {*EVERY_LABEL}))
                mend = f"add it to the rule's `labels`; known: {known}"
                yield finding("error", where.at("group_by", index), f"no alert has the label {name!r}", mend)


def _inhibit(place: Place, entry: InhibitEntry, alerts: Sequence[_Alerts]) -> Iterator[Lint]:
    sides = {
        side: [one for one in alerts if one.can_match(read_matchers(texts))]
        for side, texts in (("source", entry.source), ("target", entry.target))
    }
    for side, found in sides.items():
        if not found:
            problem = f"no alert rule makes an alert that could be the {side}"
            yield finding("warning", place.at(side), problem, "see the labels of your alert rules")
    if not all(sides.values()):
        return
    for index, name in enumerate(entry.equal):
        without = [side for side, found in sides.items() if not any(one.can_have(name) for one in found)]
        if without:
            yield _never_equal(place.at("equal", index), name, without, entry)


def _never_equal(place: Place, name: str, sides: Sequence[str], entry: InhibitEntry) -> Lint:
    rules = "add it to `labels` of the rules there"
    if not entry.missing_equal:
        who = " and ".join(f"no {side}" for side in sides)
        return finding("error", place, f"{who} has the label {name!r}: nothing is ever muted", rules)
    if len(sides) == 1:
        problem = f"no {sides[0]} has the label {name!r}: only what lacks it as well is equal"
    else:
        problem = f"nobody has the label {name!r}: all are equal in it"
    return finding("warning", place, problem, f"{rules}, or remove it here")
