"""The nouns of sending: what a notification, a message and its outcome can be.

Values only; who may change a state, and when, stands in ``notifier.delivery``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

from notifier.errors import Reply


class ChannelName(StrEnum):
    """A way to reach a person."""

    EMAIL = "email"
    SMS = "sms"
    PORTAL = "portal"
    CONSOLE = "console"
    WEBHOOK = "webhook"
    """Endpoints of the settings."""
    APPRISE = "apprise"
    """Groups of targets of the settings: operators' chats and pagers."""


class MessageClass(StrEnum):
    """The kind of mail the law and the mailbox providers distinguish."""

    TRANSACTIONAL = "transactional"
    OPERATIONAL = "operational"
    SUBSCRIPTION = "subscription"
    MARKETING = "marketing"


class Preference(StrEnum):
    """What a person may say about a type of event."""

    CANT_UNSUBSCRIBE = "cant_unsubscribe"
    """Nothing: they are told, and at once. For what the law or safety asks."""
    OPT_IN = "opt_in"
    """They are told if they asked for it."""
    OPT_OUT = "opt_out"
    """They are told unless they refused it."""


class MessageStatus(StrEnum):
    """Where a message stands; all but the first two are final for this message."""

    QUEUED = "queued"
    DEFERRED = "deferred"
    SENT = "sent"
    FAILED = "failed"
    SUPPRESSED = "suppressed"
    SUPERSEDED = "superseded"
    EXPIRED = "expired"
    UNKNOWN = "unknown"


class NotificationState(StrEnum):
    """Where a notification stands; all but the first are final."""

    PENDING = "pending"
    SENT = "sent"
    FAILED = "failed"
    SUPPRESSED = "suppressed"
    SUPERSEDED = "superseded"
    EXPIRED = "expired"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file to attach, its content at hand; inline where ``cid`` is set (RFC 2392)."""

    name: str
    media_type: str
    content: bytes
    cid: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """A message's content on one channel. Email fills subject, html and text; SMS and portal text only."""

    text: str
    subject: str = ""
    html: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One message, ready for a channel: everything a provider needs, nothing it does not."""

    id: UUID
    channel: ChannelName
    tenant: str
    to: str
    """The bare address: ``local@domain``, or a phone number in E.164."""
    to_name: str | None = None
    sender: str = ""
    sender_name: str | None = None
    reply_to: str | None = None
    content: Rendered
    message_id: str = ""
    """RFC 5322 msg-id with its angle brackets; stable over retries."""
    headers: Mapping[str, str] = field(default_factory=dict)
    files: tuple[File, ...] = ()
    is_tls_required: bool = False
    return_path: str = ""
    """Where this one message's bounce goes (VERP); the relay's or the sender's address where empty."""
    notify: bool = False
    """Ask for reports of failure and delay, where the relay can pass that on (RFC 3461)."""
    locale: str = "en"
    type: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The provider took the message over; ``relay`` names who did."""

    reply: Reply
    relay: str
