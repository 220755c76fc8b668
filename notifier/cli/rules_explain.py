"""``notifier rules explain``: what would come of an event, and when; nothing is sent."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from notifier.bootstrap import Services
from notifier.cli.arguments import json_object
from notifier.cli.opening import opened
from notifier.cli.output import cell, json_option, say, show_json, style_of
from notifier.decisions import RuleTrace
from notifier.events import Event, Json
from notifier.rules.forecast import HORIZON, Forecast, forecast
from notifier.rules.simulation.told import Told


@click.command()
@click.argument("event", metavar="[EVENT.json]", required=False)
@click.option("--type", "type_", metavar="TYPE", help="Instead of a file: the sample of this event type.")
@click.option("--data", type=json_object, metavar="@FILE|JSON", help="Instead of the sample's.")
@click.option("--subject", help="Instead of the sample's.")
@json_option
def explain(
    *, event: str | None, type_: str | None, data: dict[str, Json] | None, subject: str | None, is_json: bool
) -> None:
    """Say what would come of an event that arrives now: of a file, of - for standard input, or of a type's sample.

    Every rule for its type with verdict, reason and facts; who would be told at once, and who next and when, if nothing
    else happened. Nothing is sent, and no database is asked: neither what happened before nor the address book counts.
    """
    if (event is None) == (type_ is None):
        raise click.UsageError("name a file with an event, or a type with --type")
    now = datetime.now(UTC)
    with opened() as services:
        value: dict[str, Json] = _read(event) if event is not None else {"type": type_}
        found = _event(value, data, subject, services, now)
        outlook = forecast(found, services.rules, services.catalog, services.lists, now)
    if is_json:
        show_json(_plain(found, outlook))
        return
    _show(found, outlook, now)


def _read(name: str) -> dict[str, Json]:
    if name == "-":
        return json_object(sys.stdin.read())
    return json_object(f"@{Path(name)}")


def _event(
    value: dict[str, Json],
    data: dict[str, Json] | None,
    subject: str | None,
    services: Services,
    now: datetime,
) -> Event:
    """Return the event; what a file leaves out is taken from now, and of its type's sample."""
    known = {"id": "explained", "source": "cli", "time": now.isoformat()}
    if isinstance(name := value.get("type"), str):
        entry = services.catalog[name]
        known["subject"] = entry.sample_subject
        if "data" not in value:
            value = {**value, "data": dict(entry.sample)}
    given = {name: one for name, one in (("data", data), ("subject", subject)) if one is not None}
    return Event.from_json({**known, **value, **given})


def _show(event: Event, outlook: Forecast, now: datetime) -> None:
    say(f"{event.type} about {event.subject}: rules ({outlook.decision.rules_hash[:12]})")
    for trace in outlook.decision.trace:
        _show_rule(trace)
    if not outlook.decision.trace:
        say("  no rule is for this type")
    if outlook.now:
        say("\nat once")
        _show_told(outlook.now)
    if outlook.later:
        at = outlook.later[0].at
        say(f"\nnext, {at:%Y-%m-%d %H:%M:%S} UTC, in {cell(at - now)}")
        _show_told(outlook.later)
    else:
        then = "nobody else" if outlook.now else "nobody"
        say(f"\n{then} would be told within {HORIZON.days} days, if nothing else happened")


def _show_rule(trace: RuleTrace) -> None:
    verdict = trace.verdict.value
    facts = ", ".join(f"{path} = {cell(value)}" for path, value in trace.facts.items())
    say(
        f"  {trace.rule}: {verdict}: {trace.reason}" + (f" [{facts}]" if facts else ""),
        style=style_of(verdict),
    )


def _show_told(told: Sequence[Told]) -> None:
    for one in told:
        by = ", then ".join(channel.value for channel in one.channels)
        why = "" if one.why == "event" else f", {one.why}"
        say(f"  {one.rule} → {one.recipient.identity} by {by}: {one.template}, {one.urgency.value}{why}")


def _plain(event: Event, outlook: Forecast) -> dict[str, Json]:
    return {
        "type": event.type, "subject": event.subject, "rules_hash": outlook.decision.rules_hash,
        "rules": outlook.decision.trace_json(),
        "now": [_plain_told(one) for one in outlook.now],
        "next": [_plain_told(one) for one in outlook.later],
    }  # fmt: skip


def _plain_told(one: Told) -> dict[str, Json]:
    return {
        "at": one.at, "rule": one.rule, "recipient": one.recipient.to_json(),
        "channels": [channel.value for channel in one.channels], "template": one.template,
        "urgency": one.urgency.value, "why": one.why, "reason": one.reason,
        "firing": list(one.firing), "resolved": list(one.resolved),
    }  # fmt: skip
