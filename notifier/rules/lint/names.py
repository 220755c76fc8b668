"""Find what is named and never used, and waits that contradict each other.

Counts uses by rules that are switched off, too.
"""

from collections.abc import Iterator
from datetime import timedelta

from notifier.rules.alerting.escalation_model import EscalationEntry
from notifier.rules.alerting.model import AlertEntry, MaintenanceEntry, WindowRuleEntry
from notifier.rules.alerting.rotation_model import RotationEntry
from notifier.rules.checks import Place
from notifier.rules.lint.known import Known, Lint, finding, routes_of
from notifier.rules.lint.tellings import tellings
from notifier.rules.read_telling import Chosen

_BATCH_EVERY = timedelta(minutes=5)


def names(known: Known) -> Iterator[Lint]:
    """Yield windows and escalations nobody uses, and reminders that come before the next message may."""
    windows, escalations = set(_windows(known)), set(_escalations(known))
    for place, window in known.entries(WindowRuleEntry):
        if window.window not in windows:
            yield _unused(place, "window", "`active`, `mute`, `during` or `only`")
    for place, escalation in known.entries(EscalationEntry):
        if escalation.escalation not in escalations:
            yield _unused(place, "escalation", "`escalate`")
    for telling in tellings(known):
        yield from _reminders(telling.chosen)


def _unused(place: Place, kind: str, where: str) -> Lint:
    return finding("warning", place, f"no rule uses this {kind}", f"name it under {where}, or remove it")


def _windows(known: Known) -> Iterator[str]:
    for one in known.rules:
        match one.entry:
            case AlertEntry():
                for _, route in routes_of(one.place, one.entry):
                    yield from (*route.active, *route.mute)
            case MaintenanceEntry():
                yield from one.entry.during
            case RotationEntry():
                yield from one.entry.window_names


def _escalations(known: Known) -> Iterator[str]:
    for one in known.rules:
        if isinstance(one.entry, AlertEntry):
            yield from (route.escalate for _, route in routes_of(one.place, one.entry) if route.escalate)


def _reminders(chosen: Chosen) -> Iterator[Lint]:
    remind, batch = chosen.values.get("remind_after"), chosen.values.get("batch_every")
    every = _BATCH_EVERY if batch is None else batch
    if remind is not None and remind.first < every:
        problem = "reminders come sooner than news of the group may"
        mend = "make it at least as long as `batch_every` (5m where it is left out)"
        yield finding("warning", chosen.where["remind_after"], problem, mend)
