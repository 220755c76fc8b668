"""Take charge of alerts, and give them back: of one, or of all that a group told.

Locks alerts before groups, like all who change both, and writes through ``Alerts``, so that the groups look
again at what they have to say. Tells nobody.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from notifier.alerts import AlertState, AlertStatus
from notifier.clock import Clock
from notifier.crypto import Keyring
from notifier.decisions import TrackAlert
from notifier.logs import get_logger
from notifier.pipeline.alerting.alert_states import open_alert
from notifier.pipeline.alerting.alerts import Alerts, Moved
from notifier.rules.alerting.occurrences import acknowledge, unacknowledge
from notifier.rules.ruleset import RuleSet
from notifier.store.alert_members import members_of
from notifier.store.alerts import KeptAlert, lock_these
from notifier.store.database import Connection, Database

log = get_logger("alerts")

_Change = Callable[[AlertState], AlertState]


@dataclass(frozen=True, slots=True, kw_only=True)
class Acked:
    """What came of it."""

    count: int = 0
    """Alerts that changed hands now."""
    already: int = 0
    """Those that fire and stood like that before."""

    @property
    def is_over(self) -> bool:
        """Tell whether nothing of it fires any more."""
        return not self.count and not self.already


class Acknowledger:
    """Acknowledges alerts; doing it twice is doing it once."""

    def __init__(
        self, database: Database, alerts: Alerts, rules: RuleSet, keyring: Keyring, clock: Clock
    ) -> None:
        self._database, self._alerts, self._rules = database, alerts, rules
        self._keyring, self._clock = keyring, clock

    def group(self, group: UUID, by: str, at: datetime, *, told_until: datetime | None = None) -> Acked:
        """Take charge of what fires in a group.

        Args:
            group: Its id; one that is gone is over.
            by: Who takes charge, in words.
            at: When they said so.
            told_until: Only of what began until then and was told: what a message spoke of.
        """
        return self._database.retrying(
            lambda connection: self.group_within(connection, group, by, at, told_until=told_until)
        )

    def group_within(
        self, connection: Connection, group: UUID, by: str, at: datetime, *, told_until: datetime | None
    ) -> Acked:
        """Take charge of what fires in a group, in a transaction of the caller's that holds no locks yet."""
        members = [
            row.alert_id for row in members_of(connection, [group]) if told_until is None or row.told_firing
        ]
        return self._change(connection, members, _taking(by, at, told_until), AlertStatus.ACKNOWLEDGED)

    def alert(self, alert: UUID, by: str, at: datetime) -> Acked:
        """Take charge of one alert."""
        return self._one(alert, _taking(by, at, None), AlertStatus.ACKNOWLEDGED)

    def unacknowledge(self, alert: UUID) -> Acked:
        """Give one alert back: nobody has charge of it."""
        return self._one(alert, unacknowledge, AlertStatus.FIRING)

    def unacknowledge_group(self, group: UUID) -> Acked:
        """Give back all that fires in a group."""

        def change(connection: Connection) -> Acked:
            members = [row.alert_id for row in members_of(connection, [group])]
            return self._change(connection, members, unacknowledge, AlertStatus.FIRING)

        return self._database.retrying(change)

    def _one(self, alert: UUID, change: _Change, goal: AlertStatus) -> Acked:
        return self._database.retrying(lambda connection: self._change(connection, [alert], change, goal))

    def _change(
        self, connection: Connection, ids: Iterable[UUID], change: _Change, goal: AlertStatus
    ) -> Acked:
        moved: list[Moved] = []
        already = 0
        for row in lock_these(connection, ids):
            before = open_alert(self._keyring, row)
            after = change(before)
            if after != before:
                moved.append(_moved(row, before, after))
            elif before.status is goal:
                already += 1
        if moved:
            self._alerts.move(connection, moved, self._clock.now())
        log.info("alerts.changed", to=goal.value, count=len(moved), already=already)
        return Acked(count=len(moved), already=already)


def _taking(by: str, at: datetime, told_until: datetime | None) -> _Change:
    def take(state: AlertState) -> AlertState:
        is_later = told_until is not None and state.started_at is not None and state.started_at > told_until
        return state if is_later else acknowledge(state, by, at)

    return take


def _moved(row: KeptAlert, before: AlertState, after: AlertState) -> Moved:
    key = row.digest.hex()
    action = TrackAlert(rule=row.rule, key=key, state=after, is_changed=True)
    return Moved(key=(row.tenant, row.rule, key), id=row.id, before=before, action=action)
