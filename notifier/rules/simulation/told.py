"""Hold what would have been told: one value for each notification, with everything it says.

Values only; ``world`` makes them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from notifier.alerts import SEVERITIES, AlertState, Labels
from notifier.decisions import Notify
from notifier.events import Event, Json, Recipient, Urgency
from notifier.messages import ChannelName

PLAIN = "event"
"""Why somebody is told of an event itself, and not by a group of alerts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldAlert:
    """An alert as a message shows it."""

    is_firing: bool
    subject: str
    type: str
    severity: str
    labels: Labels
    started_at: datetime | None
    ended_at: datetime | None
    data: Mapping[str, Json]

    @classmethod
    def of(cls, state: AlertState, *, is_firing: bool) -> "ToldAlert":
        """Show an alert as it stands."""
        newest = state.newest
        return cls(
            is_firing=is_firing,
            subject=newest.subject if newest is not None else "",
            type=newest.type if newest is not None else "",
            severity=SEVERITIES[state.severity],
            labels=dict(state.labels),
            started_at=state.started_at,
            ended_at=None if is_firing else state.ended_at,
            data=dict(newest.data) if newest is not None else {},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One person is told one thing."""

    at: datetime
    recipient: Recipient
    channels: tuple[ChannelName, ...]
    rule: str
    why: str
    """``event``, or why a group of alerts speaks: first, new_member, reminder …"""
    template: str
    urgency: Urgency
    reason: str
    event: Event
    sequence: int = 0
    alerts: tuple[ToldAlert, ...] = ()
    group: str | None = None
    """Which group speaks: its later messages take the place of this one, should it still wait."""

    @property
    def firing(self) -> tuple[str, ...]:
        """Return the subjects of what fires."""
        return tuple(one.subject for one in self.alerts if one.is_firing)

    @property
    def resolved(self) -> tuple[str, ...]:
        """Return the subjects of what is over."""
        return tuple(one.subject for one in self.alerts if not one.is_firing)


def told_of(
    action: Notify,
    event: Event,
    at: datetime,
    *,
    why: str = PLAIN,
    alerts: Sequence[ToldAlert] = (),
    group: str | None = None,
) -> Told:
    """Return what a notification tells."""
    return Told(
        at=at,
        recipient=action.recipient,
        channels=tuple(step.channel for step in action.channels),
        rule=action.rule,
        why=why,
        template=action.template,
        urgency=action.urgency,
        reason=action.reason,
        event=event,
        sequence=action.sequence,
        alerts=tuple(alerts),
        group=group,
    )
