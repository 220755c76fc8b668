"""Keep groups of alerts and let them speak, as the pipeline does with rows: open, touch, look, remember.

Decides nothing itself: ``cadence`` says when and why, ``mutes`` who is muted, ``speaking`` who is told.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime

from notifier.alerts import AlertState, AlertStatus
from notifier.catalog import Catalog
from notifier.decisions import Facts, Join, TrackAlert
from notifier.events import Event, Recipient
from notifier.rules.alerting.cadence import Group, GroupMessage, Look, Member, Told, look, touch
from notifier.rules.alerting.inhibition import Firing, Inhibitors
from notifier.rules.alerting.mutes import Mute, Mutes
from notifier.rules.alerting.plan import AlertPlan, AlertRule
from notifier.rules.alerting.silences import Silence
from notifier.rules.alerting.speaking import Speaker, decide, event_of
from notifier.rules.ruleset import RuleSet
from notifier.rules.simulation.told import Told as Notified
from notifier.rules.simulation.told import ToldAlert, told_of

AlertKey = tuple[str, str, str]
"""Tenant, rule, key."""
GroupKey = tuple[str, str, str]
"""Tenant, rule, the key of the place it is told at."""


@dataclass(slots=True, kw_only=True)
class Place:
    """A group, with what is remembered of its members and of those who were told."""

    key: GroupKey
    id: str
    join: Join
    group: Group
    members: dict[AlertKey, Told | None] = field(default_factory=dict)
    muted: dict[AlertKey, str] = field(default_factory=dict)
    """Why, for whom it was so at the last look."""
    people: dict[str, Recipient] = field(default_factory=dict)
    """Who was told that something fires."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seat:
    """The branch of a rule that says how a group is told."""

    rule: AlertRule
    plan: AlertPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """An alert before and after."""

    key: AlertKey
    before: AlertState
    action: TrackAlert


@dataclass(slots=True, kw_only=True)
class Groups:
    """All groups of a world."""

    rules: RuleSet
    catalog: Catalog
    alerts: Mapping[AlertKey, AlertState]
    facts: Callable[[datetime], Facts]
    plan: Callable[[GroupKey, datetime | None], None]
    """Called with when a group is due."""
    silences: dict[tuple[str, str], Silence] = field(default_factory=dict)
    """By tenant and id."""
    places: dict[GroupKey, Place] = field(default_factory=dict)
    homes: dict[AlertKey, dict[GroupKey, None]] = field(default_factory=dict)
    """The groups an alert is a member of."""
    _opened: int = 0
    _inhibitors: dict[str, Inhibitors] = field(default_factory=dict)
    _due: dict[GroupKey, datetime] = field(default_factory=dict)

    def move(self, moved: Sequence[Moved], now: datetime) -> None:
        """Let the groups know what became of alerts: they are opened, joined and touched."""
        touched: dict[GroupKey, list[datetime]] = {}
        for one in moved:
            if one.before.is_firing or one.action.state.is_firing:
                self._inhibitors.pop(one.key[0], None)
            started = one.action.state.started_at
            for group in (*self._joined(one, now), *self._concerned(one)):
                moments = touched.setdefault(group, [])
                if one.action.state.is_firing and started is not None:
                    moments.append(started)
        for key, moments in touched.items():
            self._touch(key, now, moments)

    def unmute(self, tenant: str, reason: str, now: datetime) -> None:
        """Let groups look again whose alerts were muted for a reason that is gone."""
        for key in self._muted_by(tenant, {reason}):
            self._touch(key, now)

    def speak(self, key: GroupKey, now: datetime) -> list[Notified]:
        """Look at a group that is due, and return what it tells."""
        place = self.places[key]
        seat = self._seat(place)
        self._due.pop(key, None)
        if seat is None:
            return []
        mutes = self._mutes(key[0])
        muted = {alert: mutes.of(self.alerts[alert].labels, seat.plan, now) for alert in place.members}
        muted = {alert: mute for alert, mute in muted.items() if mute and self.alerts[alert].is_firing}
        if any(alert not in muted for alert in place.muted):
            place.group = touch(place.group, seat.plan.cadence, now)
        names = {str(number): alert for number, alert in enumerate(place.members)}
        members = [self._member(name, place, muted, now) for name in names.items()]
        seen = look(place.group, members, seat.plan.cadence, now)
        place.group = seen.group
        told = self._say(place, seat, seen.message, names, now) if seen.message is not None else []
        self._remember(place, seen, names, muted)
        return told

    def _joined(self, one: Moved, now: datetime) -> list[GroupKey]:
        """Return the groups an alert is new in."""
        if not one.action.state.is_firing:
            return []
        fresh = []
        for join in one.action.joins:
            key = (one.key[0], join.rule, join.key)
            if key not in self.places:
                self._opened += 1
                group = Group(opened_at=now)
                self.places[key] = Place(key=key, id=f"g{self._opened}", join=join, group=group)
            if one.key not in self.places[key].members:
                self.places[key].members[one.key] = None
                self.homes.setdefault(one.key, {})[key] = None
                fresh.append(key)
        return fresh

    def _concerned(self, one: Moved) -> list[GroupKey]:
        """Return the groups an alert changed in, and those in which it muted others until now."""
        found: list[GroupKey] = []
        if one.action.is_changed:
            found += self.homes.get(one.key, {})
        if one.before.is_firing and not one.action.state.is_firing:
            rules = [rule for rule in self.rules.setting.inhibits if rule.is_source(one.before.labels)]
            found += self._muted_by(one.key[0], {f"inhibit:{rule.name}" for rule in rules})
        return found

    def _muted_by(self, tenant: str, reasons: AbstractSet[str]) -> list[GroupKey]:
        if not reasons:
            return []
        places = [place for place in self.places.values() if place.key[0] == tenant]
        return [place.key for place in places if not reasons.isdisjoint(place.muted.values())]

    def _touch(self, key: GroupKey, now: datetime, started: Iterable[datetime] = ()) -> None:
        place = self.places[key]
        seat = self._seat(place)
        if seat is None:
            return
        place.group = touch(place.group, seat.plan.cadence, now, started)
        tick = place.group.tick_at
        self._plan(key, min((one for one in (tick, self._due.get(key)) if one is not None), default=None))

    def _plan(self, key: GroupKey, at: datetime | None) -> None:
        if at is None:
            self._due.pop(key, None)
        else:
            self._due[key] = at
        self.plan(key, at)

    def _seat(self, place: Place) -> _Seat | None:
        rule = self.rules.alert(place.join.rule)
        node = rule.node(place.join.route) if rule is not None else None
        return _Seat(rule=rule, plan=node.plan) if rule is not None and node is not None else None

    def _mutes(self, tenant: str) -> Mutes:
        setting = self.rules.setting
        if tenant not in self._inhibitors:
            self._inhibitors[tenant] = found = Inhibitors(setting.inhibits)
            for key, state in self.alerts.items():
                is_alert = self.rules.alert(key[1]) is not None  # a reminder's place is kept like one
                if key[0] == tenant and is_alert and state.is_firing and state.started_at is not None:
                    found.add(Firing(labels=state.labels, starts_at=state.started_at))
        return Mutes(
            windows=setting.windows,
            maintenance=setting.maintenance,
            silences=[one for (whose, _), one in self.silences.items() if whose == tenant],
            inhibitors=self._inhibitors[tenant],
        )

    def _member(
        self, name: tuple[str, AlertKey], place: Place, muted: Mapping[AlertKey, Mute | None], now: datetime
    ) -> Member:
        id_, alert = name
        state, mute = self.alerts[alert], muted.get(alert)
        return Member(
            id=id_,
            is_firing=state.is_firing,
            severity=state.severity,
            started_at=state.started_at or now,
            is_acknowledged=state.status is AlertStatus.ACKNOWLEDGED,
            is_held=state.is_held,
            muted=mute.reason if mute is not None else None,
            told=place.members[alert],
        )

    def _say(
        self, place: Place, seat: _Seat, message: GroupMessage, names: Mapping[str, AlertKey], now: datetime
    ) -> list[Notified]:
        states = {name: self.alerts[alert] for name, alert in names.items()}
        speaker = Speaker(
            id=place.id,
            tenant=place.key[0],
            rule=seat.rule,
            plan=seat.plan,
            labels=place.join.labels,
            number=place.group.number,
            told=tuple(place.people.values()),
        )
        event: Event = event_of(speaker, message, states, now)
        decision = decide(
            speaker, message, event,
            entry=self.catalog[event.type], facts=self.facts(now), now=now, rules_hash=self.rules.rules_hash,
        )  # fmt: skip
        if message.firing:
            people = [one.recipient for one in decision.notifications]
            place.people |= {one.identity.casefold(): one for one in people}
        alerts = [ToldAlert.of(states[name], is_firing=True) for name in message.firing]
        alerts += [ToldAlert.of(states[name], is_firing=False) for name in message.resolved]
        why = message.why.value
        return [
            told_of(one, event, now, why=why, alerts=alerts, group=place.id) for one in decision.notifications
        ]

    def _remember(
        self, place: Place, seen: Look, names: Mapping[str, AlertKey], muted: Mapping[AlertKey, Mute | None]
    ) -> None:
        if seen.is_over:
            for alert in place.members:
                self._leave(place, alert)
            del self.places[place.key]
            self._plan(place.key, None)
            return
        for name, alert in names.items():
            told = place.members[alert] = seen.told.get(name, place.members[alert])
            if not self.alerts[alert].is_firing and (told is None or not told.is_firing):
                del place.members[alert]  # over, and known to be
                self._leave(place, alert)
        place.muted = {alert: mute.reason for alert, mute in muted.items() if mute is not None}
        ends = [mute.until for mute in muted.values() if mute is not None and mute.until is not None]
        due = [*ends, *([seen.next_at] if seen.next_at is not None else [])]
        self._plan(place.key, min(due, default=None))

    def _leave(self, place: Place, alert: AlertKey) -> None:
        homes = self.homes[alert]
        del homes[place.key]
        if not homes:
            del self.homes[alert]
