"""Decide a batch of events and write all that follows, inside the caller's transaction.

The rules decide; this module loads what they need, in order of keys, and turns their actions into rows.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import orjson

from notifier.alerts import AlertState
from notifier.crypto import DataKey, Keyring
from notifier.decisions import (
    AdvanceJourney,
    CancelTimer,
    Decision,
    Facts,
    JourneyState,
    SetTimer,
    TrackAlert,
)
from notifier.delivery.policy import DeliveryPolicy
from notifier.events import Event, Recipient
from notifier.pipeline.alerting.alerts import Alerts
from notifier.pipeline.incoming import Incoming
from notifier.pipeline.planning.facts import FactLoader
from notifier.pipeline.planning.notifying import NotificationWriter
from notifier.pipeline.planning.pacing import Pacing
from notifier.pipeline.relays.flows import Flows
from notifier.recipients.resolve import listed
from notifier.rules.engine import route
from notifier.rules.journeys import apply_advance
from notifier.rules.ruleset import RuleSet
from notifier.rules.telling import Telling
from notifier.store.database import Connection
from notifier.store.events import DecisionRow, EventRow, claim_keys, insert_decisions, insert_events
from notifier.store.journeys import JourneyKey, save_journeys
from notifier.store.persons import Persons
from notifier.store.timers import TimerRow, cancel_timers, set_timers


@dataclass(slots=True)
class Decided:
    """What a batch led to."""

    stored: int = 0
    duplicates: int = 0
    notifications: int = 0
    told_before: int = 0
    flows: set[tuple[str, str]] = field(default_factory=set)
    """(channel, lane) pairs that have new work."""


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
        self._rules, self._keyring = rules, keyring
        self._facts = FactLoader(rules, lists, keyring)
        self._alerts = alerts
        self._notifications = NotificationWriter(
            keyring=keyring, persons=persons, policy=policy, flows=flows, pacing=pacing
        )

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
        written = self._notifications.write(connection, fresh, decisions, now)
        decided.notifications, decided.told_before = written.notifications, written.told_before
        decided.flows = written.flows

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

    def _store_events(
        self, connection: Connection, fresh: Sequence[Incoming], decisions: Sequence[Decision]
    ) -> None:
        keys = [self._keyring.new_data_key() for _ in fresh]
        insert_events(connection, map(_event_row, fresh, keys))
        insert_decisions(connection, map(_decision_row, fresh, decisions, keys))

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
