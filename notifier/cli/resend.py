"""``notifier resend``: send a message again, or decide about one that is held."""

import click

from notifier.bootstrap import Services
from notifier.cli.arguments import only
from notifier.cli.opening import opened, who
from notifier.cli.output import json_option, say, show_json
from notifier.pipeline.sending.resend import Choice, Resender
from notifier.reports.naming import NotFound, read_id


@click.command()
@click.argument("message", metavar="MESSAGE")
@click.option("--same", is_flag=True, help="Held: the same Message-ID again.")
@click.option("--new", is_flag=True, help="Held: as a new message.")
@click.option("--drop", is_flag=True, help="Held: give it up.")
@json_option
def resend(*, message: str, is_json: bool, **flags: bool) -> None:
    """Send a message again: a new one to the same recipient on the same channel, with a fresh deadline.

    A message that may have arrived is held where its type says so: decide with --same, --new or --drop.
    """
    choice = only(flags)
    with opened() as services:
        found = read_id(message, services.keyring.token_key)
        if found is None:
            raise NotFound(f"{message!r} is neither a message's id nor one of our Message-IDs")
        done = resender(services).resend(found, Choice(choice) if choice else None, by=who())
    if is_json:
        show_json(done)
        return
    say(f"{done.did}: {done.message_id} by {done.channel}")
    if done.deadline is not None:
        say(f"of use until {done.deadline:%Y-%m-%d %H:%M:%S}Z; see: notifier show {done.message_id}")


def resender(services: Services) -> Resender:
    """Return what queues messages again."""
    return Resender(
        database=services.database, composer=services.composer, flows=services.flows, policy=services.policy,
        rules=lambda: services.rules, clock=services.clock,
    )  # fmt: skip
