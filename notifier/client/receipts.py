"""What a producer gets back: a receipt at once, a result when asked for.

Values; the asking itself stands in ``notifier.client.asking``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from notifier.client.wire import Until
from notifier.client.writing import EventKey
from notifier.errors import NotifierError
from notifier.events import Json, Urgency


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationResult:
    """What became of one notification: one recipient told one thing."""

    id: str
    rule: str
    channel: str | None
    """The channel of the last message; None when none was tried."""
    status: str
    reason: str | None = None
    attempts: int = 0

    def to_json(self) -> dict[str, Json]:
        """Return the JSON form."""
        return {
            name: getattr(self, name) for name in ("id", "rule", "channel", "status", "reason", "attempts")
        }

    @classmethod
    def from_json(cls, value: Json) -> "NotificationResult":
        """Read the JSON form; keys of newer servers are passed over."""
        return cls(
            id=value["id"], rule=value["rule"], channel=value.get("channel"), status=value["status"],
            reason=value.get("reason"), attempts=value.get("attempts", 0),
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What the server made of an event."""

    state: str
    """``decided``, ``settled`` or ``refused``; the same event again has the result of the first."""
    verdict: str | None = None
    reasons: tuple[str, ...] = ()
    notifications: tuple[NotificationResult, ...] = ()

    def to_json(self) -> dict[str, Json]:
        """Return the JSON form: what the server pushes to the reply list."""
        return {
            "state": self.state, "verdict": self.verdict, "reasons": list(self.reasons),
            "notifications": [notification.to_json() for notification in self.notifications],
        }  # fmt: skip

    @classmethod
    def from_json(cls, value: Json) -> "Result":
        """Read the JSON form; keys of newer servers are passed over.

        Raises:
            NotifierError: it is not a result.
        """
        try:
            return cls(
                state=value["state"], verdict=value.get("verdict"), reasons=tuple(value.get("reasons") or ()),
                notifications=tuple(map(NotificationResult.from_json, value.get("notifications") or ())),
            )  # fmt: skip
        except (KeyError, TypeError, AttributeError) as error:
            raise NotifierError(
                f"the server's result cannot be read ({error!r}): upgrade the client"
            ) from None


class Asker(Protocol):
    """Whoever can ask the server what became of an event."""

    def ask(self, event: EventKey, *, timeout: float, until: Until) -> Result:
        """Wait for the result."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The intake has the event. ``event`` is its key: tenant, source and id."""

    event: EventKey
    lane: Urgency
    asker: Asker = field(repr=False, compare=False)

    @property
    def id(self) -> str:
        """The event's id: the producer's own, or the one minted for it."""
        return self.event[2]

    def result(self, timeout: float, until: Until = "settled") -> Result:
        """Wait for what became of the event.

        The server keeps no results: it looks the event up when asked, so asking late or twice is fine.

        Args:
            timeout: seconds to wait.
            until: ``decided`` once the rules have spoken, ``settled`` once every notification is final.

        Raises:
            ResultTimeout: nothing came in time; the event may still be processed.
        """
        return self.asker.ask(self.event, timeout=timeout, until=until)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnqueueSummary:
    """How many events an ``enqueue_many`` handed over, in all and per lane."""

    accepted: int
    lanes: Mapping[Urgency, int]
