"""Make what alert rules share of its entries: windows, mutes, rotations, escalations; see that all named is there.

Collects errors with file and line; reads no file and decides nothing about events.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from notifier.rules.alerting.compile_rule import Named, RuleCompiler, read_choosing
from notifier.rules.alerting.escalation import Policy
from notifier.rules.alerting.escalation_model import EscalationEntry
from notifier.rules.alerting.inhibition import InhibitRule
from notifier.rules.alerting.model import (
    AlertEntry,
    InhibitEntry,
    MaintenanceEntry,
    WindowRuleEntry,
)
from notifier.rules.alerting.mutes import Maintenance
from notifier.rules.alerting.plan import (
    AlertRule,
)
from notifier.rules.alerting.rotation_model import RotationEntry
from notifier.rules.alerting.rotations import Rotation
from notifier.rules.alerting.windows import Window
from notifier.rules.checks import Checks, Place

SettingEntry = InhibitEntry | WindowRuleEntry | MaintenanceEntry | RotationEntry | EscalationEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertSetting:
    """What alert rules share: times that have names, and what mutes."""

    windows: Mapping[str, tuple[Window, ...]] = field(default_factory=dict)
    maintenance: tuple[Maintenance, ...] = ()
    inhibits: tuple[InhibitRule, ...] = ()
    rotations: Mapping[str, Rotation] = field(default_factory=dict)
    escalations: Mapping[str, Policy] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class AlertCompiler:
    """Compiles entry after entry; what they name is checked at the end, when all are known."""

    checks: Checks
    windows: dict[str, tuple[Window, ...]] = field(default_factory=dict)
    maintenance: list[Maintenance] = field(default_factory=list)
    inhibits: list[InhibitRule] = field(default_factory=list)
    escalations: dict[str, Policy] = field(default_factory=dict)
    _rotations: list[tuple[RotationEntry, Place]] = field(default_factory=list)
    _named: Named = field(default_factory=Named)

    def finish(self) -> AlertSetting:
        """Check that the windows exist that were named, and return what all share."""
        self._exist("window", self._named.windows, self.windows)
        self._exist("escalation", self._named.escalations, self.escalations)
        rotations = {
            entry.rotation: entry.compiled(self.windows)
            for entry, _ in self._rotations
            if self.windows.keys() >= set(entry.window_names)
        }
        return AlertSetting(
            windows=dict(self.windows),
            maintenance=tuple(self.maintenance),
            inhibits=tuple(self.inhibits),
            rotations=rotations,
            escalations=dict(self.escalations),
        )

    def _exist(self, kind: str, named: Sequence[tuple[str, Place]], there: Collection[str]) -> None:
        for name, place in named:
            if name not in there:
                known = ", ".join(sorted(there)) or "none yet"
                mend = f"add `- {kind}: {name}`; known: {known}"
                self.checks.wrong(place.error(f"unknown {kind} {name!r}", mend))

    def take(self, place: Place, entry: SettingEntry) -> None:
        """Take in what alert rules share."""
        match entry:
            case InhibitEntry():
                self.inhibit(place, entry)
            case WindowRuleEntry():
                self.window(entry)
            case MaintenanceEntry():
                self.keep_maintenance(place, entry)
            case RotationEntry():
                self.rotation(place, entry)
            case EscalationEntry():
                self.escalation(place, entry)

    def rotation(self, place: Place, entry: RotationEntry) -> None:
        """Take in a list whose members depend on the time."""
        self._named.add_windows(place, entry.window_names)
        self._rotations.append((entry, place))

    def escalation(self, place: Place, entry: EscalationEntry) -> None:
        """Take in whom to tell until somebody acknowledges."""
        for index, step in enumerate(entry.steps):
            self.checks.recipients(place.at("steps", index, "recipients"), step.recipients)
        if entry.at_end is not None:
            self.checks.recipients(place.at("at_end", "recipients"), entry.at_end.recipients)
        self.escalations[entry.escalation] = entry.compiled()

    def window(self, entry: WindowRuleEntry) -> None:
        """Take in a named time."""
        self.windows[entry.window] = tuple(one.compiled() for one in entry.intervals)

    def keep_maintenance(self, place: Place, entry: MaintenanceEntry) -> None:
        """Take in a silence that comes back."""
        self._named.add_windows(place.at("during"), entry.during)
        if entry.enabled:
            matchers = read_choosing(self.checks, place.at("match"), entry.match)
            self.maintenance.append(
                Maintenance(name=entry.maintenance, during=entry.during, matchers=matchers)
            )

    def inhibit(self, place: Place, entry: InhibitEntry) -> None:
        """Take in what mutes weaker alerts."""
        rule = InhibitRule(
            name=entry.inhibit,
            source=read_choosing(self.checks, place.at("source"), entry.source),
            target=read_choosing(self.checks, place.at("target"), entry.target),
            equal=entry.equal,
            is_missing_equal=entry.missing_equal,
        )
        if entry.enabled:
            self.inhibits.append(rule)

    def alert(self, place: Place, entry: AlertEntry) -> AlertRule:
        """Compile an alert rule."""
        return RuleCompiler(checks=self.checks, named=self._named).alert(place, entry)
