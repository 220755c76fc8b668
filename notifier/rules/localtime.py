"""Say when a local time happens: moments from wall clocks, through both changes of the clock.

Pure arithmetic on the time zone database. What falls into the missing hour happens right after it, what falls
into the doubled hour once, at its first pass: as Debian's cron, and as ``schedules`` does.
"""

from bisect import bisect_left
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

_SECOND = timedelta(seconds=1)


def moment_of(local: datetime, zone: ZoneInfo) -> datetime:
    """Return the moment, as UTC, at which clocks of ``zone`` show ``local``, a time without an offset.

    Raises:
        OverflowError: it lies outside the calendar.
    """
    moment = local.replace(tzinfo=zone, fold=0).astimezone(UTC)
    return moment if local_at(moment, zone) == local else _end_of_gap(local, zone, moment)


def local_at(moment: datetime, zone: ZoneInfo) -> datetime:
    """Return what clocks of ``zone`` show then, without an offset."""
    return moment.astimezone(zone).replace(tzinfo=None, fold=0)


def find_zone(name: object) -> ZoneInfo | None:
    """Return the zone of an IANA name, or None where this machine knows none of it."""
    if not isinstance(name, str) or not name:
        return None
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, LookupError):  # a folder of zones is no zone, nor is ../x
        return None


def _end_of_gap(local: datetime, zone: ZoneInfo, after: datetime) -> datetime:
    """Return when the clock was put forward; ``after`` is not before that, by the offset of before."""
    # With fold=1 Python takes the offset of after the change (PEP 495): that is a moment before it.
    before = local.replace(tzinfo=zone, fold=1, microsecond=0).astimezone(UTC)
    old = before.astimezone(zone).utcoffset()
    seconds = range((after - before) // _SECOND + 2)
    passed = bisect_left(
        seconds, True, key=lambda second: (before + second * _SECOND).astimezone(zone).utcoffset() != old
    )
    return before + passed * _SECOND
