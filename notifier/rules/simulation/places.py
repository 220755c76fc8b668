"""Hold a group of alerts while it is simulated: its members, what they were told as, and its escalation.

Values and what is remembered of them; what is made of it stands in ``looking``.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from notifier.alerts import AlertState
from notifier.decisions import Join, TrackAlert
from notifier.events import Recipient
from notifier.rules.alerting.cadence import Group, Told
from notifier.rules.alerting.escalation import Chain
from notifier.rules.alerting.plan import AlertPlan, AlertRule

AlertKey = tuple[str, str, str]
"""Tenant, rule, key."""
GroupKey = tuple[str, str, str]
"""Tenant, rule, the key of the place it is told at."""


@dataclass(slots=True, kw_only=True)
class Place:
    """A group, with what is remembered of its members and of those who were told."""

    key: GroupKey
    id: str
    join: Join
    group: Group
    members: dict[AlertKey, Told | None] = field(default_factory=dict)
    muted: dict[AlertKey, str] = field(default_factory=dict)
    """Why, for whom it was so at a look since the last that was settled."""
    heard: dict[AlertKey, dict[str, Recipient]] = field(default_factory=dict)
    """Who was told that an alert fires."""
    chain: Chain | None = None
    """The escalation that runs, or ran."""

    def heard_of(self, alerts: Iterable[AlertKey]) -> tuple[Recipient, ...]:
        """Return who was told that one of the alerts fires."""
        found: dict[str, Recipient] = {}
        for alert in alerts:
            found |= self.heard.get(alert, {})
        return tuple(found.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """The branch of a rule that says how a group is told."""

    rule: AlertRule
    plan: AlertPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """An alert before and after."""

    key: AlertKey
    before: AlertState
    action: TrackAlert
