"""Keep groups of alerts in step with their alerts, as the pipeline does with rows: open, join, touch, close.

Says nothing itself: ``looking`` does, when a group is due.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime

from notifier.alerts import AlertState
from notifier.catalog import Catalog
from notifier.decisions import Facts
from notifier.rules.alerting.cadence import Group, touch
from notifier.rules.alerting.inhibition import Firing, Inhibitors
from notifier.rules.alerting.mutes import Mutes
from notifier.rules.alerting.silences import Silence
from notifier.rules.ruleset import RuleSet
from notifier.rules.simulation.looking import Looking
from notifier.rules.simulation.places import AlertKey, GroupKey, Moved, Place, Seat
from notifier.rules.simulation.told import Told


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

    def speak(self, key: GroupKey, now: datetime) -> tuple[Told, ...]:
        """Look at a group that is due, and return what it tells."""
        place = self.places[key]
        seat = self._seat(place)
        self._due.pop(key, None)
        if seat is None:
            return ()
        heard = Looking(
            rules=self.rules, catalog=self.catalog, facts=self.facts, place=place, seat=seat,
            states={alert: self.alerts[alert] for alert in place.members}, mutes=self._mutes(key[0]), now=now,
        ).look()  # fmt: skip
        for alert in (*heard.gone, *(place.members if heard.is_over else ())):
            self._leave(place, alert)
        if heard.is_over:
            del self.places[key]
        self._plan(key, None if heard.is_over else heard.due_at)
        return heard.told

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

    def _seat(self, place: Place) -> Seat | None:
        rule = self.rules.alert(place.join.rule)
        node = rule.node(place.join.route) if rule is not None else None
        return Seat(rule=rule, plan=node.plan) if rule is not None and node is not None else None

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

    def _leave(self, place: Place, alert: AlertKey) -> None:
        homes = self.homes[alert]
        del homes[place.key]
        if not homes:
            del self.homes[alert]
