"""Decide whether an alert may be told of at a moment: windows, maintenance, silences, stronger alerts.

Pure: what mutes is loaded before. What is muted is hidden from people and not from the state: it still counts,
groups and inhibits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from notifier.alerts import Labels
from notifier.rules.alerting.inhibition import Inhibitors
from notifier.rules.alerting.matchers import Matcher, all_match
from notifier.rules.alerting.plan import AlertPlan
from notifier.rules.alerting.silences import Silence, SilenceState
from notifier.rules.alerting.windows import Window, is_inside, next_change


@dataclass(frozen=True, slots=True, kw_only=True)
class Maintenance:
    """A silence that comes back."""

    name: str
    during: tuple[str, ...]
    matchers: tuple[Matcher, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mute:
    """Why an alert is not told of, and until when as far as that is known."""

    reason: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutes:
    """Everything that may mute, as of now."""

    windows: Mapping[str, Sequence[Window]] = field(default_factory=dict)
    maintenance: Sequence[Maintenance] = ()
    silences: Sequence[Silence] = ()
    inhibitors: Inhibitors | None = None

    def of(self, labels: Labels, plan: AlertPlan, now: datetime) -> Mute | None:
        """Return what mutes an alert; the first of inhibitor, windows, maintenance, silence."""
        return (
            self._inhibited(labels, now)
            or self._outside(plan, now)
            or self._within(plan, now)
            or self._maintained(labels, now)
            or self._silenced(labels, now)
        )

    def _inhibited(self, labels: Labels, now: datetime) -> Mute | None:
        found = self.inhibitors.inhibitor_of(labels, now) if self.inhibitors is not None else None
        return Mute(reason=f"inhibit:{found.rule.name}") if found is not None else None

    def _outside(self, plan: AlertPlan, now: datetime) -> Mute | None:
        if not plan.active:
            return None
        windows = [one for name in plan.active for one in self.windows.get(name, ())]
        if is_inside(windows, now):
            return None
        return Mute(reason=f"outside:{','.join(plan.active)}", until=next_change(windows, now))

    def _within(self, plan: AlertPlan, now: datetime) -> Mute | None:
        for name in plan.mute:
            windows = self.windows.get(name, ())
            if is_inside(windows, now):
                return Mute(reason=f"window:{name}", until=next_change(windows, now))
        return None

    def _maintained(self, labels: Labels, now: datetime) -> Mute | None:
        for one in self.maintenance:
            if all_match(one.matchers, labels):
                for name in one.during:
                    windows = self.windows.get(name, ())
                    if is_inside(windows, now):
                        return Mute(reason=f"maintenance:{one.name}", until=next_change(windows, now))
        return None

    def _silenced(self, labels: Labels, now: datetime) -> Mute | None:
        for one in self.silences:
            if one.state(now) is SilenceState.ACTIVE and one.matches(labels):
                return Mute(reason=f"silence:{one.id}", until=one.ends_at)
        return None
