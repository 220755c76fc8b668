"""Hold the whole story of an event: its decision, its notifications, their messages, every try and receipt.

Values only; ``histories`` loads them.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from notifier.events import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class TryRecord:
    """One try of a message, with what the server answered."""

    number: int
    relay: str
    started_at: datetime
    finished_at: datetime
    outcome: str
    reason: str | None
    phase: str | None
    code: int | None
    enhanced: str | None
    reply: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptRecord:
    """What became known after the message was handed over."""

    kind: str
    at: datetime
    source: str | None = None
    """Who reported it: a provider's name, or ``mail``."""
    bounce: str | None = None
    reason: str | None = None
    status: str | None = None
    """The enhanced status code."""
    code: int | None = None
    text: str = ""
    """What the other side said."""
    verdict: str | None = None
    """Of an open or click we tracked: whether a human, a machine, or nobody knows who."""
    link: str | None = None
    """Where a click we tracked led. One a provider tells of may hold what a type calls secret, and is not shown."""
    feedback: str | None = None
    """Of a complaint: its type (RFC 5965 §3.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Where a message stands in the queue, and what it waits for."""

    state: str
    due_at: datetime
    expires_at: datetime
    attempts: int
    """Tries that counted against the budget."""
    is_tenant_paused: bool
    rests_until: datetime | None
    """Until when its relay takes nothing."""
    rests_because: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What the message said, as it is kept: secrets blanked."""

    subject: str
    text: str
    html: str | None
    template: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageHistory:
    """One message, on one channel."""

    id: UUID
    channel: str
    to: str
    status: str
    reason: str | None
    position: int
    resend_of: UUID | None
    message_id: str | None
    """The Message-ID header; a mail has one."""
    template_version: str | None
    created_at: datetime
    settled_at: datetime | None
    fate: str | None = None
    """What became of it after it left, as far as anybody has said."""
    fate_at: datetime | None = None
    fate_reason: str | None = None
    is_redirected: bool = False
    """Safe mode sent it to somebody of ours, not to ``to``."""
    waiting: Waiting | None
    tries: tuple[TryRecord, ...]
    receipts: tuple[ReceiptRecord, ...]
    live: Json
    """The live data it was rendered with; None where it never was."""
    content: Content | str | None
    """None where nothing was rendered or it is past retention; a word where it cannot be shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationHistory:
    """One recipient who is to be told one thing."""

    id: UUID
    rule: str
    reason: str
    category: str
    urgency: str
    template: str
    recipient: Json
    channels: tuple[str, ...]
    stage: str | None
    deadline: datetime
    state: str
    state_reason: str | None
    settled_at: datetime | None
    messages: tuple[MessageHistory, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EventHistory:
    """An event and all that came of it."""

    id: UUID
    tenant: str
    source: str
    external_id: str
    type: str
    subject: str
    time: datetime
    received_at: datetime
    lane: str
    data: Json
    to: Json
    attachments: Json
    rules_hash: str | None
    notified: int
    """How many notifications the rules asked for, those told before included."""
    decision: Json
    """The rules for its type, each with verdict, reason and facts."""
    notifications: tuple[NotificationHistory, ...]
