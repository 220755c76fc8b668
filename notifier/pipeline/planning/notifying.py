"""Write what decisions tell people: notifications, their first messages and the work, each told once.

Decides nothing: who is told stands in the decisions, and when, if not now, is said by ``pacing``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import orjson

from notifier.crypto import Keyring, blind_index
from notifier.decisions import (
    ChannelStep,
    Decision,
    Notify,
)
from notifier.delivery.outcome import channel_deadlines
from notifier.delivery.policy import DeliveryPolicy
from notifier.events import Recipient
from notifier.ids import uuid7
from notifier.messages import ChannelName, MessageStatus
from notifier.pipeline.composing.plans import plan_json
from notifier.pipeline.incoming import Incoming
from notifier.pipeline.planning.pacing import Ask, Paced, Pacing
from notifier.pipeline.planning.rows import held_row, new_message
from notifier.pipeline.relays.flows import Flows
from notifier.recipients.personal import Kind
from notifier.recipients.resolve import address_on
from notifier.store.database import Connection
from notifier.store.held import insert_held, settle_untold
from notifier.store.messages import MessageRow, insert_messages
from notifier.store.notifications import (
    NotificationRow,
    claim_notifications,
    insert_notifications,
    notification_digest,
)
from notifier.store.persons import Person, PersonKey, Persons
from notifier.store.work import WorkRow, insert_work


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What was written: how much is told, how much was told before, and (channel, lane) pairs with new work."""

    notifications: int
    told_before: int
    flows: set[tuple[str, str]]


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


class NotificationWriter:
    """Writes notifications."""

    def __init__(
        self, *, keyring: Keyring, persons: Persons, policy: DeliveryPolicy, flows: Flows, pacing: Pacing
    ) -> None:
        self._keyring, self._pacing = keyring, pacing
        self._persons, self._policy, self._flows = persons, policy, flows

    def write(
        self, connection: Connection, fresh: Sequence[Incoming], decisions: Sequence[Decision], now: datetime
    ) -> Written:
        """Write what the decisions on events tell people, each thing once."""
        pending = [
            _Pending(one, action, uuid7(), self._person_key(one.event.tenant, action.recipient.identity))
            for one, decision in zip(fresh, decisions, strict=True)
            for action in decision.notifications
        ]
        untold = claim_notifications(connection, [(self._digest(one), one.id) for one in pending])
        told = [one for one in pending if one.id in untold]
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
        return Written(
            notifications=len(told),
            told_before=len(pending) - len(told),
            flows={(one.work.channel, one.work.lane) for one in made if one.paced.is_now},
        )

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
            flows=self._flows,
            urgency=action.urgency,
            address=address_on(action.recipient, channel),
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

    def _person_key(self, tenant: str, identity: str) -> PersonKey:
        return tenant, blind_index(self._keyring.index_key, tenant, identity)


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
