"""One event with everything the rules look at, and the answers to their conditions.

Pure; converted for CEL once, however many rules ask.
"""

from dataclasses import dataclass, field
from datetime import datetime

import cel

from notifier.catalog.types import EventType
from notifier.decisions import (
    Facts,
    JourneyState,
)
from notifier.events import Event, Json, Urgency
from notifier.recipients.paths import event_attributes
from notifier.rules.conditions import Answer, Condition, ConditionError, context_of
from notifier.rules.ruleset import RuleSet

_TRUE = Answer(is_true=True)


@dataclass(slots=True, kw_only=True)
class Scene:
    """One event with everything the rules look at; converted for CEL once, when the first rule asks."""

    event: Event
    entry: EventType
    facts: Facts
    rules: RuleSet | None
    now: datetime
    journeys: dict[tuple[str, str], JourneyState] = field(init=False)
    _variables: dict[str, Json] = field(init=False)
    _context: cel.Context | None = None

    def __post_init__(self) -> None:
        self.journeys = dict(self.facts.journeys)
        attributes = {**event_attributes(self.event), "urgency": self.urgency(None).value}
        self._variables = {"event": attributes, "data": dict(self.event.data)}

    def urgency(self, chosen: Urgency | None) -> Urgency:
        """Return the rule's urgency, else the event's, else the type's."""
        return chosen or self.event.urgency or self.entry.urgency

    def answer(self, condition: Condition | None, journey: dict[str, Json]) -> tuple[Answer, dict[str, Json]]:
        """Return what a condition comes to, and the facts it looked at."""
        if condition is None:
            return _TRUE, {}
        self._variables["journey"] = journey
        seen = condition.facts(self._variables, self.entry.secret)
        try:
            if self._context is None:
                self._context = context_of(self._variables)
            elif "journey" in condition.variables:
                self._context.add_variable("journey", journey)
        except ConditionError as error:
            return Answer(is_true=None, reason=str(error)), seen
        return condition.answer(self._context), seen
