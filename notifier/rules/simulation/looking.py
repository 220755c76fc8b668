"""Look at a group that is due: what it tells, who is told, how its escalation goes on, and what it remembers.

Decides nothing itself: ``cadence`` says when and why, ``mutes`` who is muted, ``escalating`` which step,
``speaking`` who is told.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from notifier.alerts import AlertState, AlertStatus
from notifier.catalog import Catalog
from notifier.decisions import Facts, Join
from notifier.rules.alerting.cadence import GroupMessage, Look, Member, Why, look, touch
from notifier.rules.alerting.escalating import chain_after, step_telling
from notifier.rules.alerting.escalation import Tell, advance, hasten
from notifier.rules.alerting.mutes import Mute, Mutes
from notifier.rules.alerting.speaking import Speaker, decide, event_of
from notifier.rules.alerting.tracking import is_at_home
from notifier.rules.ruleset import RuleSet
from notifier.rules.simulation.places import AlertKey, Place, Seat
from notifier.rules.simulation.told import Told, ToldAlert, told_of
from notifier.rules.telling import Telling


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What came of looking at a group."""

    told: tuple[Told, ...]
    due_at: datetime | None
    """When to look again."""
    gone: tuple[AlertKey, ...]
    """Members there is nothing to say of any more."""
    is_over: bool


@dataclass(slots=True, kw_only=True)
class Looking:
    """One look at one group, at one moment."""

    rules: RuleSet
    catalog: Catalog
    facts: Callable[[datetime], Facts]
    place: Place
    seat: Seat
    states: Mapping[AlertKey, AlertState]
    """Of its members."""
    mutes: Mutes
    now: datetime
    told: list[Told] = field(default_factory=list)
    _muted: dict[AlertKey, Mute] = field(init=False)

    def __post_init__(self) -> None:
        found = {
            key: self.mutes.of(state.labels, self.seat.plan, self.now)
            for key, state in self.states.items()
            if state.is_firing
        }
        self._muted = {key: mute for key, mute in found.items() if mute is not None}
        rule, place_key = self.seat.rule, self.place.join.key

        def is_here(join: Join) -> bool:
            return join.key == place_key

        node = rule.node(self.place.join.route)
        self._muted |= {
            key: Mute(reason="route")
            for key, state in self.states.items()
            if state.is_firing and node is not None and not is_at_home(rule, node, state, is_here)
        }

    def look(self) -> Heard:
        """Say what there is to say, and remember it."""
        place, cadence = self.place, self.seat.plan.cadence
        if any(key not in self._muted for key in place.muted):
            place.group = touch(place.group, cadence, self.now)
        members = {str(number): key for number, key in enumerate(place.members)}
        seen = look(place.group, [self._member(*one) for one in members.items()], cadence, self.now)
        place.group = seen.group
        due = self._next_due(seen)
        if seen.message is not None:
            self._say(seen.message, members, self.seat.plan.telling, due)
        due = self._escalate(seen.message, members, due)
        return Heard(
            told=tuple(self.told), due_at=due, gone=self._remember(seen, members), is_over=seen.is_over
        )

    def _member(self, name: str, key: AlertKey) -> Member:
        state, mute = self.states[key], self._muted.get(key)
        return Member(
            id=name,
            is_firing=state.is_firing,
            severity=state.severity,
            started_at=state.started_at or self.now,
            is_acknowledged=state.status is AlertStatus.ACKNOWLEDGED,
            is_held=state.is_held,
            muted=mute.reason if mute is not None else None,
            was_muted=self.place.muted.get(key),
            told=self.place.members[key],
        )

    def _next_due(self, seen: Look) -> datetime | None:
        ends = [mute.until for mute in self._muted.values() if mute.until is not None]
        return min([*ends, *([seen.next_at] if seen.next_at is not None else [])], default=None)

    def _say(
        self,
        message: GroupMessage,
        members: Mapping[str, AlertKey],
        telling: Telling,
        due: datetime | None,
    ) -> None:
        place, seat, now = self.place, self.seat, self.now
        states = {name: self.states[key] for name, key in members.items()}
        speaker = Speaker(
            id=place.id,
            tenant=place.key[0],
            rule=seat.rule,
            plan=seat.plan,
            labels=place.join.labels,
            number=place.group.number,
            told=place.heard_of([members[name] for name in message.resolved]),
            people=place.join.people,
        )
        event = event_of(speaker, message, states, now, next_at=due)
        decision = decide(
            speaker, message, event,
            entry=self.catalog[event.type], facts=self.facts(now), now=now,
            rules_hash=self.rules.rules_hash, telling=telling,
        )  # fmt: skip
        if message.firing:
            people = [one.recipient for one in decision.notifications]
            for name in message.firing:
                heard = place.heard.setdefault(members[name], {})
                heard |= {one.identity.casefold(): one for one in people}
        alerts = [ToldAlert.of(states[name], is_firing=True) for name in message.firing]
        alerts += [ToldAlert.of(states[name], is_firing=False) for name in message.resolved]
        self.told += [
            told_of(one, event, now, why=message.why.value, alerts=alerts, group=place.id)
            for one in decision.notifications
        ]

    def _escalate(
        self, message: GroupMessage | None, members: Mapping[str, AlertKey], due: datetime | None
    ) -> datetime | None:
        """Begin, go on with, hold or stop the escalation; return when to look again."""
        place, plan = self.place, self.seat.plan
        policy = self.rules.setting.escalations.get(plan.escalate or "")
        chain = chain_after(place.chain, policy, message, list(self.states.values()), self.now)
        shown = tuple(name for name, key in members.items() if self._is_open(key))
        tells: tuple[Tell, ...] = ()
        if chain is not None and shown:
            chain, tells = advance(chain, self.now)
        place.chain = chain
        for tell in tells:
            step = GroupMessage(why=Why.ESCALATION, firing=shown, resolved=(), news=shown)
            place.group = replace(place.group, number=place.group.number + 1)
            before = len(self.told)
            self._say(step, members, step_telling(tell, plan.telling), due)
            if len(self.told) == before:
                chain = hasten(chain, self.now) if chain is not None else None
                place.chain = chain
        following = chain.due_at if chain is not None else None
        # Nobody is told while all is muted or in somebody's hands; an acknowledgement that ends is waited for.
        if following is None or (not shown and following <= self.now):
            return due
        return min(due or following, following)

    def _is_open(self, key: AlertKey) -> bool:
        state = self.states[key]
        return state.status is AlertStatus.FIRING and key not in self._muted and not state.is_held

    def _remember(self, seen: Look, members: Mapping[str, AlertKey]) -> tuple[AlertKey, ...]:
        """Keep what people know of each member; who is over and known to be leaves."""
        place = self.place
        gone = []
        for name, key in members.items():
            told = place.members[key] = seen.told.get(name, place.members[key])
            if not self.states[key].is_firing and (told is None or not told.is_firing):
                gone.append(key)
                del place.members[key]
                place.heard.pop(key, None)
        before = {} if seen.is_settled else place.muted
        muted = {**before, **{key: mute.reason for key, mute in self._muted.items()}}
        place.muted = {key: reason for key, reason in muted.items() if key in place.members}
        return tuple(gone)
