"""The pieces the shapes of all rules are made of: names, spans, types, channels, and who is told how.

Shapes only; the rules themselves stand in ``model``.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Self

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
Wait = Annotated[Duration, Field(ge=timedelta(0)), WithJsonSchema(_DURATION_SCHEMA)]
"""A length of time, or 0s."""

# Names become parts of keys such as ``journey:returns:R-1:approved``: no colons.
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
EventName = Annotated[str, Field(pattern=r"^[a-z0-9_]+(\.[a-z0-9_]+)+$")]


def not_empty(value: Any) -> Any:
    """Refuse a list or mapping that names nothing."""
    # Pydantic's own min_length counts only what is valid, and so adds a second error to every first.
    if value in ([], (), {}):
        raise ValueError("must name at least one")
    return value


def listed(value: Any) -> Any:
    """Accept one where a list is meant."""
    return [value] if isinstance(value, str) else not_empty(value)


_PATTERN = r"^[a-z0-9_.*?]+$"
_PATTERN_SCHEMA = {"type": "string", "pattern": _PATTERN}
Patterns = Annotated[
    tuple[Annotated[str, Field(pattern=_PATTERN)], ...],
    BeforeValidator(listed),
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
    if isinstance(not_empty(value), Mapping):
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
    ignore_quiet: bool | None = Field(
        default=None,
        description="true: told at once, past quiet hours, digests and budgets; false: held by them even "
        "where urgent. Else what is urgent is told at once.",
    )

    @model_validator(mode="after")
    def _channels_once(self) -> Self:
        _each_once(self.channels or ())
        return self
