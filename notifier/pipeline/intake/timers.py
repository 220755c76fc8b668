"""Turn the timers that are due into events: those of stuck subjects, of reminders, and of schedules.

The timer goes and its event is decided in one transaction; an event's id names the due time, so however
many sweeps there are, each due time makes one event.
"""

import contextlib
import functools
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import orjson

from notifier.catalog import Catalog
from notifier.clock import Clock
from notifier.crypto import Keyring
from notifier.errors import EventRefused, KeyMissing, NotifierError
from notifier.events import Event, Urgency
from notifier.logs import get_logger
from notifier.pipeline.incoming import PROCESSING_ERRORS, WAITING_ERRORS, Incoming, check_tenant
from notifier.pipeline.intake.letters import describe, sealed_letter
from notifier.pipeline.intake.schedules import SOURCE, Schedules, is_schedule
from notifier.pipeline.planning.decide import Decider
from notifier.rules.catch_up import catch_up, is_missed
from notifier.rules.reminders import Due, name_of, timer_keys, with_missed
from notifier.rules.ruleset import RuleSet
from notifier.store.database import Connection, Database, DatabaseSlow, DatabaseUnavailable
from notifier.store.dead_letters import DeadLetter, bury
from notifier.store.tenants import known_tenants
from notifier.store.timers import TimerRow, take_due, take_these, take_this

log = get_logger("sweep")

_BATCH = 100
_STINT_SECONDS = 0.5
"""A sweep fires timers for so long at most: what is left is due in the next one too."""
_LEFT_SECONDS = 30.0
"""A timer this process can do nothing with, for now, is left to others for so long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Due:
    """A timer that is due, and those it speaks for because they were missed."""

    row: TimerRow
    missed: tuple["_Due", ...] = ()

    @property
    def at(self) -> datetime:
        """When it was due."""
        return self.row.due_at


class _CannotOpen(KeyMissing):
    """The timers need a key this process lacks."""


class Timers:
    """Fires timers and schedules."""

    def __init__(
        self,
        *,
        database: Database,
        decider: Decider,
        catalog: Catalog,
        rules: RuleSet,
        keyring: Keyring,
        clock: Clock,
    ) -> None:
        self._database, self._decider, self._catalog = database, decider, catalog
        self._keyring, self._clock = keyring, clock
        self._schedules = Schedules(database, keyring, rules)
        self._reminders = {name: one for name, one in rules.reminders.items() if one.is_enabled}
        self._left, self._left_until = set[tuple[str, str]](), 0.0
        self._why: NotifierError | None = None

    def fire(self) -> set[tuple[str, str]]:
        """Make the events that are due, for a stint at most; return the (channel, lane) pairs with new work."""
        flows: set[tuple[str, str]] = set()
        now, limit = self._clock.now(), _BATCH
        end = time.monotonic() + _STINT_SECONDS
        self._look_anew()
        self._schedules.plan(now)
        while True:
            due: list[TimerRow] = []
            take = functools.partial(self._take, now=now, limit=limit, due=due)
            try:
                flows |= self._database.retrying(take)
                is_over = len(due) < limit
            except PROCESSING_ERRORS as error:
                limit, is_over = self._put_aside(due, now, error), False
                if limit == 1:
                    continue
            if is_over or time.monotonic() > end:
                return flows

    def check(self) -> None:
        """Say so where timers are due that this process can do nothing with, for now.

        Raises:
            KeyMissing: it lacks a key they need.
            DatabaseSlow: the database took too long for them.
        """
        if self._why is not None:
            raise self._why

    def _look_anew(self) -> None:
        """After a while, try what was left to others."""
        if self._left and time.monotonic() > self._left_until:
            self._left, self._why = set(), None

    def _put_aside(self, due: Sequence[TimerRow], now: datetime, error: Exception) -> int:
        """Bury the timer that failed, or leave it; where it is one of several, find it first.

        Returns:
            How many to take next.
        """
        is_away = isinstance(error, DatabaseUnavailable) and not isinstance(error, DatabaseSlow)
        if is_away or not due:  # no timer is to blame
            raise error
        if len(due) > 1 and not isinstance(error, _CannotOpen):
            return 1
        if isinstance(error, WAITING_ERRORS):
            self._leave(due, error)
        else:
            self._database.retrying(functools.partial(self._bury, row=due[0], now=now, error=error))
        return _BATCH

    def _leave(self, rows: Sequence[TimerRow], why: NotifierError) -> None:
        if not self._left:
            self._left_until = time.monotonic() + _LEFT_SECONDS
        self._left |= {(row.tenant, row.key) for row in rows}
        self._why = why
        log.warning("sweep.left", timers=len(rows), reason=str(why))

    def _bury(self, connection: Connection, row: TimerRow, now: datetime, error: Exception) -> None:
        """Move the timer that cannot be processed to the dead letters, unless somebody else has it by now."""
        if not take_this(connection, row):
            return
        bury(connection, self._letter(row, kind="poison", error=describe(error), field=None))
        self._schedules.wait_again(connection, row, now)  # one firing is lost, not all to come
        log.error("sweep.buried", type=row.event_type, error=describe(error))

    def _take(
        self, connection: Connection, now: datetime, limit: int, due: list[TimerRow]
    ) -> set[tuple[str, str]]:
        """Fire up to so many timers; ``due`` then says which, also where this fails."""
        due[:] = take_due(connection, now, limit, self._left)
        if not due:
            return set()
        self._check_keys(due)
        tenants = known_tenants(connection)
        made = [
            (row, one)
            for row in self._caught_up(connection, due, now)
            for one in self._incoming(connection, row, now)
        ]
        batch = [one for row, one in made if self._is_sendable(connection, row.row, one, tenants)]
        flows = self._decider.run(connection, batch, now).flows if batch else set()
        log.info("sweep.fired", timers=len(due), events=len(batch))
        return flows

    def _check_keys(self, due: list[TimerRow]) -> None:
        """Tell all timers at once that cannot be opened here; ``due`` then has only those."""
        lacking: list[TimerRow] = []
        for row in due:
            try:
                if not is_schedule(row):
                    self._keyring.open_data_key(row.data_key)
            except KeyMissing as error:
                lacking.append(row)
                why = error
            except NotifierError:  # it is the one timer's fault, and comes up again
                continue
        if lacking:
            due[:] = lacking
            raise _CannotOpen(str(why)) from why

    def _caught_up(self, connection: Connection, due: list[TimerRow], now: datetime) -> list["_Due"]:
        """Return what is made of the timers; of a subject's reminders the late ones are looked at together."""
        made: list[_Due] = []
        late: dict[tuple[str, str, str], list[TimerRow]] = {}
        for row in due:
            name = name_of(row.key)
            if name is None:
                made.append(_Due(row=row))
            elif self._is_wanted(name, row):
                late.setdefault((row.tenant, name, row.subject), []).append(row)
            else:
                log.info("sweep.dropped", reminder=name, type=row.event_type)
        for (tenant, name, subject), rows in late.items():
            reminder = self._reminders[name]
            keys = [(tenant, key) for key in timer_keys(reminder, subject)]
            siblings = (
                take_these(connection, keys, now) if any(is_missed(row.due_at, now) for row in rows) else []
            )
            caught = catch_up(reminder.catch_up, [_Due(row=row) for row in (*rows, *siblings)], now)
            made += (replace(one, missed=caught.mentioned) for one in caught.send)
        return made

    def _is_wanted(self, name: str, row: TimerRow) -> bool:
        """Tell whether the rules still have what set the timer: else nothing would have called it off."""
        reminder = self._reminders.get(name)
        return reminder is not None and row.key in timer_keys(reminder, row.subject)

    def _incoming(self, connection: Connection, due: "_Due", now: datetime) -> list[Incoming]:
        row = due.row
        if is_schedule(row):
            events = self._schedules.events(connection, row, now)
            return [one for event in events for one in self._event(connection, row, event, now)]
        data = orjson.loads(self._keyring.open_data_key(row.data_key).unseal(row.sealed, b"timer"))
        if due.missed:
            offsets = timer_keys(self._reminders[name_of(row.key) or ""], row.subject)
            data = with_missed(data, [Due(offset=offsets[one.row.key], at=one.at) for one in due.missed])
        event = Event(
            id=f"{row.key}@{row.due_at.astimezone(UTC).isoformat()}",
            source=SOURCE,
            type=row.event_type,
            subject=row.subject,
            time=row.due_at,
            data=data,
            tenant=row.tenant,
        )
        return self._event(connection, row, event, now)

    def _event(self, connection: Connection, row: TimerRow, event: Event, now: datetime) -> list[Incoming]:
        try:
            entry = self._catalog.check(event.type, event.data)
        except EventRefused as error:
            self._refuse(connection, row, error)
            return []
        return [Incoming(event=event, entry=entry, lane=event.urgency or Urgency(entry.urgency), at=now)]

    def _is_sendable(
        self, connection: Connection, row: TimerRow, one: Incoming, tenants: frozenset[str]
    ) -> bool:
        """Tell whether the event's tenant is known: what came of it could never be sent otherwise."""
        try:
            check_tenant(one.event, tenants)
        except EventRefused as error:
            self._refuse(connection, row, error)
            return False
        return True

    def _refuse(self, connection: Connection, row: TimerRow, error: EventRefused) -> None:
        bury(connection, self._letter(row, kind="refused", error=error.reason, field=error.field))
        log.error("sweep.refused", type=row.event_type, field=error.field, reason=error.reason)

    def _letter(self, row: TimerRow, *, kind: str, error: str, field: str | None) -> DeadLetter:
        """Return the event a timer would have made, as far as it can be told, for the dead letters."""
        event = {
            "id": f"{row.key}@{row.due_at.astimezone(UTC).isoformat()}",
            "source": SOURCE,
            "type": row.event_type,
            "subject": row.subject,
            "time": row.due_at.isoformat(),
            "tenant": row.tenant,
        }
        with contextlib.suppress(NotifierError, ValueError):
            event["data"] = orjson.loads(
                self._keyring.open_data_key(row.data_key).unseal(row.sealed, b"timer")
            )
        return sealed_letter(
            self._keyring,
            orjson.dumps(event),
            kind=kind,
            tenant=row.tenant,
            source=SOURCE,
            external_id=event["id"],
            type=row.event_type,
            field=field,
            error=error,
            lane=Urgency.NORMAL,
        )
