"""``notifier rules check``: find in the rules what cannot work."""

import click

from notifier.cli.config import report
from notifier.cli.lints import inspect_rules
from notifier.cli.opening import opened
from notifier.cli.output import json_option


@click.command()
@json_option
def check(*, is_json: bool) -> None:
    """Check the rules: what loading refuses, and what it accepts and nobody can have meant.

    Fields no event has, routes that never answer, recipients that resolve to nobody, labels that can never be equal,
    names nobody uses. Every finding has its file, its line and its mend; with --json one object a line. Exit code 1
    for errors.
    """
    with opened() as services:
        findings = inspect_rules(services.catalog, services.settings)
    report(findings, is_json=is_json)
