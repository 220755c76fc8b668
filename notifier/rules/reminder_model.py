"""The shape of ``reminder:`` in a rule file, and the value it stands for.

Shapes only: whether event types exist is checked by whoever compiles the rules.
"""

import re
from datetime import time, timedelta
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from notifier.documents import Strict, read_duration
from notifier.forms import wrong
from notifier.rules.catch_up import CatchUp
from notifier.rules.local_shapes import LocalTime
from notifier.rules.localtime import find_zone
from notifier.rules.reminders import Reminder, offset_text
from notifier.rules.shapes import EventName, Name, Patterns, listed

_SIGNED = re.compile(r"([+-]?)(.+)")
_FURTHEST = timedelta(days=3660)
_DATA_PATH: Final = r"data(\.\w+)+"


def _offset(value: Any) -> Any:
    mend = "write days before as -3d, days after as 7d, the day itself as 0d"
    if isinstance(value, timedelta):
        return value
    signed = _SIGNED.fullmatch(value) if isinstance(value, str) else None
    try:
        span = read_duration(signed[2] if signed else value)
    except ValueError:
        raise wrong("must be so long before or after the date", mend) from None
    if span > _FURTHEST or span % timedelta(seconds=1):
        raise wrong("must be whole seconds, and ten years at most", mend)
    return -span if signed and signed[1] == "-" else span


def _distinct(offsets: tuple[timedelta, ...]) -> tuple[timedelta, ...]:
    for offset in offsets:
        if offsets.count(offset) > 1:
            raise wrong(f"the offset {offset_text(offset)} stands twice", "keep one; 24h is 1d")
    return offsets


def _zones(zones: tuple[str, ...]) -> tuple[str, ...]:
    mend = "write Europe/Berlin, or [data.customer.zone, Europe/Berlin]"
    *paths, last = zones
    for path in paths:
        if not re.fullmatch(_DATA_PATH, path):
            raise wrong("only paths in data may stand before the zone", mend)
    if re.fullmatch(_DATA_PATH, last):
        raise wrong("needs a zone at the end, for events that name none", mend)
    if find_zone(last) is None:
        raise wrong("is no time zone of the IANA database", mend)
    return zones


_OFFSET_SCHEMA: Final = {"type": "string", "pattern": r"^[+-]?(\d+(ms|[dhms]))+$"}
Offset = Annotated[timedelta, BeforeValidator(_offset), WithJsonSchema(_OFFSET_SCHEMA)]
"""So long before or after: ``-3d``, ``0d``, ``7d``, ``-2h``."""

Offsets = Annotated[tuple[Offset, ...], BeforeValidator(listed), AfterValidator(_distinct)]

Zones = Annotated[
    tuple[str, ...],
    BeforeValidator(listed),
    AfterValidator(_zones),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
"""Paths in data where a zone may stand, and last the zone that holds where none does."""


class ReminderEntry(Strict):
    """Make events before, on and after a date that stands in the data."""

    reminder: Name = Field(description="The reminder's name, unique among the reminders.")
    on: Patterns = Field(description="What sets it; again, what moves it.")
    when: str | None = Field(
        default=None, description="CEL over event and data: an event of `on` sets it if true."
    )
    until: Patterns | None = Field(default=None, description="What settles the matter: it is called off.")
    until_when: str | None = Field(
        default=None, description="CEL over event and data: an event of `until` settles it if true."
    )
    subject: str = Field(
        default="event.subject",
        pattern=r"^(event\.(subject|id|source|tenant)|data(\.\w+)+)$",
        description="Whose date it is: event.subject, or a path such as data.invoice.",
    )
    date: str = Field(
        pattern=f"^{_DATA_PATH}$",
        description="Where the date stands: data.due_at; a date, or a date with a time.",
    )
    offsets: Offsets = Field(description="-3d is three days before, 0d the day itself, 7d a week after.")
    at: LocalTime = Field(default=time(9), description="The local time of day, for dates.")
    zone: Zones = Field(
        default=("UTC",), description="IANA time zone, or [data.customer.zone, Europe/Berlin]."
    )
    event: EventName = Field(
        description="The type of the event that is made; its data: offset_days, due, and last, "
        "the data of the event that set it."
    )
    catch_up: CatchUp = Field(
        default=CatchUp.NEWEST, description="What becomes of those that were missed while nothing ran."
    )
    enabled: bool = True

    def compiled(self) -> Reminder:
        """Return the reminder."""
        *paths, last = self.zone
        return Reminder(
            name=self.reminder,
            patterns=self.on,
            settled_by=self.until or (),
            subject_path=self.subject,
            date_path=self.date,
            offsets=self.offsets,
            at=self.at,
            zone=ZoneInfo(last),
            zone_paths=tuple(paths),
            event_type=self.event,
            catch_up=self.catch_up,
            is_enabled=self.enabled,
        )
