"""Run rules in memory on a virtual clock that jumps from one due moment to the next; nothing is sent or stored.

Does what the pipeline does with rows: folds events, keeps journeys, alerts, timers and groups, and tells each
thing once. At one moment alerts lapse first, then timers make events, then groups speak.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from notifier.alerts import AlertState
from notifier.catalog import Catalog
from notifier.decisions import (
    AdvanceJourney,
    CancelTimer,
    Contact,
    Decision,
    Facts,
    JourneyState,
    Notify,
    SetTimer,
    TrackAlert,
)
from notifier.errors import EventRefused
from notifier.events import DEFAULT_TENANT, Event, Recipient
from notifier.rules.alerting.escalating import policy_for, with_end
from notifier.rules.alerting.matchers import Matcher, all_match
from notifier.rules.alerting.occurrences import acknowledge
from notifier.rules.alerting.silences import Silence, expired
from notifier.rules.alerting.tracking import lapse
from notifier.rules.engine import route
from notifier.rules.journeys import apply_advance
from notifier.rules.ruleset import RuleSet
from notifier.rules.simulation.agenda import Agenda, Item, Phase
from notifier.rules.simulation.groups import Groups
from notifier.rules.simulation.places import AlertKey, GroupKey, Moved
from notifier.rules.simulation.timers import Timers
from notifier.rules.simulation.told import Told, told_of

_STUCK = 1000
"""So often at one moment is no progress: something plans itself for now for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """An event of a timer or schedule that does not fit its type."""

    at: datetime
    type: str
    reason: str


class World:
    """Rules at work. ``now`` moves only when told to; ``told`` grows in order."""

    def __init__(
        self,
        rules: RuleSet,
        catalog: Catalog,
        lists: Mapping[str, tuple[Recipient, ...]],
        *,
        start: datetime,
        contacts: Mapping[str, Contact] | None = None,
        speaks_from: datetime | None = None,
        has_schedules: bool = True,
    ) -> None:
        self.now = start.astimezone(UTC)
        self.told: list[Told] = []
        self.refused: list[Refused] = []
        self.alerts: dict[AlertKey, AlertState] = {}
        self._rules, self._catalog, self._lists = rules, catalog, lists
        self._contacts = contacts or {}
        self._speaks_from = speaks_from or self.now
        self._journeys: dict[tuple[str, str, str], JourneyState] = {}
        self._agenda = Agenda()
        self._timers = Timers(rules=rules, agenda=self._agenda)
        if has_schedules:
            self._timers.start(self.now)
        self._known: set[tuple[str, str, str]] = set()
        self._said: set[tuple[str, ...]] = set()
        self.groups = Groups(
            rules=rules, catalog=catalog, alerts=self.alerts, facts=self._people, plan=self._plan_group
        )

    def feed(self, events: Event | Iterable[Event]) -> tuple[Decision, ...]:
        """Take in events now, in the order they happened, and return what was decided of those not known yet.

        Raises:
            EventRefused: one of them does not fit its type; none was taken in.
        """
        batch = [events] if isinstance(events, Event) else list(events)
        # Of one moment by producer and id: the order of arrival says nothing.
        ordered = sorted(batch, key=lambda one: (one.time, one.source, one.id))
        entries = [self._catalog.check(one.type, one.data) for one in ordered]
        decisions: list[Decision] = []
        moved: dict[AlertKey, Moved] = {}
        for event, entry in zip(ordered, entries, strict=True):
            if event.key in self._known:
                continue
            self._known.add(event.key)
            decision = route(event, entry, self._facts(event), self._rules, self.now)
            decisions.append(decision)
            for action in decision.actions:
                self._act(action, event, moved)
        self._move(moved)
        return tuple(decisions)

    def silence(self, silence: Silence, *, tenant: str = DEFAULT_TENANT) -> None:
        """Add a silence, or change the one of the same id."""
        self.groups.silences[tenant, silence.id] = silence
        self.groups.unmute(tenant, f"silence:{silence.id}", self.now)

    def expire(self, silence_id: str, *, tenant: str = DEFAULT_TENANT) -> None:
        """End a silence by hand.

        Raises:
            LookupError: there is none of this id.
        """
        silence = self.groups.silences.get((tenant, silence_id))
        if silence is None:
            raise LookupError(f"there is no silence {silence_id!r}")
        self.silence(expired(silence, self.now), tenant=tenant)

    def acknowledge(
        self, by: str, *, subject: str | None = None, matchers: Sequence[Matcher] = ()
    ) -> tuple[AlertKey, ...]:
        """Take charge of what fires for a subject, or matches; return what that was."""
        moved = {}
        for key, state in self.alerts.items():
            if state.newest is None:
                continue
            is_meant = subject in (None, state.newest.subject) and all_match(matchers, state.labels)
            after = acknowledge(state, by, self.now) if is_meant else state
            if after is not state:
                action = TrackAlert(rule=key[1], key=key[2], state=after, is_changed=True)
                moved[key] = Moved(key=key, before=state, action=action)
        self.alerts.update({key: one.action.state for key, one in moved.items()})
        self._move(moved)
        return tuple(moved)

    def next_at(self) -> datetime | None:
        """Return when something is due next, if nothing happens before."""
        item = self._agenda.next()
        return None if item is None else max(item.at, self.now)

    def advance(self, to: datetime) -> None:
        """Let time pass: all that is due until then, and right then, happens in order."""
        self._pass(to, is_inclusive=True)

    def reach(self, to: datetime) -> None:
        """Let time pass until right before what is due at a moment: what people do then comes first."""
        self._pass(to, is_inclusive=False)

    def _pass(self, to: datetime, *, is_inclusive: bool) -> None:
        to, rounds = to.astimezone(UTC), 0
        while (item := self._agenda.next()) is not None:
            if item.at > to or (item.at == to and not is_inclusive):
                break
            rounds = rounds + 1 if item.at <= self.now else 0
            if rounds > _STUCK + len(self.alerts) + len(self.groups.places) + len(self._timers):
                raise RuntimeError(f"time stands still at {self.now.isoformat()}: {item.phase.name} for ever")
            self.now = max(self.now, item.at)
            self._happen(self._agenda.take())
        self.now = max(self.now, to)

    def _happen(self, item: Item) -> None:
        match item.phase, item.key:
            case Phase.LAPSE, (str(tenant), str(rule), str(key)):
                self._lapse((tenant, rule, key))
            case Phase.EVENT, int(number):
                self._feed_own([self._timers.fire(number, item.at)])
            case Phase.EVENT, (str(tenant), str(timer)):
                self._feed_own(self._timers.expire(tenant, timer, self.now))
            case Phase.SPEAK, (str(tenant), str(rule), str(key)):
                for told in self.groups.speak((tenant, rule, key), self.now):
                    self._tell(told, tenant, f"alert:{told.group}")

    def _act(self, action: object, event: Event, moved: dict[AlertKey, Moved]) -> None:
        tenant = event.tenant
        match action:
            case Notify():
                cause = f"event:{event.source}:{event.id}" if action.cause == "event" else action.cause
                self._tell(told_of(action, event, self.now), tenant, cause)
            case AdvanceJourney():
                key = (tenant, action.rule, action.subject)
                self._journeys[key] = apply_advance(self._journeys.get(key), action)
            case SetTimer():
                self._timers.set(tenant, action)
            case CancelTimer():
                self._timers.cancel(tenant, action.key)
            case TrackAlert():
                self._track((tenant, action.rule, action.key), action, moved)

    def _tell(self, told: Told, tenant: str, cause: str) -> None:
        """Tell it, unless it was told: once per cause, rule, recipient, reason and number."""
        who = told.recipient.identity.casefold()
        key = (tenant, cause, told.rule, who, told.reason, str(told.sequence))
        if key not in self._said:
            self._said.add(key)
            self.told.append(told)

    def _track(self, key: AlertKey, action: TrackAlert, moved: dict[AlertKey, Moved]) -> None:
        before = self.alerts.get(key, AlertState())
        self.alerts[key] = action.state
        if (known := moved.get(key)) is not None:
            before = known.before
            action = replace(action, is_changed=action.is_changed or known.action.is_changed)
        moved[key] = Moved(key=key, before=before, action=action)

    def _move(self, moved: Mapping[AlertKey, Moved]) -> None:
        for key in moved:
            rule, policies = self._rules.alert(key[1]), self._rules.setting.escalations
            state = with_end(self.alerts[key], policy_for(rule, self.alerts[key], policies))
            self.alerts[key] = state
            self._agenda.plan(Phase.LAPSE, key, state.due_at)
        self.groups.move(list(moved.values()), self.now)

    def _lapse(self, key: AlertKey) -> None:
        rule = self._rules.alert(key[1])
        if rule is not None:
            moved: dict[AlertKey, Moved] = {}
            self._track(key, lapse(rule, key[2], self.alerts[key], self.now), moved)
            self._move(moved)

    def _feed_own(self, events: Sequence[Event]) -> None:
        for event in events:
            try:
                self.feed(event)
            except EventRefused as error:
                self.refused.append(Refused(at=self.now, type=event.type, reason=error.reason))

    def _plan_group(self, key: GroupKey, at: datetime | None) -> None:
        self._agenda.plan(Phase.SPEAK, key, max(at, self._speaks_from) if at is not None else None)

    def _people(self, now: datetime) -> Facts:
        return Facts(contacts=self._contacts, lists=self._rules.lists_at(now, self._lists))

    def _facts(self, event: Event) -> Facts:
        tenant, rules = event.tenant, self._rules
        journeys = {key: self._journeys.get((tenant, *key)) for key in rules.journey_keys(event)}
        alerts = {key: self.alerts.get((tenant, *key)) for key in rules.alert_keys(event)}
        return replace(
            self._people(self.now),
            journeys={key: state for key, state in journeys.items() if state is not None},
            alerts={key: state for key, state in alerts.items() if state is not None},
        )
