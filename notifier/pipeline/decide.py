"""Decide a batch of events and write all that follows, inside the caller's transaction.

The rules decide; this module loads what they need, in order of keys, and turns their actions into rows.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import orjson

from notifier.alerts import AlertState
from notifier.crypto import DataKey, Keyring, blind_index
from notifier.decisions import (
    AdvanceJourney,
    CancelTimer,
    ChannelStep,
    Decision,
    Facts,
    JourneyState,
    Notify,
    SetTimer,
    TrackAlert,
)
from notifier.delivery.outcome import channel_deadlines
from notifier.delivery.policy import DeliveryPolicy
from notifier.events import Event, Recipient
from notifier.ids import uuid7
from notifier.messages import ChannelName, MessageStatus
from notifier.pipeline.alerts import Alerts
from notifier.pipeline.facts import FactLoader
from notifier.pipeline.flows import Flows
from notifier.pipeline.incoming import Incoming
from notifier.pipeline.pacing import Ask, Paced, Pacing
from notifier.pipeline.plans import plan_json
from notifier.pipeline.rows import held_row, new_message
from notifier.recipients.personal import Kind
from notifier.recipients.resolve import address_on, listed
from notifier.rules.engine import route
from notifier.rules.journeys import apply_advance
from notifier.rules.ruleset import RuleSet
from notifier.rules.telling import Telling
from notifier.store.database import Connection
from notifier.store.events import DecisionRow, EventRow, claim_keys, insert_decisions, insert_events
from notifier.store.held import insert_held, settle_untold
from notifier.store.journeys import JourneyKey, save_journeys
from notifier.store.messages import MessageRow, insert_messages
from notifier.store.notifications import (
    NotificationRow,
    claim_notifications,
    insert_notifications,
    notification_digest,
)
from notifier.store.persons import Person, PersonKey, Persons
from notifier.store.timers import TimerRow, cancel_timers, set_timers
from notifier.store.work import WorkRow, insert_work


@dataclass(slots=True)
class Decided:
    """What a batch led to."""

    stored: int = 0
    duplicates: int = 0
    notifications: int = 0
    told_before: int = 0
    flows: set[tuple[str, str]] = field(default_factory=set)
    """(channel, lane) pairs that have new work."""


@dataclass(frozen=True, slots=True)
class _Pending:
    """A notification to be made, with all that its rows need."""

    incoming: Incoming
    action: Notify
    id: UUID
    person: PersonKey


@dataclass(frozen=True, slots=True)
class _Made:
    """The rows of a notification, and whether its message goes out now."""

    notification: NotificationRow
    message: MessageRow
    work: WorkRow
    paced: Paced


class Decider:
    """Routes events and writes their rows."""

    def __init__(
        self,
        *,
        rules: RuleSet,
        lists: Mapping[str, tuple[Recipient, ...]],
        keyring: Keyring,
        persons: Persons,
        policy: DeliveryPolicy,
        flows: Flows,
        alerts: Alerts,
        pacing: Pacing,
    ) -> None:
        self._rules, self._keyring, self._pacing = rules, keyring, pacing
        self._facts = FactLoader(rules, lists, keyring)
        self._alerts = alerts
        self._persons, self._policy, self._flows = persons, policy, flows

    def run(self, connection: Connection, batch: Sequence[Incoming], now: datetime) -> Decided:
        """Store the events that are new, decide them in order, and write what follows."""
        fresh_ids = claim_keys(connection, [(one.event.key, one.id) for one in batch])
        fresh = [one for one in batch if one.id in fresh_ids]
        decided = Decided(stored=len(fresh), duplicates=len(batch) - len(fresh))
        if not fresh:
            return decided
        fresh.sort(key=lambda one: (one.event.time, one.event.source, one.event.id))
        journeys = self._facts.journeys(connection, fresh)
        kept = self._alerts.lock(connection, fresh)
        lists = self._facts.lists(now)
        contacts = self._facts.contacts(connection, fresh, lists)
        states: dict[str, dict[tuple[str, str], AlertState]] = {}
        for (tenant, rule, key), one in kept.items():
            states.setdefault(tenant, {})[rule, key] = one.state

        def facts_of(one: Incoming) -> Facts:
            return self._facts.of(one, journeys, contacts, states, lists)

        decisions = self._decide(fresh, journeys, states, facts_of, now)
        # Alerts and groups before people, as when a group speaks: who waits for whom must not run in a ring.
        self._alerts.write(connection, kept, _tracked(fresh, decisions), now)
        self._write(connection, fresh, decisions, decided, now)
        save_journeys(connection, _moved(fresh, decisions, journeys))
        self._store_timers(connection, fresh, decisions)
        return decided

    def write(
        self, connection: Connection, batch: Sequence[Incoming], decisions: Sequence[Decision]
    ) -> Decided:
        """Store events we made ourselves, decided already, with what follows; each once."""
        fresh_ids = claim_keys(connection, [(one.event.key, one.id) for one in batch])
        pairs = [pair for pair in zip(batch, decisions, strict=True) if pair[0].id in fresh_ids]
        decided = Decided(stored=len(pairs), duplicates=len(batch) - len(pairs))
        if pairs:
            fresh, made = [one for one, _ in pairs], [decision for _, decision in pairs]
            self._write(connection, fresh, made, decided, max(one.at for one in fresh))
        return decided

    def facts_of(
        self,
        connection: Connection,
        event: Event,
        telling: Telling,
        now: datetime,
        named: Sequence[Recipient],
    ) -> Facts:
        """Return what the rules may know of the people a telling names, and of those who are named already."""
        lists = self._facts.lists(now)
        people = [*named, *listed(telling.sources, lists)]
        return Facts(contacts=self._facts.people(connection, event.tenant, people), lists=lists)

    def _write(
        self,
        connection: Connection,
        fresh: Sequence[Incoming],
        decisions: Sequence[Decision],
        decided: Decided,
        now: datetime,
    ) -> None:
        self._store_events(connection, fresh, decisions)
        self._store_notifications(connection, fresh, decisions, decided, now)

    def _decide(
        self,
        fresh: Sequence[Incoming],
        journeys: dict[JourneyKey, JourneyState],
        alerts: Mapping[str, dict[tuple[str, str], AlertState]],
        facts_of: Callable[[Incoming], Facts],
        now: datetime,
    ) -> list[Decision]:
        """Fold the events in order: each sees journeys and alerts as the one before left them."""
        decisions = []
        for one in fresh:
            decision = route(one.event, one.entry, facts_of(one), self._rules, now)
            tenant = one.event.tenant
            for action in decision.actions:
                if isinstance(action, AdvanceJourney):
                    key = (tenant, action.rule, action.subject)
                    journeys[key] = apply_advance(journeys.get(key), action)
                elif isinstance(action, TrackAlert):
                    alerts[tenant][action.rule, action.key] = action.state
            decisions.append(decision)
        return decisions

    def _person_key(self, tenant: str, identity: str) -> PersonKey:
        return tenant, blind_index(self._keyring.index_key, tenant, identity)

    def _store_events(
        self, connection: Connection, fresh: Sequence[Incoming], decisions: Sequence[Decision]
    ) -> None:
        keys = [self._keyring.new_data_key() for _ in fresh]
        insert_events(connection, map(_event_row, fresh, keys))
        insert_decisions(connection, map(_decision_row, fresh, decisions, keys))

    def _store_notifications(
        self,
        connection: Connection,
        fresh: Sequence[Incoming],
        decisions: Sequence[Decision],
        decided: Decided,
        now: datetime,
    ) -> None:
        pending = [
            _Pending(one, action, uuid7(), self._person_key(one.event.tenant, action.recipient.identity))
            for one, decision in zip(fresh, decisions, strict=True)
            for action in decision.notifications
        ]
        untold = claim_notifications(connection, [(self._digest(one), one.id) for one in pending])
        told = [one for one in pending if one.id in untold]
        decided.notifications, decided.told_before = len(told), len(pending) - len(told)
        persons = self._persons.hold(connection, [one.person for one in told])
        asks = [self._ask(one, persons[one.person]) for one in told]
        paced = self._pacing.judge(connection, asks, now)
        made = [
            self._rows(one, persons[one.person], ask.steps, verdict)
            for one, ask, verdict in zip(told, asks, paced, strict=True)
        ]
        insert_notifications(connection, [one.notification for one in made])
        insert_messages(connection, [one.message for one in made])
        insert_work(connection, [one.work for one in made if one.paced.is_now])
        _hold_back(connection, [one for one in made if not one.paced.is_now], now)
        decided.flows = {(one.work.channel, one.work.lane) for one in made if one.paced.is_now}

    def _ask(self, one: _Pending, person: Person) -> Ask:
        action = one.action
        return Ask(
            entry=one.incoming.entry,
            category=one.incoming.entry.category,
            tenant=one.incoming.event.tenant,
            person=person.id,
            recipient=action.recipient,
            urgency=action.urgency,
            steps=self._flows.served(action.channels),
            severity=action.severity,
            ignore_quiet=action.ignore_quiet,
        )

    def _rows(self, one: _Pending, person: Person, plan: Sequence[ChannelStep], paced: Paced) -> _Made:
        event, action = one.incoming.event, one.action
        deadline = self._deadline(one)
        steps = plan[paced.position :]
        channel = steps[0].channel
        stage = action.stage
        notification = NotificationRow(
            id=one.id,
            tenant=event.tenant,
            event_id=one.incoming.id,
            type=event.type,
            category=one.incoming.entry.category,
            subject=event.subject,
            rule=action.rule,
            reason=action.reason,
            urgency=action.urgency.value,
            template=action.template,
            person_id=person.id,
            sealed=person.key.seal(orjson.dumps(action.recipient.to_json()), b"recipient"),
            plan=plan_json(steps),
            stage_rule=stage.rule if stage else None,
            stage=stage.stage if stage else None,
            stage_order=stage.order if stage else None,
            deadline=deadline,
            created_at=one.incoming.at,
            ignore_quiet=action.ignore_quiet,
        )
        message, work = new_message(
            tenant=notification.tenant,
            notification_id=notification.id,
            event_id=notification.event_id,
            type=notification.type,
            subject=notification.subject,
            channel=channel.value,
            lane=notification.urgency,
            person_id=notification.person_id,
            address_index=self._address_index(event.tenant, action.recipient, channel),
            position=0,
            created_at=notification.created_at,
            relay=self._flows.relay(channel, action.urgency),
            expires_at=channel_deadlines(one.incoming.at, deadline, steps)[0],
        )
        return _Made(notification, message, work, paced)

    def _deadline(self, one: _Pending) -> datetime:
        policy = self._policy.of(one.action.urgency)
        return policy.deadline_of(one.incoming.at, one.action.deadline or one.incoming.entry.deadline)

    def _address_index(self, tenant: str, recipient: Recipient, channel: ChannelName) -> bytes:
        return blind_index(self._keyring.index_key, tenant, address_on(recipient, channel))

    def _digest(self, one: _Pending) -> bytes:
        action, event = one.action, one.incoming.event
        cause = f"event:{event.source}:{event.id}" if action.cause == "event" else action.cause
        return notification_digest(
            self._keyring.index_key,
            event.tenant,
            cause,
            action.rule,
            action.recipient.identity.casefold(),
            action.reason,
            str(action.sequence),
        )

    def _store_timers(
        self, connection: Connection, fresh: Sequence[Incoming], decisions: Sequence[Decision]
    ) -> None:
        """Carry out the last word on each timer; earlier ones of the batch are history."""
        last: dict[tuple[str, str], SetTimer | CancelTimer] = {}
        for one, decision in zip(fresh, decisions, strict=True):
            for action in decision.actions:
                if isinstance(action, SetTimer | CancelTimer):
                    last[one.event.tenant, action.key] = action
        cancel_timers(connection, [key for key, action in last.items() if isinstance(action, CancelTimer)])
        set_timers(
            connection,
            [
                timer_row(self._keyring, tenant, action)
                for (tenant, _), action in last.items()
                if isinstance(action, SetTimer)
            ],
        )


def _hold_back(connection: Connection, made: Sequence[_Made], now: datetime) -> None:
    """Keep what is told later, and end what is told to nobody."""
    waiting = [
        held_row(one.message, verdict.digest, verdict.until, verdict.reason, now)
        for one in made
        if (verdict := one.paced.verdict).until is not None and verdict.digest is not None
    ]
    insert_held(connection, waiting)
    suppressed = MessageStatus.SUPPRESSED.value
    refused = [one for one in made if one.paced.verdict.kind is Kind.NEVER]
    settle_untold(
        connection,
        [(one.message.id, one.notification.id, suppressed, one.paced.verdict.reason) for one in refused],
    )


def timer_row(keyring: Keyring, tenant: str, action: SetTimer) -> TimerRow:
    """Return a timer's row, its data sealed under a key of its own."""
    key = keyring.new_data_key()
    return TimerRow(
        tenant=tenant,
        key=action.key,
        due_at=action.due_at,
        event_type=action.event_type,
        subject=action.subject,
        data_key=key.wrapped,
        sealed=key.seal(orjson.dumps(dict(action.data)), b"timer"),
    )


def _moved(
    fresh: Sequence[Incoming], decisions: Sequence[Decision], journeys: Mapping[JourneyKey, JourneyState]
) -> dict[JourneyKey, JourneyState]:
    keys = {
        (one.event.tenant, action.rule, action.subject)
        for one, decision in zip(fresh, decisions, strict=True)
        for action in decision.actions
        if isinstance(action, AdvanceJourney)
    }
    return {key: journeys[key] for key in sorted(keys)}


def _tracked(fresh: Sequence[Incoming], decisions: Sequence[Decision]) -> Iterator[tuple[str, TrackAlert]]:
    for one, decision in zip(fresh, decisions, strict=True):
        for action in decision.actions:
            if isinstance(action, TrackAlert):
                yield one.event.tenant, action


def _event_row(one: Incoming, key: DataKey) -> EventRow:
    event = one.event
    return EventRow(
        id=one.id,
        tenant=event.tenant,
        source=event.source,
        external_id=event.id,
        type=event.type,
        subject=event.subject,
        time=event.time,
        received_at=one.at,
        lane=one.lane.value,
        data_key=key.wrapped,
        sealed=key.seal(orjson.dumps(event.private_json()), b"event"),
    )


def _decision_row(one: Incoming, decision: Decision, key: DataKey) -> DecisionRow:
    return DecisionRow(
        event_id=one.id,
        tenant=one.event.tenant,
        rules_hash=decision.rules_hash,
        notified=len(decision.notifications),
        sealed=key.seal(orjson.dumps(decision.trace_json()), b"decision"),
    )
