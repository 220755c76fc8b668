"""The shape of ``config/rules/*.yaml``: what a rule may say, key by key.

Shapes only: whether types, lists, templates and conditions exist is checked by ``load``.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from notifier.documents import Duration, Strict
from notifier.events import Json, Urgency
from notifier.messages import ChannelName
from notifier.recipients.sources import Source

_DURATION_SCHEMA = {
    "type": "string",
    "pattern": r"^(\d+(ms|[dhms]))+$",
    "description": "A length of time: 90s, 10m, 1h30m, 3d.",
}
Span = Annotated[Duration, Field(gt=timedelta(0)), WithJsonSchema(_DURATION_SCHEMA)]
"""A length of time that is not nothing."""

# Names become parts of keys such as ``journey:returns:R-1:approved``: no colons.
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
EventName = Annotated[str, Field(pattern=r"^[a-z0-9_]+(\.[a-z0-9_]+)+$")]


def _not_empty(value: Any) -> Any:
    # Pydantic's own min_length counts only what is valid, and so adds a second error to every first.
    if value in ([], (), {}):
        raise ValueError("must name at least one")
    return value


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else _not_empty(value)


_PATTERN = r"^[a-z0-9_.*?]+$"
_PATTERN_SCHEMA = {"type": "string", "pattern": _PATTERN}
Patterns = Annotated[
    tuple[Annotated[str, Field(pattern=_PATTERN)], ...],
    BeforeValidator(_listed),
    WithJsonSchema(
        {
            "anyOf": [_PATTERN_SCHEMA, {"type": "array", "items": _PATTERN_SCHEMA, "minItems": 1}],
            "description": "An event type, a glob such as order.*, or a list of them.",
        }
    ),
]


class ChannelEntry(Strict):
    """One channel of a plan; ``within`` is how long it may try before the next has its turn."""

    channel: ChannelName
    within: Span | None = None


def _channel_entries(value: Any) -> Any:
    """Accept ``[email, {sms: {within: 5m}}]`` and ``{email: {within: 5m}, sms: {}}``."""
    if isinstance(_not_empty(value), Mapping):
        value = [{channel: options} for channel, options in value.items()]
    return [_channel_entry(item) for item in value] if isinstance(value, list) else value


def _channel_entry(item: Any) -> Any:
    if isinstance(item, str):
        return {"channel": item}
    if isinstance(item, Mapping) and len(item) == 1:
        channel, options = next(iter(item.items()))
        if options is None or isinstance(options, Mapping):
            return {**(options or {}), "channel": channel}
    raise ValueError("write each as a name, or as {email: {within: 10m}}")


def _each_once(entries: tuple[ChannelEntry, ...]) -> None:
    names = [entry.channel.value for entry in entries]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"the channel {name} stands twice")


_CHANNEL_NAMES = [channel.value for channel in ChannelName]
_CHANNEL_OPTIONS = {
    "anyOf": [
        {"type": "null"},
        {"type": "object", "properties": {"within": _DURATION_SCHEMA}, "additionalProperties": False},
    ]
}
_CHANNEL_MAP: dict[str, Json] = {
    "type": "object",
    "properties": dict.fromkeys(_CHANNEL_NAMES, _CHANNEL_OPTIONS),
    "additionalProperties": False,
    "minProperties": 1,
}
Channels = Annotated[
    tuple[ChannelEntry, ...],
    BeforeValidator(_channel_entries),
    WithJsonSchema(
        {
            "anyOf": [
                {
                    "type": "array",
                    "minItems": 1,
                    "items": {"anyOf": [{"enum": _CHANNEL_NAMES}, {**_CHANNEL_MAP, "maxProperties": 1}]},
                },
                _CHANNEL_MAP,
            ],
            "description": "In this order; a later one is used when the one before could not deliver.",
        }
    ),
]


class TellingEntry(Strict):
    """Who is told, how: the keys ``notify``, a stage and a journey's ``defaults`` share."""

    when: str | None = Field(
        default=None, description="CEL over event, data and, in a stage, journey; the rule applies when true."
    )
    recipients: tuple[Source, ...] | None = Field(default=None, description="Who is told.")
    channels: Channels | None = None
    reason: str | None = Field(
        default=None, min_length=1, description="Why they get it, for the footer and the log."
    )
    urgency: Urgency | None = Field(default=None, description="Else the event's, else its type's.")
    template: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9_-]+/[a-z0-9_-]+$",
        description="Domain and event; else made of the type: order.shipped → order/shipped.",
    )
    deadline: Span | None = Field(default=None, description="Else the type's, else the urgency's.")

    @model_validator(mode="after")
    def _channels_once(self) -> Self:
        _each_once(self.channels or ())
        return self


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
    stages: Annotated[tuple[StageEntry, ...], BeforeValidator(_not_empty)] = Field(
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
    enabled: bool = True


class RulesFile(Strict):
    """A file below ``config/rules``."""

    rules: tuple[NotifyEntry | JourneyEntry | ScheduleEntry, ...] = ()


Entry = NotifyEntry | JourneyEntry | ScheduleEntry
Kind = Literal["notify", "journey", "schedule"]
KINDS: Mapping[Kind, type[NotifyEntry] | type[JourneyEntry] | type[ScheduleEntry]] = {
    "notify": NotifyEntry,
    "journey": JourneyEntry,
    "schedule": ScheduleEntry,
}
"""A rule's kind is the key that names it."""
