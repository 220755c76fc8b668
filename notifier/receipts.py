"""What becomes known of a message after it left: the one vocabulary for callbacks, bounces and answers.

Values only. Who applies them, and what follows, stands in ``notifier.pipeline.tracking.track``.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Self
from uuid import UUID

from notifier.events import Json

LINK = "link"
"""The source of what people did by a link of ours: what follows from it was carried out already."""


class ReceiptKind(StrEnum):
    """What happened to a message."""

    SENT = "sent"
    """The provider passed it on; nobody has confirmed it yet."""
    DEFERRED = "deferred"
    """Not delivered yet; the provider goes on trying."""
    DELIVERED = "delivered"
    """The recipient's server has it."""
    BOUNCED = "bounced"
    """It will not be delivered: see ``bounce``."""
    REJECTED = "rejected"
    """The provider did not send it at all: see ``reason``."""
    COMPLAINED = "complained"
    """The recipient called it spam."""
    OPENED = "opened"
    CLICKED = "clicked"
    UNSUBSCRIBED = "unsubscribed"
    REPLIED = "replied"
    """A person answered."""
    AUTO_REPLIED = "auto_replied"
    """A machine answered: an absence notice is no bounce."""


class BounceClass(StrEnum):
    """What a bounce says of later messages."""

    HARD = "hard"
    """Never send to this address again."""
    SOFT = "soft"
    """This message failed; a later one may not."""
    BLOCK = "block"
    """We, or this content, were refused: the recipient is not to blame and is never suppressed for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """One thing that became known of one message to one recipient.

    The message is found by ``message`` (our own id, from a token whose MAC was checked), else by ``message_id``
    (ours carry a MAC), else by ``remote_id`` among what ``source`` took over.
    """

    kind: ReceiptKind
    at: datetime
    """When it happened, by the other side's clock; when we heard of it where it says nothing."""
    source: str
    """The provider's name in the settings, or ``mail`` for bounces and answers by mail."""
    key: str
    """The same for the same fact told again: the provider's event id, or a digest of what was said."""
    message: UUID | None = None
    message_id: str | None = None
    remote_id: str | None = None
    recipient: str | None = None
    bounce: BounceClass | None = None
    reason: str | None = None
    """Of a bounce or rejection: a word of ``notifier.inbound``'s list, such as ``userunknown``."""
    status: str | None = None
    """The enhanced status code (RFC 3463)."""
    code: int | None = None
    """The SMTP reply code."""
    text: str = ""
    """What the other side said; may quote an address: stored sealed, never logged."""
    detail: Mapping[str, Json] = field(default_factory=dict)
    """What only one kind has: the link of a click, the feedback type of a complaint, a verdict of an open."""

    def to_json(self) -> dict[str, Json]:
        """Return the receipt as JSON; :meth:`from_json` reads it."""
        values: dict[str, Any] = {
            name: value for name, value in asdict(self).items() if value not in (None, "", {})
        }
        values["at"] = self.at.astimezone(UTC).isoformat()
        if self.message is not None:
            values["message"] = str(self.message)
        return values

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_json` wrote.

        Raises:
            KeyError: a field is missing.
            TypeError: there is one too many.
            ValueError: one is not what it should be.
        """
        values = dict(value)
        values["kind"] = ReceiptKind(values["kind"])
        values["at"] = datetime.fromisoformat(values["at"])
        if "message" in values:
            values["message"] = UUID(values["message"])
        if "bounce" in values:
            values["bounce"] = BounceClass(values["bounce"])
        return cls(**values)
