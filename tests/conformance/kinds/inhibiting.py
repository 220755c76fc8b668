"""Inhibition: which alert is muted by another."""

from notifier.events import Json
from notifier.rules.alerting.inhibition import Firing, InhibitRule, inhibitor_of
from notifier.rules.alerting.matchers import Matcher
from tests.conformance.outcomes import Outcome, compared
from tests.conformance.vectors import Vector, moment, moment_or_none


def inhibit(vector: Vector) -> Outcome:
    """The alert in question is muted, or not."""
    rules = [
        inhibit_rule(entry, f"rule {number}") for number, entry in enumerate(vector.given["rules"], start=1)
    ]
    firings = [
        Firing(
            labels=alert["labels"],
            starts_at=moment(alert.get("starts_at") or 0),
            ends_at=moment_or_none(alert.get("ends_at")),
        )
        for alert in vector.when["alerts"]
    ]
    found = inhibitor_of(rules, vector.when["target"], firings, moment(vector.given.get("now", 0)))
    by = "" if found is None else f" by {found.rule.name}, {dict(found.source)}"
    return compared(vector.want["muted"], found is not None, f"muted{by}")


def inhibit_rule(entry: Json, name: str) -> InhibitRule:
    """Return a rule of Alertmanager's, where two missing labels are equal."""
    return InhibitRule(
        name=name,
        source=tuple(Matcher(**matcher) for matcher in entry.get("source", ())),
        target=tuple(Matcher(**matcher) for matcher in entry.get("target", ())),
        equal=tuple(entry.get("equal", ())),
        is_missing_equal=True,
    )


KINDS = {"inhibit": inhibit}
