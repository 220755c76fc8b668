"""The shape of ``rotation:`` in a rule file, and the value it stands for.

Shapes only: whether the windows exist is checked by whoever compiles the rules.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, time, timedelta
from typing import Annotated, Any, Self
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from notifier.documents import Strict, read_duration
from notifier.errors import EventRefused
from notifier.events import Recipient
from notifier.forms import Zone, wrong
from notifier.rules.alerting.rotations import Layer, Override, Rotation
from notifier.rules.alerting.windows import Window
from notifier.rules.local_shapes import LocalDate, LocalMoment, LocalTime
from notifier.rules.shapes import Name, listed, not_empty

_SHORTEST = timedelta(hours=1)
_LONGEST = timedelta(days=366)
_WEEKS = re.compile(r"([0-9]{1,3})w(.*)")


def _every(value: Any) -> Any:
    """Read ``1w`` and ``2w3d`` beside what is a duration everywhere."""
    weeks = _WEEKS.fullmatch(value) if isinstance(value, str) else None
    try:
        rest = read_duration(weeks[2]) if weeks and weeks[2] else read_duration(value) if not weeks else None
    except ValueError:
        raise wrong("must be the length of a turn", "write it as 1w, 1d or 12h") from None
    every = timedelta(weeks=int(weeks[1]) if weeks else 0) + (rest or timedelta(0))
    if not _SHORTEST <= every <= _LONGEST:
        raise wrong("must be a turn of one hour to 366 days", "write it as 1w, 1d or 12h")
    return every


def _person(value: Any) -> Any:
    if isinstance(value, Recipient):
        return value
    try:
        return Recipient.from_json(value, "person")
    except EventRefused as error:
        raise wrong(
            f"{error.field} {error.reason}", "write an address, or {email: …, phone: …, name: …}"
        ) from None


Every = Annotated[
    timedelta,
    BeforeValidator(_every),
    WithJsonSchema({"type": "string", "pattern": r"^(\d+w)?(\d+(ms|[dhms]))*$", "minLength": 2}),
]
"""How long a turn is."""

Person = Annotated[
    Recipient,
    BeforeValidator(_person),
    WithJsonSchema(
        {
            "anyOf": [{"type": "string"}, {"type": "object", "additionalProperties": {"type": "string"}}],
            "description": "An address, or {email, phone, name, locale, zone, contact}, as under `lists:`.",
        }
    ),
]
"""Somebody who takes turns."""

People = Annotated[tuple[Person, ...], BeforeValidator(not_empty)]


class LayerEntry(Strict):
    """People who take turns."""

    people: People = Field(description="In this order; the first has the first turn.")
    start: LocalDate = Field(description="The local date of the first hand-over.")
    every: Every = Field(description="How long a turn is: 1w, 1d, 12h.")
    at: LocalTime = Field(default=time(9), description="The local time of the first hand-over.")
    only: Annotated[tuple[Name, ...], BeforeValidator(listed)] | None = Field(
        default=None, description="Windows; outside of them the layer before it in this list answers."
    )


class OverrideEntry(Strict):
    """Who is on call instead, for a while."""

    start: LocalMoment = Field(alias="from", description="A local time of `zone`.")
    end: LocalMoment = Field(alias="until", description="A local time of `zone`, not included.")
    people: People

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.end <= self.start:
            raise wrong("`until` must be after `from`", "exchange them, or mend the dates")
        return self


class RotationEntry(Strict):
    """A list whose members depend on the time."""

    rotation: Name = Field(description="The name, used as `list:`; unique among lists and rotations.")
    zone: Zone = Field(default="UTC", description="IANA time zone, such as Europe/Berlin.")
    layers: Annotated[tuple[LayerEntry, ...], BeforeValidator(not_empty)] = Field(
        description="Later ones lie on top."
    )
    overrides: tuple[OverrideEntry, ...] = ()

    @property
    def window_names(self) -> tuple[str, ...]:
        """Return the names of all windows it needs."""
        return tuple(dict.fromkeys(name for layer in self.layers for name in layer.only or ()))

    def compiled(self, windows: Mapping[str, Sequence[Window]]) -> Rotation:
        """Return the rotation; ``windows`` has all of :attr:`window_names`."""
        return Rotation(
            name=self.rotation,
            zone=ZoneInfo(self.zone),
            layers=tuple(_layer(one, windows) for one in self.layers),
            overrides=tuple(
                Override(start=one.start, end=one.end, people=one.people) for one in self.overrides
            ),
        )


def _layer(entry: LayerEntry, windows: Mapping[str, Sequence[Window]]) -> Layer:
    return Layer(
        people=entry.people,
        start=datetime.combine(entry.start, entry.at),
        every=entry.every,
        only=tuple(window for name in entry.only or () for window in windows[name]),
    )
