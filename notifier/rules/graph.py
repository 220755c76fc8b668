"""Lay out what rules do as rows: which types come in, what branches there are, who is told after which waits.

Says what is in the picture; ``drawing`` says where. Decides nothing about events.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from notifier.recipients.sources import ContactSource, DataSource, ListSource, Source
from notifier.rules.alerting.escalation import Policy, Step
from notifier.rules.alerting.plan import AlertPlan, AlertRule
from notifier.rules.alerting.routes import Node
from notifier.rules.reminders import offset_text
from notifier.rules.ruleset import NotifyRule, ReminderRule, Rule, RuleSet, Schedule, StageRule
from notifier.rules.spans import span_text
from notifier.rules.telling import Telling, matches

_MOST_TYPES = 6
"""A pattern that means more is one box."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A rule, or a branch of one, and whom it tells."""

    name: str
    depth: int = 0
    """0 = the rule itself."""
    condition: str = ""
    waits: str = ""
    targets: tuple[str, ...] = ()
    is_continue: bool = False
    """What it takes may be taken by those after it, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """A rule with its branches."""

    kind: str
    types: tuple[str, ...]
    """Event types; a glob that means many stands for them."""
    rows: tuple[Row, ...]
    is_enabled: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """The whole picture."""

    bands: tuple[Band, ...]

    @property
    def types(self) -> tuple[str, ...]:
        """Return what comes in, each once."""
        return tuple(dict.fromkeys(name for band in self.bands for name in band.types))

    @property
    def targets(self) -> tuple[str, ...]:
        """Return who is told, each once."""
        rows = (row for band in self.bands for row in band.rows)
        return tuple(dict.fromkeys(name for row in rows for name in row.targets))


def graph_of(rules: RuleSet, types: Collection[str], only: str | None = None) -> Graph:
    """Return the picture of a rule set, or of what it does with one type."""
    chosen = rules.rules_for(only) if only is not None else tuple(rules)
    bands = [*_journeys(chosen, types), *(band for rule in chosen for band in _band(rule, rules, types))]
    bands += [_schedule(one) for one in rules.schedules if only in (None, one.event_type)]
    return Graph(bands=tuple(bands))


def _band(rule: Rule, rules: RuleSet, types: Collection[str]) -> Iterator[Band]:
    match rule:
        case NotifyRule():
            rows: tuple[Row, ...] = (_told(rule.name, rule.telling),)
            kind = "notify"
        case AlertRule():
            rows = tuple(_branches(rule, rule.root, rules))
            kind = "alert"
        case ReminderRule():
            rows = (_reminds(rule),)
            kind = "reminder"
        case StageRule():
            return
    yield Band(kind=kind, types=_types(rule.patterns, types), rows=rows, is_enabled=rule.is_enabled)


def _journeys(chosen: Sequence[Rule], types: Collection[str]) -> Iterator[Band]:
    stages = [rule for rule in chosen if isinstance(rule, StageRule)]
    for name in dict.fromkeys(stage.journey for stage in stages):
        own = [stage for stage in stages if stage.journey == name]
        patterns = tuple(dict.fromkeys(pattern for stage in own for pattern in stage.patterns))
        rows = (Row(name=name), *(replace(_told(one.stage, one.telling), depth=1) for one in own))
        timers = tuple(
            replace(row, targets=(*row.targets, f"→ {one.stuck.event_type}")) if one.stuck else row
            for row, one in zip(rows[1:], own, strict=True)
        )
        yield Band(
            kind="journey",
            types=_types(patterns, types),
            rows=(rows[0], *timers),
            is_enabled=own[0].is_enabled,
        )


def _branches(rule: AlertRule, node: Node[AlertPlan], rules: RuleSet) -> Iterator[Row]:
    plan = node.plan
    escalation = rules.setting.escalations.get(plan.escalate) if plan.escalate else None
    rising = (f"↑ {plan.escalate}{_steps(escalation)}",) if plan.escalate else ()
    row = _told(node.path[-1] if node.path else rule.name, plan.telling)
    is_root, told = not node.path, (*row.targets, *rising)
    yield replace(
        row,
        depth=len(node.path),
        condition=row.condition if is_root else ", ".join(map(str, node.matchers)) or "all of its alerts",
        waits=" · ".join([_cadence(plan), *_windows(plan), *([row.waits] if row.waits else [])])
        if told
        else "",
        targets=told,
        is_continue=node.is_continue,
    )
    for child in node.children:
        yield from _branches(rule, child, rules)


def _cadence(plan: AlertPlan) -> str:
    cadence = plan.cadence
    first = f"after {span_text(cadence.first_after)}" if cadence.first_after else "at once"
    words = [first, f"news {span_text(cadence.batch_every)}"]
    if cadence.remind is not None:
        grows = "+" if cadence.remind.grow > 1 else ""
        words.append(f"again {span_text(cadence.remind.first)}{grows}")
    return " · ".join(words)


def _windows(plan: AlertPlan) -> Iterator[str]:
    if plan.active:
        yield f"only {', '.join(plan.active)}"
    if plan.mute:
        yield f"not {', '.join(plan.mute)}"


def _steps(policy: Policy | None) -> str:
    """Write the steps of an escalation with what each waits."""
    if policy is None:
        return ""
    steps = [f"{_people(step)} {span_text(step.wait)}" for step in policy.steps]
    steps += [_people(policy.at_end)] if policy.at_end is not None else []
    return f": {' → '.join(steps)}"


def _people(step: Step) -> str:
    return " + ".join(map(_target, step.sources))


def _reminds(rule: ReminderRule) -> Row:
    reminder = rule.reminder
    return Row(
        name=rule.name,
        condition=reminder.date_path,
        waits=", ".join(map(offset_text, reminder.offsets)),
        targets=(f"→ {reminder.event_type}",),
    )


def _schedule(one: Schedule) -> Band:
    row = Row(name=one.name, condition=f"{one.cron} {one.zone}", targets=(f"→ {one.event_type}",))
    return Band(kind="schedule", types=(), rows=(row,), is_enabled=one.is_enabled)


def _told(name: str, telling: Telling) -> Row:
    channels = [
        one.channel.value + (f" {span_text(one.within)}" if one.within else "") for one in telling.steps
    ]
    return Row(
        name=name,
        condition=telling.condition.source if telling.condition is not None else "",
        waits=" → ".join(channels) if telling.sources else "",
        targets=tuple(map(_target, telling.sources)),
    )


def _target(source: Source) -> str:
    match source:
        case ListSource():
            return source.members_of
        case DataSource():
            return f"data.{source.data}"
        case ContactSource():
            return f"contact of data.{source.contact}"
    return "to"


def _types(patterns: Sequence[str], types: Collection[str]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for pattern in patterns:
        names = [name for name in types if matches((pattern,), name)]
        few = names if 0 < len(names) <= _MOST_TYPES else [pattern]
        found.update(dict.fromkeys(few))
    return tuple(found)
