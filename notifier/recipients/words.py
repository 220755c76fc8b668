"""Say moments and lengths of time as people read them, for the reason of a verdict.

Never a person's data: times and zones only.
"""

from datetime import datetime, timedelta

from notifier.recipients.local_times import zone_of

_UNITS = (("d", timedelta(days=1)), ("h", timedelta(hours=1)), ("m", timedelta(minutes=1)))
_SOON = timedelta(hours=24)


def span(length: timedelta) -> str:
    """Write a length of time the way files do: ``1h30m``."""
    parts, rest = [], length
    for unit, size in _UNITS:
        count, rest = divmod(rest, size)
        parts += [f"{count}{unit}"] if count else []
    seconds, rest = divmod(rest, timedelta(seconds=1))
    parts += [f"{seconds}s"] if seconds else []
    parts += [f"{-(-rest // timedelta(milliseconds=1))}ms"] if rest else []
    return "".join(parts) or "0s"


def until(at: datetime, zone: str | None, now: datetime) -> str:
    """Write a moment to come in the person's zone: the time alone where it comes within a day."""
    tz = zone_of(zone)
    local = at.astimezone(tz)
    # Where the zone is unknown, the time is UTC's, and so is the name.
    name = zone if zone and str(tz) == zone else "UTC"
    form = "%H:%M" if at - now < _SOON else "%Y-%m-%d %H:%M"
    return f"{local.strftime(form)} {name}"
