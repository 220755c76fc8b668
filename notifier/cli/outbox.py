"""``notifier outbox``: the table of events in a producer's own database. Part of the base install."""

import json

import click

from notifier.client.addresses import place
from notifier.client.outbox import install as install_table
from notifier.client.wire import OUTBOX_TABLE


@click.group()
def outbox() -> None:
    """Set up the outbox in a producer's database."""


@outbox.command()
@click.argument("url")
@click.option("--json", "is_json", is_flag=True, help="Write JSON.")
def install(*, url: str, is_json: bool) -> None:
    """Create the outbox table at URL, a postgresql:// one, unless it is there.

    Then name the same URL in `outboxes:` of notifier.yaml, so that the server drains it.
    """
    install_table(url)
    # Credentials in the URL are not repeated.
    if is_json:
        click.echo(json.dumps({"table": OUTBOX_TABLE, "database": place(url)}))
    else:
        click.echo(f"the table {OUTBOX_TABLE} is in {place(url)}")
