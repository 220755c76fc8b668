"""Find reminders and stages whose events would be refused: their type's schema does not take the data made.

Judges only what a plain object schema says at its top; of alternatives within it knows nothing.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from notifier.catalog.types import EventType
from notifier.events import Json
from notifier.rules.checks import Place
from notifier.rules.lint.known import Known, Lint, finding
from notifier.rules.model import JourneyEntry
from notifier.rules.reminder_model import ReminderEntry

_REMINDER: Final = {"offset_days": {"integer", "number"}, "due": {"string"}, "last": {"object"}}
_STUCK: Final = {"journey": {"string"}, "stage": {"string"}, "since": {"string"}, "last": {"object"}}


def made(known: Known) -> Iterator[Lint]:
    """Yield every type that is made by a rule and can never be."""
    for place, reminder in known.entries(ReminderEntry):
        yield from _refused(place.at("event"), known.types.get(reminder.event), _REMINDER)
    for place, journey in known.entries(JourneyEntry):
        for index, stage in enumerate(journey.stages):
            if stage.stuck is not None:
                here = place.at("stages", index, "stuck", "event")
                yield from _refused(here, known.types.get(stage.stuck.event), _STUCK)


def _refused(place: Place, made_type: EventType | None, data: Mapping[str, set[str]]) -> Iterator[Lint]:
    if made_type is None:
        return
    schema = made_type.data_schema
    lacking = [name for name, kinds in data.items() if not _takes(schema, name, kinds)]
    beyond = [name for name in schema.get("required", ()) if name not in data]
    if lacking:
        problem = (
            f"the schema of {made_type.type} does not take {', '.join(lacking)}, which its events have here"
        )
        yield finding("error", place, problem, "add it to the schema's properties, with its kind")
    elif beyond:
        problem = f"the schema of {made_type.type} requires {', '.join(beyond)}, which its events lack here"
        yield finding("error", place, problem, f"take it out of `required`; they have {', '.join(data)}")


def _takes(schema: Mapping[str, Json], name: str, kinds: set[str]) -> bool:
    """Return whether the schema, as far as it is plain, takes a value of one of these kinds there."""
    properties = schema.get("properties", {})
    if name not in properties:
        return schema.get("additionalProperties") is not False or "patternProperties" in schema
    inner = properties[name]
    if not isinstance(inner, Mapping) or "type" not in inner:
        return inner is not False
    said = inner["type"]
    return not kinds.isdisjoint([said] if isinstance(said, str) else said)
