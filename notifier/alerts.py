"""The nouns of alerting: what an alert is, how strong, and where it stands.

Values only; what changes them stands in ``notifier.rules.alerting``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from notifier.events import Json

Labels = Mapping[str, str]
"""What an alert is known by: name to text. One that is missing counts as the empty text."""

SEVERITIES = ("info", "warning", "error", "critical")
"""From weak to strong; a severity is a place in here."""


class AlertStatus(StrEnum):
    """Where an alert stands."""

    QUIET = "quiet"
    """It never fired: only counted, or armed."""
    FIRING = "firing"
    ACKNOWLEDGED = "acknowledged"
    """It fires, and somebody took charge."""
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Newest:
    """The event that spoke last of an alert: what templates and recipients are taken from."""

    type: str
    subject: str
    data: Mapping[str, Json] = field(default_factory=dict)
    to: tuple[Mapping[str, Json], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """What an event says about an alert."""

    status: AlertStatus
    at: datetime
    """When it was said: of two words the newer one counts."""
    severity: int
    labels: Labels
    newest: Newest
    begins_at: datetime | None = None
    """Said by the event: when it began; else when it was said."""
    ends_at: datetime | None = None
    """Said by the event: it is over then, unless it is heard of again."""
    by: str | None = None
    """Who acknowledged it, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertState:
    """One alert, now."""

    status: AlertStatus = AlertStatus.QUIET
    occurrence: int = 0
    """How often it began."""
    severity: int = 0
    labels: Labels = field(default_factory=dict)
    newest: Newest | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    """When it last ended."""
    heard_at: datetime | None = None
    expires_at: datetime | None = None
    """It is over then, unless it is heard of again."""
    acknowledged_by: str | None = None
    acknowledged_at: datetime | None = None
    acknowledged_until: datetime | None = None
    """Nobody has charge any more then, unless it is over."""
    memory: Mapping[str, Json] | None = None
    """What its detector remembers."""
    look_at: datetime | None = None
    """When its detector wants to be asked again."""
    changes: tuple[datetime, ...] = ()
    """When it lately began or ended."""
    is_held: bool = False
    """It flaps."""
    release_at: datetime | None = None

    @property
    def is_firing(self) -> bool:
        """Tell whether it is on, whether or not somebody took charge."""
        return self.status in (AlertStatus.FIRING, AlertStatus.ACKNOWLEDGED)

    @property
    def due_at(self) -> datetime | None:
        """Return when time alone may change it."""
        expires = self.expires_at if self.is_firing else None
        void = self.acknowledged_until if self.status is AlertStatus.ACKNOWLEDGED else None
        moments = (expires, void, self.look_at, self.release_at)
        return min((one for one in moments if one is not None), default=None)
