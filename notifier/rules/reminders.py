"""Decide when people are reminded of a date that stands in an event's data.

Pure: an event and the clock come in; timers to set, move and cancel come out. Sends nothing.

A date means a time of day in a zone; a date-time stays at its own time of day in that zone, so many days
before or after. Timers are keyed by subject and offset: setting them again moves them, and as the id of the
event a timer makes has its due time in it, a time that was told is not told again.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from notifier.decisions import CancelTimer, SetTimer
from notifier.events import Event, Json
from notifier.recipients.paths import Missing, look_up, look_up_in_event
from notifier.rules.catch_up import GRACE, CatchUp
from notifier.rules.localtime import find_zone, local_at, moment_of

_KIND = "reminder"
_DAY = timedelta(days=1)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
# RFC 3339, with seconds and the offset left to choice.
_DATE_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?([Zz]|[+-][0-9]{2}:?[0-9]{2})?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reminder:
    """What reminds whom of which date, as the rule file has it."""

    name: str
    patterns: tuple[str, ...]
    """Events of these types set the reminder, or move it."""
    settled_by: tuple[str, ...]
    """Events of these types call it off."""
    date_path: str
    offsets: tuple[timedelta, ...]
    event_type: str
    subject_path: str = "event.subject"
    at: time = time(9)
    zone: ZoneInfo
    zone_paths: tuple[str, ...] = ()
    """Where a zone may stand; ``zone`` holds where none of them has one."""
    catch_up: CatchUp = CatchUp.NEWEST
    is_enabled: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A moment to remind at, so long before (less than zero) or after the date."""

    offset: timedelta
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A moment nobody is reminded at, and why."""

    offset: timedelta
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DueTimes:
    """All moments of one date: those to come, and those that do not come any more."""

    date: str
    """The date, or date-time, in ISO 8601."""
    zone: str
    due: tuple[Due, ...]
    skipped: tuple[Skipped, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reminding:
    """What an event does to a reminder; ``is_set`` is None where it does nothing."""

    reason: str
    actions: tuple[SetTimer | CancelTimer, ...] = ()
    is_set: bool | None = None


def due_times(reminder: Reminder, data: Mapping[str, Json], now: datetime) -> DueTimes | Missing:
    """Return when to remind of the date in an event's data, or why that cannot be said."""
    found = look_up(data, reminder.date_path.removeprefix("data."))
    if isinstance(found, Missing):
        return found
    read = _read(found)
    if read is None:
        return Missing(reason=f"{reminder.date_path} is neither a date nor a date-time of ISO 8601")
    zone = _zone(reminder, data)
    due: list[Due] = []
    skipped: list[Skipped] = []
    for offset in sorted(reminder.offsets):
        one = _due(reminder, read, offset, zone, now)
        if isinstance(one, Due):
            due.append(one)
        else:
            skipped.append(one)
    return DueTimes(date=read.isoformat(), zone=zone.key, due=tuple(due), skipped=tuple(skipped))


def remind(reminder: Reminder, event: Event, now: datetime, *, latest: datetime | None = None) -> Reminding:
    """Return what an event of ``reminder.patterns`` does: set the timers, move them, or nothing.

    ``latest`` is the time of the newest event of this subject that set, moved or settled the reminder.
    """
    subject = subject_of(reminder, event)
    if isinstance(subject, Missing):
        return Reminding(reason=subject.reason)
    if latest is not None and event.time < latest:
        return Reminding(reason="comes late: a newer event of the subject was seen")
    times = due_times(reminder, event.data, now)
    if isinstance(times, Missing):
        if _is_null(event.data, reminder.date_path):
            return Reminding(
                reason="there is no date any more", actions=_off(reminder, subject), is_set=False
            )
        return Reminding(reason=times.reason)
    timers = tuple(_timer(reminder, event, subject, times.date, due) for due in times.due)
    # The date may have come nearer: what an offset waited for must not come for the date of before.
    gone = tuple(CancelTimer(key=timer_key(reminder.name, subject, one.offset)) for one in times.skipped)
    return Reminding(reason=_words(times), actions=(*timers, *gone), is_set=bool(timers))


def settle(reminder: Reminder, event: Event, *, latest: datetime | None = None) -> Reminding:
    """Return what an event of ``reminder.settled_by`` does: call the reminder off."""
    subject = subject_of(reminder, event)
    if isinstance(subject, Missing):
        return Reminding(reason=subject.reason)
    if latest is not None and event.time < latest:
        return Reminding(reason="comes late: a newer event of the subject was seen")
    return Reminding(reason="settled: called off", actions=_off(reminder, subject), is_set=False)


def subject_of(reminder: Reminder, event: Event) -> str | Missing:
    """Return whose date it is."""
    value = look_up_in_event(event, reminder.subject_path)
    if isinstance(value, Missing):
        return value
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        return Missing(reason=f"{reminder.subject_path} is neither a text nor a whole number")
    return str(value)


def timer_key(name: str, subject: str, offset: timedelta) -> str:
    """Return what is unique to a subject's reminder at an offset."""
    return f"{_KIND}:{name}:{subject}:{offset_text(offset)}"


def timer_keys(reminder: Reminder, subject: str) -> dict[str, timedelta]:
    """Return the keys of all timers a subject may have, with their offsets: those to look at together."""
    return {timer_key(reminder.name, subject, offset): offset for offset in reminder.offsets}


def name_of(key: str) -> str | None:
    """Return the name of the reminder a timer belongs to, or None for a timer of another kind."""
    kind, _, rest = key.partition(":")
    return rest.partition(":")[0] if kind == _KIND else None


def with_missed(data: Mapping[str, Json], missed: Sequence[Due]) -> dict[str, Json]:
    """Return the data of a reminder's event that also speaks for others, which were missed."""
    return {
        **data,
        "missed": [{"offset_days": _days(one.offset), "at": one.at.isoformat()} for one in missed],
    }


def offset_text(offset: timedelta) -> str:
    """Write an offset as rule files have it: ``-3d``, ``0d``, ``1d12h``, ``-90m``."""
    days, rest = _parts(abs(offset))
    seconds = int(rest.total_seconds())
    parts = [(days, "d"), (seconds // 3600, "h"), (seconds // 60 % 60, "m"), (seconds % 60, "s")]
    text = "".join(f"{number}{unit}" for number, unit in parts if number)
    return ("-" if offset < timedelta(0) else "") + (text or "0d")


def _read(value: Json) -> date | datetime | None:
    """Read a date or date-time: JSON has them as text, a YAML file of tests as what they are."""
    if isinstance(value, date):
        return value
    if not isinstance(value, str):
        return None
    try:
        if _DATE.fullmatch(value):
            return date.fromisoformat(value)
        return datetime.fromisoformat(value.upper()) if _DATE_TIME.fullmatch(value) else None
    except ValueError:
        return None


def _zone(reminder: Reminder, data: Mapping[str, Json]) -> ZoneInfo:
    for path in reminder.zone_paths:
        if (zone := find_zone(look_up(data, path.removeprefix("data.")))) is not None:
            return zone
    return reminder.zone


def _due(
    reminder: Reminder, value: date | datetime, offset: timedelta, zone: ZoneInfo, now: datetime
) -> Due | Skipped:
    try:
        at = _moment(value, offset, zone, reminder.at)
    except (OverflowError, ValueError):  # years before 1 and after 9999
        return Skipped(offset=offset, reason="lies outside the calendar")
    # What is late when it is set is told if it is still news, unless the rule wants nothing late.
    patience = GRACE if reminder.catch_up is CatchUp.SKIP else _DAY
    if now - at >= patience:
        return Skipped(offset=offset, reason=f"was over more than {_span_text(patience)} before it was set")
    return Due(offset=offset, at=at)


def _moment(value: date | datetime, offset: timedelta, zone: ZoneInfo, at: time) -> datetime:
    """Count days by the calendar of the zone, and what is less than a day as time that passes."""
    sign = -1 if offset < timedelta(0) else 1
    days, rest = _parts(abs(offset))
    if not isinstance(value, datetime):
        return moment_of(datetime.combine(value, at) + sign * days * _DAY, zone) + sign * rest
    if value.tzinfo is None:
        return moment_of(value + sign * days * _DAY, zone) + sign * rest
    if not days:  # as it is: by the local time, the second pass of the doubled hour would be lost
        return value.astimezone(UTC) + sign * rest
    return moment_of(local_at(value, zone) + sign * days * _DAY, zone) + sign * rest


def _parts(span: timedelta) -> tuple[int, timedelta]:
    return span.days, span - span.days * _DAY


def _days(offset: timedelta) -> int | float:
    return offset / _DAY if offset % _DAY else offset // _DAY


def _timer(reminder: Reminder, event: Event, subject: str, of: str, due: Due) -> SetTimer:
    return SetTimer(
        key=timer_key(reminder.name, subject, due.offset),
        # Not moved to now when it is past: its event's id must stay what it was (see above).
        due_at=due.at,
        event_type=reminder.event_type,
        subject=subject,
        data={
            "offset_days": _days(due.offset),
            "due": of,
            "last": dict(event.data),
        },
    )


def _off(reminder: Reminder, subject: str) -> tuple[CancelTimer, ...]:
    return tuple(CancelTimer(key=key) for key in timer_keys(reminder, subject))


def _is_null(data: Mapping[str, Json], path: str) -> bool:
    """Tell a date that was taken away from one the event does not speak of."""
    *parents, last = path.removeprefix("data.").split(".")
    parent = look_up(data, ".".join(parents)) if parents else data
    return isinstance(parent, Mapping) and last in parent and parent[last] is None


def _words(times: DueTimes) -> str:
    set_ = [f"{offset_text(one.offset)} at {one.at.isoformat()}" for one in times.due]
    not_ = [f"{offset_text(one.offset)} {one.reason}" for one in times.skipped]
    return "; ".join((*set_, *not_)) + f" ({times.zone})"


def _span_text(span: timedelta) -> str:
    return "a day" if span == _DAY else f"{span // timedelta(minutes=1)} minutes"
