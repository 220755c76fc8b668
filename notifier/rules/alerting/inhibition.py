"""Decide which firing alert mutes another: a stronger one, with equal labels.

Never ends or hides an alert: it only says that a message about it is not needed now.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from notifier.rules.alerting.matchers import Labels, Matcher, all_match


@dataclass(frozen=True, slots=True, kw_only=True)
class InhibitRule:
    """While a ``source`` fires, a ``target`` with the same values under ``equal`` is muted.

    A label that is missing or empty on either side equals nothing. ``is_missing_equal`` is Alertmanager's other way:
    two missing ones are equal, so that a misspelt name mutes everything.
    """

    name: str
    source: tuple[Matcher, ...]
    target: tuple[Matcher, ...]
    equal: tuple[str, ...] = ()
    is_missing_equal: bool = False

    def is_source(self, labels: Labels) -> bool:
        """Return whether an alert with these labels mutes others."""
        return all_match(self.source, labels)

    def is_target(self, labels: Labels) -> bool:
        """Return whether an alert with these labels can be muted."""
        return all_match(self.target, labels)

    def equal_values(self, labels: Labels) -> tuple[str, ...] | None:
        """Return what must be the same on both sides, or None when no other alert can have the same."""
        values = tuple(labels.get(name, "") for name in self.equal)
        return values if self.is_missing_equal or all(values) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Firing:
    """An alert that fires, or has fired until ``ends_at``."""

    labels: Labels
    starts_at: datetime
    ends_at: datetime | None = None

    def is_live(self, now: datetime) -> bool:
        """Return whether it still fires at ``now``."""
        return self.ends_at is None or now < self.ends_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Inhibition:
    """Why an alert is muted: the rule, and the alert that does it."""

    rule: InhibitRule
    source: Labels


_Identity = frozenset[tuple[str, str]]


@dataclass(slots=True)
class _Sources:
    """Firings of one rule with the same equal values: those that match its source side only, and both sides."""

    one_sided: dict[_Identity, Firing] = field(default_factory=dict)
    two_sided: dict[_Identity, Firing] = field(default_factory=dict)


class Inhibitors:
    """Firing alerts, found by rule and equal values: asking about one alert does not look at all others."""

    def __init__(self, rules: Iterable[InhibitRule]) -> None:
        self._rules = tuple(rules)
        self._sources: dict[tuple[int, tuple[str, ...]], _Sources] = {}

    def add(self, firing: Firing) -> None:
        """Take note of an alert; the same labels again replace the earlier."""
        identity = _identity(firing.labels)
        for number, values in self._sides(firing.labels):
            sources = self._sources.setdefault((number, values), _Sources())
            is_two_sided = self._rules[number].is_target(firing.labels)
            (sources.two_sided if is_two_sided else sources.one_sided)[identity] = firing

    def remove(self, labels: Labels) -> None:
        """Forget the alert with these labels, if it is known."""
        identity = _identity(labels)
        for side in self._sides(labels):
            sources = self._sources.get(side)
            if sources is None:
                continue
            sources.one_sided.pop(identity, None)
            sources.two_sided.pop(identity, None)
            if not sources.one_sided and not sources.two_sided:
                del self._sources[side]

    def inhibitor_of(self, labels: Labels, now: datetime) -> Inhibition | None:
        """Return what mutes an alert with these labels at ``now``; rules and alerts in the order they came."""
        for number, rule in enumerate(self._rules):
            values = rule.equal_values(labels)
            sources = None if values is None else self._sources.get((number, values))
            if sources is None or not rule.is_target(labels):
                continue
            found = next(_live(sources, now, is_both_sides=rule.is_source(labels)), None)
            if found is not None:
                return Inhibition(rule=rule, source=found.labels)
        return None

    def _sides(self, labels: Labels) -> Iterator[tuple[int, tuple[str, ...]]]:
        for number, rule in enumerate(self._rules):
            values = rule.equal_values(labels)
            if values is not None and rule.is_source(labels):
                yield number, values


def inhibitor_of(
    rules: Iterable[InhibitRule], target: Labels, firings: Iterable[Firing], now: datetime
) -> Inhibition | None:
    """Return what mutes an alert with the labels ``target`` at ``now``, if anything does."""
    inhibitors = Inhibitors(rules)
    for firing in firings:
        inhibitors.add(firing)
    return inhibitors.inhibitor_of(target, now)


def _live(sources: _Sources, now: datetime, *, is_both_sides: bool) -> Iterator[Firing]:
    """Yield what still fires.

    An alert that matches both sides is not muted by another that does so too, or two of them would silence
    each other, and one itself.
    """
    yield from (firing for firing in sources.one_sided.values() if firing.is_live(now))
    if not is_both_sides:
        yield from (firing for firing in sources.two_sided.values() if firing.is_live(now))


def _identity(labels: Labels) -> _Identity:
    return frozenset(labels.items())
