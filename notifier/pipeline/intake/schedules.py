"""Give each schedule of the rules its due times, and say which events are due of it.

A due time is a timer like any other; an event's id names it, so each makes one event.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from notifier.crypto import Keyring
from notifier.decisions import SetTimer
from notifier.events import Event
from notifier.pipeline.planning.decide import timer_row
from notifier.rules.catch_up import CatchUp, catch_up
from notifier.rules.ruleset import RuleSet, Schedule
from notifier.rules.schedules import fire_key, latest_due, missed_fires, next_fire
from notifier.store.database import Connection, Database
from notifier.store.timers import TimerRow, set_timers, waiting_keys

SOURCE = "notifier"
_PREFIX = "schedule:"
_PLAN_INTERVAL = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fire:
    """A due time of a schedule."""

    at: datetime


class Schedules:
    """The schedules that are switched on."""

    def __init__(self, database: Database, keyring: Keyring, rules: RuleSet) -> None:
        self._database, self._keyring = database, keyring
        self._schedules = {_schedule_key(one): one for one in rules.schedules if one.is_enabled}
        self._planned_at: datetime | None = None

    def plan(self, now: datetime) -> None:
        """Now and then, give each schedule a due time, unless it waits for one already.

        A core with other rules forgets the schedules it does not know. What would have become due since the
        last look is due then; had it been fired already, its event's id would tell.
        """
        before = self._planned_at
        if before is not None and abs(now - before) < _PLAN_INTERVAL:
            return
        keys = {(schedule.tenant, key): schedule for key, schedule in self._schedules.items()}
        with self._database.transaction() as connection:
            missing = keys.keys() - waiting_keys(connection, keys)
            set_timers(connection, [self._next(keys[key], before or now) for key in missing])
        self._planned_at = now

    def events(self, connection: Connection, row: TimerRow, now: datetime) -> list[Event]:
        """Fire for what is due, as the schedule makes up for what was missed; and wait for the next time."""
        schedule = self._schedules.get(row.key)
        if schedule is None:  # renamed, changed or taken out of the rules since
            return []
        before = row.due_at - timedelta(microseconds=1)
        latest = latest_due(schedule.cron, schedule.zone, previous=before, now=now) or row.due_at
        set_timers(connection, [self._next(schedule, latest)])
        if schedule.catch_up is CatchUp.NEWEST:
            return [_fired(schedule, latest)]
        missed = missed_fires(schedule.cron, schedule.zone, previous=before, now=now) or (row.due_at,)
        caught = catch_up(schedule.catch_up, [_Fire(at=at) for at in missed], now)
        others = [one.at.isoformat() for one in caught.mentioned]
        return [_fired(schedule, fire.at, others) for fire in caught.send]

    def wait_again(self, connection: Connection, row: TimerRow, now: datetime) -> None:
        """Wait for the next time, where the timer is a schedule's."""
        if (schedule := self._schedules.get(row.key)) is not None:
            set_timers(connection, [self._next(schedule, now)])

    def _next(self, schedule: Schedule, after: datetime) -> TimerRow:
        """Return the timer for the schedule's first due time after a moment."""
        return timer_row(
            self._keyring,
            schedule.tenant,
            SetTimer(
                key=_schedule_key(schedule),
                due_at=next_fire(schedule.cron, schedule.zone, after),
                event_type=schedule.event_type,
                subject=schedule.subject,
                data={},
            ),
        )


def is_schedule(row: TimerRow) -> bool:
    """Tell whether a timer is a schedule's."""
    return row.key.startswith(_PREFIX)


def _schedule_key(schedule: Schedule) -> str:
    """Name the timer after what it does, so that a changed schedule is another timer."""
    return f"{_PREFIX}{schedule.name}:{schedule.cron}:{schedule.zone}"


def _fired(schedule: Schedule, at: datetime, missed: Sequence[str] = ()) -> Event:
    return Event(
        id=fire_key(schedule.name, at),
        source=SOURCE,
        type=schedule.event_type,
        subject=schedule.subject,
        time=at,
        data={**schedule.data, **({"missed": list(missed)} if missed else {})},
        tenant=schedule.tenant,
    )
