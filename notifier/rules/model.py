"""The shape of ``config/rules/*.yaml``: what a rule may say, key by key.

Shapes only: whether types, lists, templates and conditions exist is checked by ``load``.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from notifier.documents import Strict
from notifier.events import Json
from notifier.rules.alerting.escalation_model import EscalationEntry
from notifier.rules.alerting.model import AlertEntry, InhibitEntry, MaintenanceEntry, WindowRuleEntry
from notifier.rules.alerting.rotation_model import RotationEntry
from notifier.rules.catch_up import CatchUp
from notifier.rules.reminder_model import ReminderEntry
from notifier.rules.shapes import EventName, Name, Patterns, Span, TellingEntry, not_empty


class NotifyEntry(TellingEntry):
    """Tell people about an event."""

    notify: Name = Field(description="The rule's name, unique among notify and journey.")
    on: Patterns
    enabled: bool = True


class Stuck(Strict):
    """What happens when a subject stays on a stage for too long."""

    after: Span = Field(description="How long the stage may last.")
    event: EventName = Field(description="The type of the event that is made then.")


class StageEntry(TellingEntry):
    """One stage of a journey."""

    stage: Name
    on: Patterns
    rank: int | None = Field(
        default=None,
        ge=0,
        description="Its place in the order, else one more than the stage before. "
        "Stages of one rank are alternatives.",
    )
    terminal: bool = Field(default=False, description="The journey ends here.")
    stuck: Stuck | None = None


class JourneyEntry(Strict):
    """The ordered stages of a subject, each told once and never after a later one."""

    journey: Name = Field(description="The rule's name, unique among notify and journey.")
    subject: str = Field(
        default="event.subject",
        pattern=r"^(event\.(subject|id|source|tenant)|data(\.\w+)+)$",
        description="What travels: event.subject, or a path such as data.rma.",
    )
    defaults: TellingEntry = TellingEntry()
    stages: Annotated[tuple[StageEntry, ...], BeforeValidator(not_empty)] = Field(
        json_schema_extra={"minItems": 1}
    )
    enabled: bool = True

    @property
    def ranks(self) -> tuple[int, ...]:
        """Return the rank of each stage, in the order of the file."""
        ranks: list[int] = []
        for stage in self.stages:
            ranks.append(stage.rank if stage.rank is not None else ranks[-1] + 1 if ranks else 0)
        return tuple(ranks)


class ScheduleEntry(Strict):
    """Make an event by the clock."""

    schedule: Name = Field(description="The schedule's name, unique among the schedules.")
    cron: str = Field(description="Minute, hour, day of month, month, day of week.")
    zone: str = Field(default="UTC", description="IANA time zone, such as Europe/Berlin.")
    event: EventName = Field(description="The type of the event that is made.")
    subject: str = Field(default="schedule", min_length=1)
    data: Mapping[str, Json] = Field(default_factory=dict)
    tenant: str = "default"
    catch_up: CatchUp = Field(
        default=CatchUp.NEWEST, description="What becomes of those that were missed while nothing ran."
    )
    enabled: bool = True


Entry = (
    NotifyEntry
    | JourneyEntry
    | ScheduleEntry
    | AlertEntry
    | InhibitEntry
    | WindowRuleEntry
    | MaintenanceEntry
    | RotationEntry
    | EscalationEntry
    | ReminderEntry
)
Kind = Literal[
    "notify",
    "journey",
    "schedule",
    "alert",
    "inhibit",
    "window",
    "maintenance",
    "rotation",
    "escalation",
    "reminder",
]
KINDS: Mapping[Kind, type[Entry]] = {
    "notify": NotifyEntry,
    "journey": JourneyEntry,
    "schedule": ScheduleEntry,
    "alert": AlertEntry,
    "inhibit": InhibitEntry,
    "window": WindowRuleEntry,
    "maintenance": MaintenanceEntry,
    "rotation": RotationEntry,
    "escalation": EscalationEntry,
    "reminder": ReminderEntry,
}
"""A rule's kind is the key that names it."""


class RulesFile(Strict):
    """A file below ``config/rules``."""

    rules: tuple[Entry, ...] = ()
