"""``notifier rules``: what would happen to which events."""

import click

from notifier.cli.opening import opened
from notifier.cli.output import Column, json_option, say, show_json, show_table
from notifier.cli.rules_check import check
from notifier.cli.rules_explain import explain
from notifier.cli.rules_graph import graph
from notifier.cli.rules_import import import_
from notifier.cli.rules_simulate import simulate
from notifier.cli.rules_testing import test
from notifier.events import Json
from notifier.rules.alerting.plan import AlertRule
from notifier.rules.ruleset import NotifyRule, ReminderRule, Rule, Schedule, StageRule

_KINDS = {NotifyRule: "notify", StageRule: "stage", AlertRule: "alert", ReminderRule: "reminder"}


@click.group()
def rules() -> None:
    """List, check, try, import and draw the rules."""


rules.add_command(check)
rules.add_command(explain)
rules.add_command(import_)
rules.add_command(simulate)
rules.add_command(test)
rules.add_command(graph)


@rules.command("list")
@click.option("--type", "type_", metavar="TYPE", help="Only those for this event type.")
@json_option
def list_(*, type_: str | None, is_json: bool) -> None:
    """List rules and schedules in the order of their files."""
    with opened() as services:
        found = services.rules
        wanted = found.rules_for(services.catalog[type_].type) if type_ else tuple(found)
    shown = [_of_rule(rule) for rule in wanted] + (
        [] if type_ else [_of_schedule(one) for one in found.schedules]
    )
    if is_json:
        show_json({"rules_hash": found.rules_hash, "rules": shown})
        return
    columns = (
        Column("rule", 20), Column("kind", 8, is_whole=True), Column("on", 20), Column("channels", 12),
        Column("enabled", 7), Column("why they get it", 20, is_optional=True),
    )  # fmt: skip
    rows = [
        (one["name"], one["kind"], one["on"], one["channels"], one["is_enabled"], one["reason"])
        for one in shown
    ]
    show_table(columns, rows, empty="no rule is for it: nobody is told")
    say(f"\nrule set {found.rules_hash[:12]}")


def _of_rule(rule: Rule) -> dict[str, Json]:
    telling = rule.telling
    condition = rule.condition if isinstance(rule, AlertRule | ReminderRule) else telling.condition
    return {
        "name": rule.name, "kind": _KINDS[type(rule)],
        "on": list(rule.patterns), "when": condition.source if condition else None,
        "channels": [step.channel.value for step in telling.steps], "template": telling.template,
        "urgency": telling.urgency, "deadline": telling.deadline, "reason": telling.reason,
        "is_enabled": rule.is_enabled,
    }  # fmt: skip


def _of_schedule(one: Schedule) -> dict[str, Json]:
    return {
        "name": one.name, "kind": "schedule", "on": [f"{one.cron} {one.zone}"], "when": None, "channels": [],
        "template": None, "urgency": None, "deadline": None, "reason": f"makes {one.event_type}",
        "is_enabled": one.is_enabled,
    }  # fmt: skip
