"""Compute when a schedule fires: cron in an IANA zone, from the previous due time.

Daylight saving follows Debian cron: what falls into the missing hour fires once, right after it; what falls
into the doubled hour fires once, at its first pass. Jobs of every hour or minute follow the real time.
"""

from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError


class NeverFiresError(ValueError):
    """The cron expression is wrong, or matches no day that exists."""


def next_fire(cron: str, zone: str, after: datetime) -> datetime:
    """Return the first due time after ``after``, as UTC.

    Raises:
        NeverFiresError: the expression is wrong or there is no such time within 50 years.
    """
    try:
        return next(_fires(cron, zone, after))
    except CronSimError as error:
        raise NeverFiresError(f"not a cron expression: {error}") from None
    except StopIteration:
        raise NeverFiresError("there is no such day") from None


def latest_due(cron: str, zone: str, *, previous: datetime, now: datetime) -> datetime | None:
    """Return the due time to fire for now, or None when nothing became due since ``previous``.

    After downtime that is the most recent one only: eight missed digests are one digest, not eight.
    """
    span = timedelta(hours=1)
    # A window that doubles backwards from now finds it in few steps, however long the downtime was.
    while True:
        start = max(previous, now - span)
        due = _last(cron, zone, start, now)
        if due is not None or start == previous:
            return due
        span *= 8


def missed_fires(
    cron: str, zone: str, *, previous: datetime, now: datetime, limit: int = 100
) -> tuple[datetime, ...]:
    """Return the newest due times after ``previous`` and up to ``now``, oldest first: a hundred at most."""
    found: deque[datetime] = deque(maxlen=limit)
    due = next_fire(cron, zone, previous)
    while due <= now:
        found.append(due)
        due = next_fire(cron, zone, due)
    return tuple(found)


def fire_key(schedule: str, due: datetime) -> str:
    """Return what is unique to one firing of a schedule; the id of its event."""
    return f"schedule:{schedule}:{due.astimezone(UTC).isoformat()}"


def _last(cron: str, zone: str, after: datetime, until: datetime) -> datetime | None:
    last: datetime | None = None
    due = next_fire(cron, zone, after)
    while due <= until:
        last = due
        due = next_fire(cron, zone, due)
    return last


def _fires(cron: str, zone: str, after: datetime) -> Iterator[datetime]:
    for local in CronSim(cron, after.astimezone(ZoneInfo(zone))):
        due = local.astimezone(UTC)
        # In the second pass of the doubled hour cronsim starts from the first one, and looks back.
        if due > after:
            yield due
