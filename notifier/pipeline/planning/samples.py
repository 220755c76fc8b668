"""Make the context a template would get, from the catalogue's sample: for previews and checks.

Looks nothing up and sends nothing; live data comes from the look-ups' samples, or must be given.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from notifier.alerts import AlertState, AlertStatus, Newest
from notifier.catalog import Catalog, EventType
from notifier.events import DEFAULT_TENANT, Event, Json
from notifier.pipeline.planning.digests import DIGEST, DIGEST_TEMPLATE
from notifier.rules.alerting.cadence import GroupMessage, Why
from notifier.rules.alerting.plan import AlertRule
from notifier.rules.alerting.speaking import Speaker, event_of
from notifier.rules.alerting.tracking import aspect_of
from notifier.rules.ruleset import NotifyRule, ReminderRule, Rule, RuleSet, StageRule
from notifier.rules.telling import Telling

_STEP = timedelta(days=1)
_SEVERAL = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """An event type and the rule that renders a template for it."""

    entry: EventType
    rule: Rule
    alerts: int = 0
    """How many alerts the message is of; 0 = it is of an event."""


_GATHERED = NotifyRule(
    name="digest", patterns=(DIGEST,),
    telling=Telling(condition=None, sources=(), steps=(), reason="you asked for it together", template=DIGEST_TEMPLATE),
)  # fmt: skip


def uses(catalog: Catalog, rules: RuleSet) -> dict[str, Use]:
    """Return, by template, the first type and rule that take it; digests, for which nobody writes a rule, too."""
    found: dict[str, Use] = {}
    if DIGEST in catalog:
        found[DIGEST_TEMPLATE] = Use(entry=catalog[DIGEST], rule=_GATHERED)
    for entry in catalog:
        for rule in rules.rules_for(entry.type):
            for name, use in _templates(entry, rule):
                found.setdefault(name, use)
    return found


def _templates(entry: EventType, rule: Rule) -> Iterator[tuple[str, Use]]:
    if isinstance(rule, AlertRule):
        for node in rule.root.walk():
            for alerts in (1, _SEVERAL):
                name = node.plan.template_for(entry.type, alerts)
                yield name, Use(entry=entry, rule=rule, alerts=alerts)
    elif not isinstance(rule, ReminderRule):
        yield rule.telling.template_for(entry.type), Use(entry=entry, rule=rule)


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
        **({"alert": _alert(use, use.rule, now)} if isinstance(use.rule, AlertRule) else {}),
    }  # fmt: skip


def _alert(use: Use, rule: AlertRule, now: datetime) -> dict[str, Json]:
    """Return what a group would say first: of alerts that began a step ago, one after the other."""
    states = {str(n): _state(use.entry, rule, n, now) for n in range(max(1, use.alerts))}
    speaker = Speaker(
        id="sample",
        tenant=DEFAULT_TENANT,
        rule=rule,
        plan=rule.root.plan,
        labels=rule.group_labels(rule.root.plan, states["0"].labels),
        number=1,
    )
    names = tuple(states)
    message = GroupMessage(why=Why.FIRST, firing=names, resolved=(), news=names)
    event = event_of(speaker, message, states, now, next_at=now + _STEP)
    return {**(event.alert or {}), "links": {"ack": "https://notifier.example/ack/sample"}}


def _state(entry: EventType, rule: AlertRule, number: int, now: datetime) -> AlertState:
    subject = entry.sample_subject if number == 0 else f"{entry.sample_subject}-{number + 1}"
    began = now - _STEP / 24 + timedelta(minutes=number)
    event = Event(
        id="sample", source="sample", type=entry.type, subject=subject, time=began, data=dict(entry.sample)
    )
    aspect = aspect_of(rule, event)
    return AlertState(
        status=AlertStatus.FIRING,
        occurrence=1,
        severity=aspect.severity,
        labels=aspect.labels,
        newest=Newest(type=entry.type, subject=subject, data=dict(entry.sample)),
        started_at=began,
        heard_at=began,
    )


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
