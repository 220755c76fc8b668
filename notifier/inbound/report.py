"""What a mail that came back says, as values: its kind, its recipients, the message it is about.

Values only; :mod:`notifier.inbound.reading` fills them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class ReportKind(StrEnum):
    """What a mail is to the sender of another mail."""

    BOUNCE = "bounce"
    """A failure or a delay notice."""
    COMPLAINT = "complaint"
    """A recipient, or the server for them, reports our mail (RFC 5965)."""
    AUTO_REPLY = "auto_reply"
    """A machine answers for a person (RFC 3834): says nothing of the delivery."""
    OTHER = "other"
    """Ordinary mail, and reports of success."""


class Phase(StrEnum):
    """The SMTP command that was answered, where the report tells it."""

    CONNECT = "connect"
    HELO = "helo"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipientReport:
    """What a report says of one recipient."""

    address: str
    aliases: tuple[str, ...] = ()
    """Other names of the same recipient in this mail: forwarded from or to, the original recipient."""
    status: str | None = None
    """The enhanced status code (RFC 3463), as the server that refused gave it."""
    code: int | None = None
    """The SMTP reply code."""
    reason: str = "undefined"
    """A word of ``reasons.yaml``."""
    hard: bool = False
    """Never send to this address again."""
    action: str = "failed"
    """``failed`` or ``delayed``; of a success report ``delivered`` and the like (RFC 3464 §2.3.3)."""
    diagnostic: str = ""
    """What the refusing server said. May quote an address: never logged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """The message a report is about, as far as it is told."""

    message_id: str | None = None
    return_path: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names in lower case; of repeated ones the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MailReport:
    """What one mail says."""

    kind: ReportKind
    received_at: datetime
    recipients: tuple[RecipientReport, ...] = ()
    feedback_type: str | None = None
    """Of a complaint: ``abuse``, ``fraud``, ``auth-failure`` ... (RFC 5965 §7.3)."""
    original: Original = field(default_factory=Original)
    message_id: str | None = None
    """The report's own."""
    is_read_receipt: bool = False
    """Of ``other``: it tells that the message was displayed or deleted: no bounce, and no answer."""
    sent_to: tuple[str, ...] = ()
    """Whom the report was sent to: one of them is the return path that tells our message."""
