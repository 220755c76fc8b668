"""Keep timers and schedules, and make the events they stand for when they are due.

Takes nothing in: what becomes of the events is the world's part.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from notifier.decisions import SetTimer
from notifier.events import Event
from notifier.rules.catch_up import catch_up
from notifier.rules.reminders import Due, name_of, timer_keys, with_missed
from notifier.rules.ruleset import RuleSet
from notifier.rules.schedules import fire_key, next_fire
from notifier.rules.simulation.agenda import Agenda, Phase

SOURCE = "notifier"
TimerKey = tuple[str, str]
"""Tenant, key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Waiting:
    """A timer as catching up sees it."""

    tenant: str
    timer: SetTimer

    @property
    def at(self) -> datetime:
        """When it was due."""
        return self.timer.due_at


@dataclass(slots=True, kw_only=True)
class Timers:
    """All that makes events by the clock."""

    rules: RuleSet
    agenda: Agenda
    _waiting: dict[TimerKey, SetTimer] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._waiting)

    def start(self, now: datetime) -> None:
        """Plan the first firing of each schedule."""
        for number, schedule in enumerate(self.rules.schedules):
            if schedule.is_enabled:
                self._plan(number, now)

    def set(self, tenant: str, timer: SetTimer) -> None:
        """Set a timer, or move it."""
        self._waiting[tenant, timer.key] = timer
        self.agenda.plan(Phase.EVENT, (tenant, timer.key), timer.due_at)

    def cancel(self, tenant: str, key: str) -> None:
        """Take a timer off, if it is set."""
        self._waiting.pop((tenant, key), None)
        self.agenda.plan(Phase.EVENT, (tenant, key), None)

    def fire(self, number: int, due: datetime) -> Event:
        """Return the event of a schedule that is due, and plan its next one."""
        schedule = self.rules.schedules[number]
        self._plan(number, due)
        return Event(
            id=fire_key(schedule.name, due),
            source=SOURCE,
            type=schedule.event_type,
            subject=schedule.subject,
            time=due,
            data=dict(schedule.data),
            tenant=schedule.tenant,
        )

    def expire(self, tenant: str, key: str, now: datetime) -> list[Event]:
        """Return the events of a timer that is due; of a subject's reminders the late ones are looked at together."""
        timer = self._waiting.pop((tenant, key))
        reminder = self.rules.reminders.get(name_of(key) or "")
        if reminder is None:
            return [_event(tenant, timer)]
        offsets = timer_keys(reminder, timer.subject)
        due = [timer]
        for other in offsets:
            sibling = self._waiting.get((tenant, other))
            if sibling is not None and sibling.due_at <= now:
                self.cancel(tenant, other)
                due.append(sibling)
        caught = catch_up(reminder.catch_up, [_Waiting(tenant=tenant, timer=one) for one in due], now)
        missed = [Due(offset=offsets[one.timer.key], at=one.at) for one in caught.mentioned]
        return [_event(tenant, one.timer, missed) for one in caught.send]

    def _plan(self, number: int, after: datetime) -> None:
        schedule = self.rules.schedules[number]
        self.agenda.plan(Phase.EVENT, number, next_fire(schedule.cron, schedule.zone, after))


def _event(tenant: str, timer: SetTimer, missed: list[Due] | None = None) -> Event:
    due = timer.due_at.astimezone(UTC)
    return Event(
        id=f"{timer.key}@{due.isoformat()}",
        source=SOURCE,
        type=timer.event_type,
        subject=timer.subject,
        time=timer.due_at,
        data=with_missed(timer.data, missed) if missed else dict(timer.data),
        tenant=tenant,
    )
