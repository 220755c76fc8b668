"""Keep alerts and their groups in step with what the rules decided: lock, fold, write, and plan when groups speak.

Locks alerts first and groups after them, each in order of keys, so that workers never wait for each other in a
ring. Tells nobody: ``groups`` does, when a group is due.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

import orjson

from notifier.alerts import AlertState, AlertStatus
from notifier.crypto import Keyring
from notifier.decisions import Join, TrackAlert
from notifier.ids import uuid7
from notifier.pipeline.alerting.alert_states import alert_row, open_alert
from notifier.pipeline.incoming import Incoming
from notifier.rules.alerting.cadence import Cadence, Group, touch
from notifier.rules.alerting.escalating import policy_for, with_end
from notifier.rules.ruleset import RuleSet
from notifier.store.alert_groups import (
    GroupId,
    GroupRow,
    find_groups,
    group_id,
    lock_groups,
    open_groups,
    plan_groups,
)
from notifier.store.alert_members import add_members, groups_muted_by, groups_of
from notifier.store.alerts import AlertId, alert_id, forget_alerts, lock_alerts, save_alerts
from notifier.store.database import Connection

AlertKey = tuple[str, str, str]
"""Tenant, rule, key."""
_TRIES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """An alert that is locked."""

    id: UUID
    state: AlertState


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """What became of an alert."""

    key: AlertKey
    id: UUID
    before: AlertState
    action: TrackAlert


@dataclass(frozen=True, slots=True, kw_only=True)
class _Locked:
    """Groups that are locked, and (group, alert): who has to be in them, and of whom they have to hear."""

    groups: Mapping[UUID, GroupRow]
    joining: set[tuple[UUID, UUID]]
    touched: set[tuple[UUID, UUID]]


class Alerts:
    """Loads and writes alerts, and opens and touches their groups."""

    def __init__(self, rules: RuleSet, keyring: Keyring) -> None:
        self._rules, self._keyring = rules, keyring

    def lock(self, connection: Connection, batch: Sequence[Incoming]) -> dict[AlertKey, Kept]:
        """Lock and return the alerts that events of the batch may speak of."""
        wanted = {
            (one.event.tenant, rule, key) for one in batch for rule, key in self._rules.alert_keys(one.event)
        }
        keys = {self._id(*one): one for one in wanted}
        return {
            keys[row.tenant, row.rule, row.digest]: Kept(id=row.id, state=open_alert(self._keyring, row))
            for row in lock_alerts(connection, keys)
        }

    def write(
        self,
        connection: Connection,
        kept: Mapping[AlertKey, Kept],
        actions: Iterable[tuple[str, TrackAlert]],
        now: datetime,
    ) -> None:
        """Write what a batch made of the alerts it locked; ``actions`` as (tenant, action), oldest first."""
        last: dict[AlertKey, TrackAlert] = {}
        for tenant, action in actions:
            key = (tenant, action.rule, action.key)
            known = last.get(key)
            is_more = known is not None and known.is_changed and not action.is_changed
            last[key] = replace(action, is_changed=True) if is_more else action
        forget_alerts(
            connection, [one.id for key, one in kept.items() if key not in last and _is_new(one.state)]
        )
        moved = [
            Moved(key=key, id=kept[key].id, before=kept[key].state, action=action)
            for key, action in last.items()
        ]
        self.move(connection, moved, now)

    def move(self, connection: Connection, moved: Sequence[Moved], now: datetime) -> None:
        """Write alerts that are locked, and let their groups know."""
        moved = [self._with_timeout(one) for one in moved]
        save_alerts(
            connection,
            [
                alert_row(
                    self._keyring, one.id, one.action.state, is_source=self._is_source(one.action.state)
                )
                for one in moved
            ],
        )
        joins = {
            (self._group_id(one.key[0], join), one.id): join
            for one in moved
            if one.action.state.is_firing
            for join in one.action.joins
        }
        locked = self._lock_groups(connection, joins, moved, now)
        fresh = add_members(
            connection, [(group, alert, locked.groups[group].tenant) for group, alert in locked.joining]
        )
        started = {one.id: one.action.state.started_at for one in moved if one.action.state.is_firing}
        self._touch(connection, locked.groups, fresh | locked.touched, started, now)

    def _lock_groups(
        self,
        connection: Connection,
        joins: Mapping[tuple[GroupId, UUID], Join],
        moved: Sequence[Moved],
        now: datetime,
    ) -> "_Locked":
        """Lock the groups the alerts join or are touched by, opening those there are not yet.

        One that goes on firing leaves its groups alone: they have it as a member, and no sweep drops it. A group
        may be closed by a sweep between our look and our lock: then there is none, and it is opened anew.
        """
        wanted = {group: join for (group, _), join in joins.items()}
        changed = {one.id for one in moved if one.action.is_changed}
        steady = {one.id for one in moved if one.before.is_firing} - changed
        alerts = changed | {alert for _, alert in joins}
        for _ in range(_TRIES):
            found = find_groups(connection, wanted)
            new = {group: join for group, join in wanted.items() if group not in found}
            open_groups(connection, [self._new(group, join, now) for group, join in new.items()])
            found |= find_groups(connection, new)
            if found.keys() != wanted.keys():
                continue
            members = groups_of(connection, list(alerts))
            touched = {pair for pair in members if pair[1] in changed} | self._unmuted(connection, moved)
            # A sweep may drop until we have the lock who is a member now: only of the steady ones we can be sure.
            joining = {(found[group], alert) for group, alert in joins}
            joining -= {pair for pair in members if pair[1] in steady}
            rows = lock_groups(connection, {group for group, _ in joining | touched})
            if all(group in rows for group, _ in joining):
                touched = {pair for pair in touched if pair[0] in rows}
                return _Locked(groups=rows, joining=joining, touched=touched)
        raise RuntimeError("alert groups close faster than they can be opened")

    def _unmuted(self, connection: Connection, moved: Sequence[Moved]) -> set[tuple[UUID, UUID]]:
        """Return the groups, as pairs, with what a stronger alert muted that is over now."""
        reasons: dict[str, set[str]] = {}
        for one in moved:
            before, after = one.before, one.action.state
            if not before.is_firing or (after.is_firing and after.labels == before.labels):
                continue
            for rule in self._rules.setting.inhibits:
                # Over, or not strong enough any more, or about something else.
                if rule.is_source(before.labels):
                    reasons.setdefault(one.key[0], set()).add(f"inhibit:{rule.name}")
        return {
            (group, group)
            for tenant, names in reasons.items()
            for group in groups_muted_by(connection, tenant, sorted(names))
        }

    def _touch(
        self,
        connection: Connection,
        groups: Mapping[UUID, GroupRow],
        pairs: set[tuple[UUID, UUID]],
        started: Mapping[UUID, datetime | None],
        now: datetime,
    ) -> None:
        """Plan when the groups speak in which something is new."""
        alerts: dict[UUID, list[datetime]] = {}
        for group, alert in pairs:
            moment = started.get(alert)
            alerts.setdefault(group, []).extend([moment] if moment is not None else [])
        plans = []
        for group, moments in sorted(alerts.items()):
            row = groups[group]
            before = group_of(row)
            after = touch(before, self.cadence(row), now, moments)
            if after != before and after.tick_at is not None:
                plans.append((group, after.tick_at, min(after.tick_at, row.due_at or after.tick_at)))
        plan_groups(connection, plans)

    def touch(self, connection: Connection, groups: Iterable[UUID], now: datetime) -> int:
        """Let groups look again at what they may say: something that muted them may be gone."""
        rows = lock_groups(connection, groups)
        self._touch(connection, rows, {(group, group) for group in rows}, {}, now)
        return len(rows)

    def _with_timeout(self, one: Moved) -> Moved:
        """Say until when an acknowledgement holds, if the rule's escalation gives it an end."""
        rule, policies = self._rules.alert(one.key[1]), self._rules.setting.escalations
        state = with_end(one.action.state, policy_for(rule, one.action.state, policies))
        return one if state is one.action.state else replace(one, action=replace(one.action, state=state))

    def cadence(self, row: GroupRow) -> Cadence:
        """Return when a group may speak; one whose rule is gone speaks no more, and is looked at once."""
        rule = self._rules.alert(row.rule)
        node = rule.node(tuple(row.route)) if rule is not None else None
        return node.plan.cadence if node is not None else Cadence()

    def _is_source(self, state: AlertState) -> bool:
        return (
            state.is_firing
            and bool(state.labels)
            and any(rule.is_source(state.labels) for rule in self._rules.setting.inhibits)
        )

    def _id(self, tenant: str, rule: str, key: str) -> AlertId:
        return alert_id(self._keyring, tenant, rule, key)

    def _group_id(self, tenant: str, join: Join) -> GroupId:
        return group_id(self._keyring, tenant, join.rule, join.key)

    def _new(self, group: GroupId, join: Join, now: datetime) -> GroupRow:
        tenant, rule, digest = group
        private = {
            "labels": dict(join.labels),
            "people": [one.to_json() for one in join.people],
        }
        key = self._keyring.new_data_key()
        return GroupRow(
            id=uuid7(),
            tenant=tenant,
            rule=rule,
            route=list(join.route),
            digest=digest,
            opened_at=now,
            first_at=None,
            tick_at=None,
            told_at=None,
            number=0,
            reminders=0,
            due_at=None,
            data_key=key.wrapped,
            sealed=key.seal(orjson.dumps(private), b"alert-group"),
        )


def group_of(row: GroupRow) -> Group:
    """Return the group a row holds."""
    return Group(
        opened_at=row.opened_at,
        first_at=row.first_at,
        tick_at=row.tick_at,
        told_at=row.told_at,
        number=row.number,
        reminders=row.reminders,
    )


def _is_new(state: AlertState) -> bool:
    return state.status is AlertStatus.QUIET and state.memory is None and state.ended_at is None
