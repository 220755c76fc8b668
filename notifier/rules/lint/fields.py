"""Find the fields rules look at that no event of their types can have.

Knows schemas only; of a field that only some types have it tells where the rule cannot do without.
"""

import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches

from notifier.catalog.paths import can_exist
from notifier.catalog.types import EventType
from notifier.recipients.sources import ContactSource, DataSource, Source
from notifier.rules.alerting.model import AlertEntry
from notifier.rules.checks import Place
from notifier.rules.conditions import ConditionError, compile_condition
from notifier.rules.lint.known import Known, Lint, finding, firing_patterns, listed
from notifier.rules.lint.tellings import Telling, tellings
from notifier.rules.model import JourneyEntry
from notifier.rules.reminder_model import ReminderEntry

_ATTRIBUTES = frozenset({"id", "source", "type", "subject", "time", "tenant", "urgency"})
"""What ``recipients.paths`` knows of an event itself."""


def fields(known: Known) -> Iterator[Lint]:
    """Yield every field that cannot be there."""
    for telling in tellings(known):
        yield from _condition(telling)
        yield from _recipients(telling)
    for place, alert in known.entries(AlertEntry):
        yield from _alert(place, alert, known)
    for place, journey in known.entries(JourneyEntry):
        for stage in journey.stages:
            types = known.types_for(stage.on)
            yield from _needed(place.at("subject"), journey.subject, types, f"the stage {stage.stage!r}")
    for place, reminder in known.entries(ReminderEntry):
        yield from _reminder(place, reminder, known)


def lacking(path: str, types: Sequence[EventType]) -> tuple[EventType, ...]:
    """Return the types whose events can have nothing at ``data.…`` or ``event.…``."""
    root, _, rest = path.partition(".")
    if root == "event":
        return () if rest.partition(".")[0] in _ATTRIBUTES else tuple(types)
    if root != "data" or not rest:
        return ()
    # A number is a place in a list; the schema of its entries stands for all of them.
    steps = ".".join(step for step in rest.split(".") if not step.isdecimal())
    return tuple(one for one in types if steps and not can_exist(one.data_schema, steps))


def _condition(telling: Telling) -> Iterator[Lint]:
    source, place = telling.chosen.values["when"], telling.chosen.where["when"]
    try:
        condition = compile_condition(source) if source else None
    except ConditionError:
        return
    for path in condition.paths if condition is not None else ():
        without = lacking(path, telling.types)
        is_guarded = re.search(rf"has\(\s*{re.escape(path)}\s*\)", source) is not None
        if without and len(without) == len(telling.types):
            yield _unknown(place, path, telling.types)
        elif without and not is_guarded:
            mend = f"write has({path}) && … before it, or take the type out of `on`"
            problem = f"{path} is no field of {_names(without)}: the condition fails there"
            yield finding("warning", place, problem, mend)


def _recipients(telling: Telling) -> Iterator[Lint]:
    sources: Sequence[Source] = telling.chosen.values["recipients"] or ()
    place = telling.chosen.where["recipients"]
    for index, source in enumerate(sources):
        for key, path in _paths(source):
            here = f"data.{path}"
            without = lacking(here, telling.types)
            if without and len(without) == len(telling.types):
                yield _unknown(place.at(index, key), here, telling.types)
            elif without and len(sources) == 1 and key in ("data", "contact"):
                problem = f"{here} is no field of {_names(without)}: nobody is told of those"
                yield finding("warning", place.at(index, key), problem, "add another recipient for them")


def _paths(source: Source) -> Iterator[tuple[str, str]]:
    if isinstance(source, DataSource):
        yield "data", source.data
        yield from source.companions.items()
    elif isinstance(source, ContactSource):
        yield "contact", source.contact


def _alert(place: Place, entry: AlertEntry, known: Known) -> Iterator[Lint]:
    every = known.types_for(entry.on)
    firing = known.types_for(firing_patterns(entry, known))
    for name, path in entry.labels.items():
        where = place.at("labels", name)
        if name in entry.key:
            yield from _needed(where, path, every, "the key")
        elif firing and len(lacking(path, firing)) == len(firing):
            yield _unknown(where, path, firing)
    if entry.state is not None:
        yield from _needed(place.at("state", "field"), entry.state.field, every, "the state")
    if entry.severity.startswith(("data.", "event.")):
        yield from _needed(place.at("severity"), entry.severity, firing, "the severity")
    if entry.detect is not None and entry.detect.path is not None:
        yield from _needed(place.at("detect"), entry.detect.path, firing, "the detector")
    for name, moment in (("begins", entry.begins), ("ends", entry.ends)):
        if moment is not None and every and len(lacking(moment, every)) == len(every):
            yield _unknown(place.at(name), moment, every)


def _reminder(place: Place, entry: ReminderEntry, known: Known) -> Iterator[Lint]:
    setting, settling = known.types_for(entry.on), known.types_for(entry.until or ())
    yield from _needed(place.at("date"), entry.date, setting, "the date")
    yield from _needed(place.at("subject"), entry.subject, (*setting, *settling), "the reminder")
    for path in entry.zone[:-1]:
        if setting and len(lacking(path, setting)) == len(setting):
            yield _unknown(place.at("zone"), path, setting)


def _needed(place: Place, path: str, types: Sequence[EventType], who: str) -> Iterator[Lint]:
    """Yield an error where no type has the field, a warning where only some have it."""
    without = lacking(path, types)
    if without and len(without) == len(types):
        yield _unknown(place, path, types)
    elif without:
        problem = f"{path} is no field of {_names(without)}, and {who} needs it"
        yield finding("warning", place, problem, "add it to their schema, or take the type out of `on`")


def _unknown(place: Place, path: str, types: Sequence[EventType]) -> Lint:
    root, _, rest = path.partition(".")
    problem = f"no event of {_names(types)} has the field {path}"
    if root == "event":
        return finding("error", place, problem, f"known: {', '.join(sorted(_ATTRIBUTES))}")
    known = sorted({f"data.{name}" for one in types for name in one.data_schema.get("properties", {})})
    near = get_close_matches(f"data.{rest.partition('.')[0]}", known, n=1)
    is_deeper = near == [f"data.{rest}"] or (near and path.startswith(f"{near[0]}."))
    mend = f"did you mean {near[0]!r}?" if near and not is_deeper else "see the schema in config/events"
    return finding("error", place, problem, mend)


def _names(types: Sequence[EventType]) -> str:
    return listed([one.type for one in types])
