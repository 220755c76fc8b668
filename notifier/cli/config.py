"""``notifier config``: check the configuration, and help editors to check it."""

import click

from notifier.cli.configuration import inspect
from notifier.cli.failures import FINDING
from notifier.cli.findings import Finding
from notifier.cli.output import json_option, say, show_json, show_lines, style_of
from notifier.rules.schema import rules_json_schema


@click.group()
def config() -> None:
    """Check the configuration."""


@config.command()
@json_option
def check(*, is_json: bool) -> None:
    """Check settings, event types, rules and templates, and what they say of each other.

    Every finding has its file, its line and its mend; with --json one object a line. Exit code 1 for errors.
    Whether the tenants of schedules are known is asked of the database, where one is configured.
    """
    report(inspect(), is_json=is_json)


@config.command()
@click.argument("what", type=click.Choice(["rules"]))
def schema(*, what: str) -> None:
    """Print the JSON Schema with which an editor completes and checks config/rules/*.yaml."""
    del what  # the only one so far
    show_json(rules_json_schema())


def report(findings: list[Finding], *, is_json: bool) -> None:
    """Show findings; end with exit code 1 if one of them is an error."""
    if is_json:
        show_lines(findings)
    else:
        for one in findings:
            where = ": ".join(part for part in (one.place, one.field) if part)
            click.secho(one.severity, fg=style_of(one.severity), nl=False)
            say(f": {where}: {one.problem}" if where else f": {one.problem}")
            if one.mend:
                say(f"  mend: {one.mend}")
        errors = sum(one.severity == "error" for one in findings)
        warnings = len(findings) - errors
        say(f"errors: {errors}, warnings: {warnings}" if findings else "all is well")
    if any(one.severity == "error" for one in findings):
        click.get_current_context().exit(FINDING)
