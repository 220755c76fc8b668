"""Turn what is due into events: timers of stuck subjects, and schedules.

The timer goes and its event is decided in one transaction; an event's id names the due time, so however
many sweeps there are, each due time makes one event.
"""

from datetime import UTC, datetime, timedelta

import orjson

from notifier.catalog import Catalog
from notifier.clock import Clock
from notifier.crypto import Keyring
from notifier.errors import EventRefused
from notifier.events import Event, Urgency
from notifier.logs import get_logger
from notifier.pipeline.decide import Decider, timer_row
from notifier.pipeline.incoming import Incoming
from notifier.decisions import SetTimer
from notifier.rules.ruleset import RuleSet, Schedule
from notifier.rules.schedules import fire_key, latest_due, next_fire
from notifier.store.database import Connection, Database
from notifier.store.timers import TimerRow, known_keys, set_timers, take_due

log = get_logger("sweep")

SOURCE = "notifier"
_BATCH = 100
_PREFIX = "schedule:"


class Timers:
    """Fires timers and schedules."""

    def __init__(
        self, *, database: Database, decider: Decider, catalog: Catalog, rules: RuleSet, keyring: Keyring,
        clock: Clock,
    ) -> None:
        self._database, self._decider, self._catalog = database, decider, catalog
        self._keyring, self._clock = keyring, clock
        self._schedules = {_schedule_key(one): one for one in rules.schedules if one.is_enabled}
        self._is_planned = False

    def fire(self) -> set[tuple[str, str]]:
        """Make the events that are due; return the (channel, lane) pairs that have new work."""
        if not self._is_planned:
            self._plan()
            self._is_planned = True
        flows: set[tuple[str, str]] = set()
        now = self._clock.now()
        while True:
            taken, found = self._database.retrying(lambda connection: self._take(connection, now))
            flows |= found
            if taken < _BATCH:
                return flows

    def _plan(self) -> None:
        """Give each schedule its first due time, unless it waits for one already."""
        now = self._clock.now()
        with self._database.transaction() as connection:
            waiting = known_keys(connection, _PREFIX)
            set_timers(
                connection,
                [
                    self._row(schedule, next_fire(schedule.cron, schedule.zone, now))
                    for key, schedule in self._schedules.items()
                    if key not in waiting
                ],
            )

    def _take(self, connection: Connection, now: datetime) -> tuple[int, set[tuple[str, str]]]:
        due = take_due(connection, now, _BATCH)
        if not due:
            return 0, set()
        batch = [incoming for row in due if (incoming := self._incoming(connection, row, now)) is not None]
        flows = self._decider.run(connection, batch, now).flows if batch else set()
        log.info("sweep.fired", timers=len(due), events=len(batch))
        return len(due), flows

    def _incoming(self, connection: Connection, row: TimerRow, now: datetime) -> Incoming | None:
        if row.key.startswith(_PREFIX):
            return self._scheduled(connection, row, now)
        data = orjson.loads(self._keyring.open_data_key(row.data_key).unseal(row.sealed, b"timer"))
        return self._event(
            Event(
                id=f"{row.key}@{row.due_at.astimezone(UTC).isoformat()}", source=SOURCE, type=row.event_type,
                subject=row.subject, time=row.due_at, data=data, tenant=row.tenant,
            ),
            now,
        )

    def _scheduled(self, connection: Connection, row: TimerRow, now: datetime) -> Incoming | None:
        """Fire for the newest due time, and wait for the next one after it."""
        schedule = self._schedules.get(row.key)
        if schedule is None:  # renamed, changed or taken out of the rules since
            return None
        before = row.due_at - timedelta(microseconds=1)
        due = latest_due(schedule.cron, schedule.zone, previous=before, now=now) or row.due_at
        set_timers(connection, [self._row(schedule, next_fire(schedule.cron, schedule.zone, due))])
        return self._event(
            Event(
                id=fire_key(schedule.name, due), source=SOURCE, type=schedule.event_type,
                subject=schedule.subject, time=due, data=dict(schedule.data), tenant=schedule.tenant,
            ),
            now,
        )

    def _event(self, event: Event, now: datetime) -> Incoming | None:
        try:
            entry = self._catalog.check(event.type, event.data)
        except EventRefused as error:
            log.error("sweep.refused", type=event.type, field=error.field, reason=error.reason)
            return None
        return Incoming(event=event, entry=entry, lane=event.urgency or Urgency(entry.urgency), at=now)

    def _row(self, schedule: Schedule, due: datetime) -> TimerRow:
        return timer_row(
            self._keyring, schedule.tenant,
            SetTimer(
                key=_schedule_key(schedule), due_at=due, event_type=schedule.event_type,
                subject=schedule.subject, data={},
            ),
        )


def _schedule_key(schedule: Schedule) -> str:
    """Name the timer after what it does, so that a changed schedule is another timer."""
    return f"{_PREFIX}{schedule.name}:{schedule.cron}:{schedule.zone}"
