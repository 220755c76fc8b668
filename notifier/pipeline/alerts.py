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
from notifier.pipeline.alert_states import alert_row, open_alert
from notifier.pipeline.incoming import Incoming
from notifier.rules.alerting.cadence import Cadence, Group, touch
from notifier.rules.ruleset import RuleSet
from notifier.store.alert_groups import (
    GroupId,
    GroupRow,
    add_members,
    find_groups,
    groups_muted_by,
    groups_of,
    lock_groups,
    open_groups,
    plan_groups,
)
from notifier.store.alerts import AlertId, alert_id, forget_alerts, lock_alerts, save_alerts
from notifier.store.database import Connection
from notifier.store.notifications import notification_digest

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


class Alerts:
    """Loads and writes alerts, and opens and touches their groups."""

    def __init__(self, rules: RuleSet, keyring: Keyring) -> None:
        self._rules, self._keyring = rules, keyring

    def lock(self, connection: Connection, batch: Sequence[Incoming]) -> dict[AlertKey, Kept]:
        """Lock and return the alerts that events of the batch may speak of."""
        keys = {
            self._id(one.event.tenant, rule, key): (one.event.tenant, rule, key)
            for one in batch
            for rule, key in self._rules.alert_keys(one.event)
        }
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
        moved: dict[AlertKey, Moved] = {}
        for tenant, action in actions:
            key = (tenant, action.rule, action.key)
            known = moved.get(key)
            is_changed = action.is_changed or (known is not None and known.action.is_changed)
            before = known.before if known is not None else kept[key].state
            moved[key] = Moved(
                key=key, id=kept[key].id, before=before, action=replace(action, is_changed=is_changed)
            )
        forget_alerts(
            connection, [one.id for key, one in kept.items() if key not in moved and _is_new(one.state)]
        )
        self.move(connection, list(moved.values()), now)

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
            (one.id, self._group_id(one.key[0], join)): join
            for one in moved
            if one.action.state.is_firing
            for join in one.action.joins
        }
        changed = [one.id for one in moved if one.action.is_changed]
        groups, pairs = self._lock_groups(connection, joins, changed, moved, now)
        fresh = add_members(
            connection,
            [(groups[group].id, alert, group[0]) for (alert, group) in joins],
        )
        started = {one.id: one.action.state.started_at for one in moved if one.action.state.is_firing}
        self._touch(connection, {row.id: row for row in groups.values()}, fresh | pairs, started, now)

    def _lock_groups(
        self,
        connection: Connection,
        joins: Mapping[tuple[UUID, GroupId], Join],
        changed: Sequence[UUID],
        moved: Sequence[Moved],
        now: datetime,
    ) -> tuple[dict[GroupId, GroupRow], set[tuple[UUID, UUID]]]:
        """Lock the groups the alerts join or are in, opening those there are not yet.

        A group may be closed by a sweep between our look and our lock: then there is none, and it is opened anew.
        """
        wanted = {group: join for (_, group), join in joins.items()}
        for _ in range(_TRIES):
            found = find_groups(connection, wanted)
            open_groups(
                connection,
                [self._new(group, join, now) for group, join in wanted.items() if group not in found],
            )
            found = find_groups(connection, wanted)
            pairs = groups_of(connection, changed) | self._unmuted(connection, moved)
            rows = lock_groups(connection, {*found.values(), *(group for group, _ in pairs)})
            locked = {(row.tenant, row.rule, row.digest): row for row in rows.values()}
            if wanted.keys() <= locked.keys():
                return locked, {pair for pair in pairs if pair[0] in rows}
        raise RuntimeError("alert groups close faster than they can be opened")

    def _unmuted(self, connection: Connection, moved: Sequence[Moved]) -> set[tuple[UUID, UUID]]:
        """Return (group, alert) of what a stronger alert muted that is over now."""
        found: set[tuple[UUID, UUID]] = set()
        for one in moved:
            if not one.before.is_firing or one.action.state.is_firing:
                continue
            rules = [rule for rule in self._rules.setting.inhibits if rule.is_source(one.before.labels)]
            reasons = [f"inhibit:{rule.name}" for rule in rules]
            if reasons:
                found |= {(group, one.id) for group in groups_muted_by(connection, one.key[0], reasons)}
        return found

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
        state, rule = one.action.state, self._rules.alert(one.key[1])
        if state.acknowledged_at is None or state.acknowledged_until is not None or rule is None:
            return one
        policy = self._rules.setting.escalations.get(rule.root.plan.escalate or "")
        if policy is None or policy.ack_timeout is None:
            return one
        state = replace(state, acknowledged_until=state.acknowledged_at + policy.ack_timeout)
        return replace(one, action=replace(one.action, state=state))

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
        digest = notification_digest(self._keyring.index_key, "group", tenant, join.rule, join.key)
        return tenant, join.rule, digest

    def _new(self, group: GroupId, join: Join, now: datetime) -> GroupRow:
        tenant, rule, digest = group
        private = {"labels": dict(join.labels), "people": [one.to_json() for one in join.people]}
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
