"""Make the rows of one message on one channel: the first of a notification, a fallback, or a resend; or hold it."""

from datetime import datetime
from uuid import UUID

from notifier.events import Urgency
from notifier.ids import uuid7
from notifier.messages import ChannelName
from notifier.pipeline.relays.flows import Flows
from notifier.pipeline.relays.routing import Way
from notifier.store.held import HeldRow
from notifier.store.jobs import JobRow
from notifier.store.messages import MessageRow
from notifier.store.work import WorkRow


def new_message(
    *,
    tenant: str,
    notification_id: UUID,
    event_id: UUID,
    type: str,  # noqa: A002 - the column's name
    subject: str,
    channel: str,
    lane: str,
    person_id: UUID,
    address_index: bytes,
    position: int,
    created_at: datetime,
    flows: Flows,
    urgency: Urgency,
    address: str,
    expires_at: datetime,
    resend_of: UUID | None = None,
) -> tuple[MessageRow, WorkRow]:
    """Return a message to ``address`` and its place in the queue, due now by the database's clock."""
    message = MessageRow(
        id=uuid7(),
        tenant=tenant,
        notification_id=notification_id,
        event_id=event_id,
        type=type,
        subject=subject,
        channel=channel,
        lane=lane,
        person_id=person_id,
        address_index=address_index,
        position=position,
        created_at=created_at,
        resend_of=resend_of,
    )
    way = flows.way(ChannelName(channel), urgency, tenant, message.id, address)
    return message, work_row(message, way, expires_at)


def work_row(message: MessageRow | JobRow, way: Way, expires_at: datetime) -> WorkRow:
    """Return the place of a message in the queue, due now by the database's clock."""
    return WorkRow(
        message_id=message.id if isinstance(message, MessageRow) else message.message_id,
        tenant=message.tenant,
        channel=message.channel,
        lane=message.lane,
        relay=way.relay,
        due_at=None,
        expires_at=expires_at,
        destination=way.destination.group,
        domain=way.destination.domain,
    )


def held_row(message: MessageRow, digest_key: str, until: datetime, reason: str, now: datetime) -> HeldRow:
    """Return the row of a message that waits from now on, whenever its event came."""
    return HeldRow(
        message_id=message.id,
        notification_id=message.notification_id,
        tenant=message.tenant,
        person_id=message.person_id,
        digest_key=digest_key,
        arrived_at=now,
        until=until,
        reason=reason,
    )
