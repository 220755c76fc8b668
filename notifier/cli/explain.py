"""``notifier explain``: why an event led to what it did, and why not to more."""

import click

from notifier.cli.arguments import tenant_option
from notifier.cli.opening import opened
from notifier.cli.output import cell, json_option, say, show_json, style_of
from notifier.cli.show import histories
from notifier.events import Json
from notifier.reports.alert_outlook import alert_outlook
from notifier.reports.explanation import Explanation, RuleVerdict, explain_event, explain_letter
from notifier.reports.letters import letter_of, summary
from notifier.reports.naming import Kind, find
from notifier.store.dead_letters import find_by_key


@click.command()
@click.argument("event", metavar="EVENT")
@click.option("--source", help="EVENT is this producer's id.")
@tenant_option
@json_option
def explain(*, event: str, source: str | None, tenant: str, is_json: bool) -> None:
    """Say why: each rule's verdict and facts, each notification and where it stands.

    Refused events are explained as well.
    """
    with opened() as services, services.database.connection() as connection:
        key = services.keyring.token_key
        named = find(connection, event, token_key=key, tenant=tenant, source=source)
        if named.kind is Kind.DEAD_LETTER:
            explanation = explain_letter(summary(letter_of(connection, named.id)))
        else:
            story = histories(services).load(connection, named)
            letter = find_by_key(connection, story.tenant, story.source, story.external_id)
            outlook = alert_outlook(connection, services.keyring, services.rules, story.id)
            explanation = explain_event(story, summary(letter) if letter else None, outlook)
    if is_json:
        show_json(explanation)
        return
    _show(explanation)


def _show(why: Explanation) -> None:
    about = f" about {why.subject}" if why.subject else ""
    say(f"{why.type or 'an event'}{about}, {why.source} / {why.external_id}: {why.verdict}")
    for note in why.notes:
        say(f"  {note}")
    if why.rules:
        say(f"\nrules ({(why.rules_hash or '')[:12]})")
    for rule in why.rules:
        _show_rule(rule)
    if why.notifications:
        say("\nnotifications")
    for told in why.notifications:
        plan = " → ".join(told.channels)
        say(f"  {told.rule} → {_person(told.recipient)} by {plan}, because: {told.reason}")
        say(f"    {told.standing}", style=style_of(told.state))


def _show_rule(rule: RuleVerdict) -> None:
    mark = "yes" if rule.verdict in {"fired", "tracked"} else "no "
    facts = ", ".join(f"{path} = {cell(value)}" for path, value in rule.facts.items())
    say(f"  {mark} {rule.rule}: {rule.verdict}: {rule.reason}" + (f" [{facts}]" if facts else ""))


def _person(recipient: Json) -> str:
    if not isinstance(recipient, dict):
        return str(recipient)
    return str(recipient.get("email") or recipient.get("phone") or recipient.get("contact"))
