"""Make the context a template would get, from the catalogue's sample: for previews and checks.

Looks nothing up and sends nothing; live data comes from the look-ups' samples, or must be given.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from notifier.catalog import Catalog, EventType
from notifier.events import Json
from notifier.rules.ruleset import Rule, RuleSet, StageRule

_STEP = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """An event type and the rule that renders a template for it."""

    entry: EventType
    rule: Rule


def uses(catalog: Catalog, rules: RuleSet) -> dict[str, Use]:
    """Return, by template, the first type and rule that take it."""
    found: dict[str, Use] = {}
    for entry in catalog:
        for rule in rules.rules_for(entry.type):
            found.setdefault(rule.telling.template_for(entry.type), Use(entry=entry, rule=rule))
    return found


def sample_context(
    use: Use, rules: RuleSet, *, brand: Mapping[str, Json], zone: str, locale: str, now: datetime,
    data: Mapping[str, Json] | None = None, live: Mapping[str, Json] | None = None,
) -> dict[str, Json]:  # fmt: skip
    """Return what the pipeline would hand to the template; ``data`` and ``live`` replace the samples."""
    entry, reason = use.entry, use.rule.telling.reason or ""
    return {
        "event": {
            "id": "sample", "type": entry.type, "subject": entry.sample_subject, "time": now.isoformat(),
        },
        "data": dict(entry.sample if data is None else data),
        "recipient": {"name": "Alex Example", "locale": locale, "zone": zone},
        "live": {**_live(entry), **(live or {})},
        "journey": _journey(use.rule, rules, now) if isinstance(use.rule, StageRule) else None,
        "brand": dict(brand),
        "why": reason,
        "links": {},
        "message": {"id": "sample", "reason": reason},
    }  # fmt: skip


def unsampled(entry: EventType) -> list[str]:
    """Return the look-ups that have no sample: without them a template cannot be tried."""
    return [name for name, lookup in entry.lookup.items() if lookup.is_required and lookup.sample is None]


def _live(entry: EventType) -> dict[str, Json]:
    return {
        name: lookup.sample
        for name, lookup in entry.lookup.items()
        if lookup.sample is not None or not lookup.is_required
    }


def _journey(rule: StageRule, rules: RuleSet, now: datetime) -> dict[str, Json]:
    """Let the subject have passed each stage before this one, a day apart."""
    before = [
        one
        for one in rules
        if isinstance(one, StageRule) and one.journey == rule.journey and one.rank < rule.rank
    ]
    stages = [*sorted(before, key=lambda one: (one.rank, one.position)), rule]
    history = [
        {"stage": one.stage, "time": (now - _STEP * (len(stages) - 1 - index)).isoformat(), "late": False}
        for index, one in enumerate(stages)
    ]
    return {"stage": rule.stage, "history": history}
