"""Load everything a chunk of messages needs to be sent, in one query.

A job joins the message with its notification, event, person, journey, and what may forbid it.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from notifier.store.database import Connection


class JobRow(NamedTuple):
    """One message to send, as stored: sealed fields still sealed. Fields in the query's order."""

    message_id: UUID
    tenant: str
    channel: str
    lane: str
    position: int
    tries: int
    address_index: bytes
    message_created_at: datetime
    notification_id: UUID
    type: str
    category: str
    subject: str
    rule: str
    reason: str
    urgency: str
    template: str
    plan: list[Any]
    stage_rule: str | None
    stage: str | None
    stage_order: int | None
    deadline: datetime
    created_at: datetime
    ignore_quiet: bool | None
    notification_sealed: bytes
    person_id: UUID
    person_key: bytes | None
    event_id: UUID
    source: str
    external_id: str
    event_time: datetime
    event_key: bytes | None
    event_sealed: bytes
    is_tenant_paused: bool
    journey_stage: str | None
    journey_order: int | None
    journey_terminal: bool | None
    journey_history: list[Any] | None
    suppressions: list[Any] | None
    """The entries that stand for the address: cause, scope, reason and since of each."""
    opt_outs: list[str] | None
    wishes: bytes | None


_QUERY = """
SELECT m.id AS message_id, m.tenant, m.channel, m.lane, m.position, m.attempts AS tries, m.address_index,
       m.created_at AS message_created_at,
       n.id AS notification_id, n.type, n.category, n.subject, n.rule, n.reason, n.urgency, n.template, n.plan,
       n.stage_rule, n.stage, n.stage_order, n.deadline, n.created_at, n.ignore_quiet,
       n.sealed AS notification_sealed,
       p.id AS person_id, p.data_key AS person_key,
       e.id AS event_id, e.source, e.external_id, e.time AS event_time, e.data_key AS event_key,
       e.sealed AS event_sealed,
       t.paused_at IS NOT NULL AS is_tenant_paused,
       j.stage AS journey_stage, j.stage_order AS journey_order, j.is_terminal AS journey_terminal,
       j.history AS journey_history,
       s.entries AS suppressions,
       c.opt_outs, c.wishes
FROM unnest(%b::uuid[]) AS wanted (id)
JOIN message m ON m.id = wanted.id
JOIN notification n ON n.id = m.notification_id
JOIN event e ON e.id = m.event_id
JOIN person p ON p.id = m.person_id
JOIN tenant t ON t.id = m.tenant
LEFT JOIN journey j ON j.tenant = m.tenant AND j.rule = n.stage_rule AND j.subject = n.subject
LEFT JOIN LATERAL (
    SELECT jsonb_agg(jsonb_build_array(cause, scope, reason, since)) AS entries FROM suppression
    WHERE tenant = m.tenant AND address_index = m.address_index AND scope IN ('*', n.category)
      AND (until IS NULL OR until > now())) s ON true
LEFT JOIN LATERAL (
    SELECT opt_outs, wishes FROM contact WHERE tenant = m.tenant AND person_id = m.person_id
    ORDER BY wishes IS NULL, updated_at DESC LIMIT 1) c ON true
"""


def load_jobs(connection: Connection, messages: Sequence[UUID]) -> dict[UUID, JobRow]:
    """Return the jobs by message id."""
    found = connection.execute(_QUERY, [list(messages)], prepare=True)
    return {row[0]: JobRow(*row) for row in found}
