"""Hold what the checks of rules look at: the entries with their places, the event types, the people of lists.

Entries that are wrong in themselves are left out: ``load`` tells of them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from notifier.catalog.types import EventType
from notifier.documents import ConfigErrors, Document
from notifier.errors import ConfigError
from notifier.events import Recipient
from notifier.rules.alerting.model import AlertEntry, RouteEntry
from notifier.rules.alerting.rotation_model import RotationEntry
from notifier.rules.checks import Place
from notifier.rules.model import KINDS, Entry
from notifier.rules.telling import matches

EntryT = TypeVar("EntryT")
_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Lint:
    """One thing that cannot work, or that is hardly meant; the error has its place and its mend."""

    severity: Literal["error", "warning"]
    error: ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruled:
    """An entry under ``rules:`` and where it stands."""

    place: Place
    entry: Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """Everything the checks know."""

    rules: tuple[Ruled, ...]
    types: Mapping[str, EventType]
    lists: Mapping[str, tuple[Recipient, ...]]
    """Lists, roles and rotations with everybody who may be on them."""

    @classmethod
    def of(
        cls,
        documents: Iterable[Document],
        types: Iterable[EventType],
        lists: Mapping[str, tuple[Recipient, ...]],
    ) -> "Known":
        """Read the entries of all files."""
        rules = tuple(one for document in documents for one in _entries(document))
        turns = {
            one.entry.rotation: _on_call(one.entry) for one in rules if isinstance(one.entry, RotationEntry)
        }
        return cls(rules=rules, types={one.type: one for one in types}, lists={**turns, **lists})

    def entries(self, kind: type[EntryT]) -> Iterator[tuple[Place, EntryT]]:
        """Yield the entries of a kind that are not switched off."""
        for one in self.rules:
            if isinstance(one.entry, kind) and getattr(one.entry, "enabled", True):
                yield one.place, one.entry

    def types_for(self, patterns: Iterable[str]) -> tuple[EventType, ...]:
        """Return the event types that are meant."""
        wanted = tuple(patterns)
        return tuple(entry for name, entry in self.types.items() if matches(wanted, name))


def routes_of(
    place: Place, entry: AlertEntry | RouteEntry
) -> Iterator[tuple[Place, AlertEntry | RouteEntry]]:
    """Yield an alert rule, or a route, and all routes below it."""
    yield place, entry
    for index, route in enumerate(entry.routes):
        yield from routes_of(place.at("routes", index), route)


def firing_patterns(entry: AlertEntry, known: Known) -> tuple[str, ...]:
    """Return the types that may begin an alert of the rule."""
    over = (*(entry.resolved or ()), *(entry.acknowledged or ()))
    names = [one.type for one in known.types_for(entry.firing or entry.on)]
    return tuple(name for name in names if matches(entry.on, name) and not matches(over, name))


def _entries(document: Document) -> Iterator[Ruled]:
    place = Place(document=document)
    rules = document.value.get("rules") if isinstance(document.value, Mapping) else None
    for index, value in enumerate(rules if isinstance(rules, list) else ()):
        kinds = [kind for kind in KINDS if isinstance(value, Mapping) and kind in value]
        if len(kinds) == 1:
            here = place.at("rules", index)
            try:
                yield Ruled(place=here, entry=document.read(KINDS[kinds[0]], here.path))
            except ConfigErrors:
                continue


def _on_call(entry: RotationEntry) -> tuple[Recipient, ...]:
    groups = [layer.people for layer in entry.layers] + [one.people for one in entry.overrides]
    return tuple(person for people in groups for person in people)


def finding(severity: Literal["error", "warning"], place: Place, problem: str, mend: str) -> Lint:
    """Return what was found at a place."""
    return Lint(severity=severity, error=place.error(problem, mend))


def listed(names: Sequence[str]) -> str:
    """Return a few names, and how many more there are."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
