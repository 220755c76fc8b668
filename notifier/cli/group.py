"""Name every command, and load the one that is asked for; nothing else is imported.

The base install has only the producer's commands: the others say what to install.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from itertools import takewhile
from typing import Any, Final, NoReturn

import click

from notifier.cli.failures import MissingServer, as_object, exit_code, is_clicks, is_ours, lines
from notifier.cli.output import as_json

_IS_JSON: Final = "notifier.is_json"


@dataclass(frozen=True, slots=True)
class Lazy:
    """Where a command lives, as ``module:attribute``, and its line in the help."""

    target: str
    help: str


# To add a command, add its line here; the help shows the sections as they stand.
SECTIONS: Mapping[str, Mapping[str, Lazy]] = {
    "Produce": {
        "enqueue": Lazy("notifier.client.command:enqueue", "Hand one event over."),
        "outbox": Lazy("notifier.cli.outbox:outbox", "Set up the outbox in a producer's database."),
    },
    "Look": {
        "log": Lazy("notifier.cli.log:log", "Search the messages."),
        "show": Lazy("notifier.cli.show:show", "Tell the story of a message, notification or event."),
        "explain": Lazy("notifier.cli.explain:explain", "Say why an event led to what it did."),
        "alert": Lazy("notifier.cli.alert:alert", "See what fires, take charge of it, give it back."),
        "oncall": Lazy("notifier.cli.oncall:oncall", "See who is on call."),
        "queue": Lazy("notifier.cli.queue:queue", "See what waits, how fast it goes, when it will be gone."),
        "delays": Lazy("notifier.cli.delays:delays_", "See how long the messages of each type take."),
        "inbox": Lazy("notifier.cli.people:inbox", "Show what a person reads in the portal."),
        "bounce": Lazy("notifier.cli.bounce:bounce", "Read mails that came back."),
    },
    "Act": {
        "resend": Lazy("notifier.cli.resend:resend", "Send a message again, or decide about a held one."),
        "unknown": Lazy(
            "notifier.cli.unknown:unknown", "Settle mails of which nobody knows whether they arrived."
        ),
        "silence": Lazy("notifier.cli.silence:silence", "Mute alerts for a while."),
        "dead": Lazy("notifier.cli.dead:dead", "See and retry events that were not accepted."),
        "relay": Lazy("notifier.cli.relay:relay", "See which relays work; let one rest, wake it."),
        "tenant": Lazy("notifier.cli.tenant:tenant", "Add tenants, pause and resume their sending."),
        "contact": Lazy("notifier.cli.contact:contact", "Keep the address book."),
        "address": Lazy("notifier.cli.address:address", "Judge addresses before anybody writes to them."),
        "suppression": Lazy("notifier.cli.suppression:suppression", "Keep whom nothing may be sent to."),
        "consent": Lazy("notifier.cli.consent:consent", "Record and prove what people allowed."),
        "erase": Lazy("notifier.cli.people:erase", "Forget a person for good."),
    },
    "Configure": {
        "config": Lazy("notifier.cli.config:config", "Check the configuration."),
        "events": Lazy("notifier.cli.events:events", "List the event types, or show one."),
        "rules": Lazy("notifier.cli.rules:rules", "List the rules."),
        "provider": Lazy("notifier.cli.provider:provider", "See who sends for us, and try them."),
        "template": Lazy("notifier.cli.template:template", "Preview and check templates."),
    },
    "Run": {
        "serve": Lazy(
            "notifier.web.command:serve", "Answer over HTTP: probes, metrics, links, SMS that come in."
        ),
        "mail-in": Lazy("notifier.cli.mail_in:mail_in", "Take bounces, complaints and answers by mail."),
        "migrate": Lazy("notifier.cli.migrate:migrate", "Bring the database to the newest schema."),
        "keys": Lazy("notifier.cli.keys:keys", "Make, rotate and publish keys."),
        "dkim": Lazy("notifier.cli.dkim:dkim", "Make the keys that sign mails."),
        "doctor": Lazy("notifier.cli.doctor:doctor", "Check everything around notifier."),
        "health": Lazy("notifier.cli.health:health", "Ask the running processes how they are."),
    },
}


class Commands(click.Group):
    """A group whose commands are imported when they run."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names, in the order of the help."""
        return [name for section in SECTIONS.values() for name in section]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a command.

        Raises:
            MissingServer: it needs more than the base install has.
        """
        found = next((section[cmd_name] for section in SECTIONS.values() if cmd_name in section), None)
        return load(found) if found else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the help without importing anything."""
        for title, section in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, lazy.help) for name, lazy in section.items()])

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the options before the command; what is wrong with them is an error like any other."""
        # Looked for by hand: the command that reads it may be missing, or its other options wrong.
        ctx.meta[_IS_JSON] = "--json" in takewhile(lambda arg: arg != "--", args)
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            if not ctx.meta[_IS_JSON]:
                raise
            _fail(ctx, error)

    def invoke(self, ctx: click.Context) -> Any:
        """Run, and turn errors into one clear line each, or one object, and an exit code."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            is_shown = ctx.meta[_IS_JSON] if is_clicks(error) else is_ours(error) and not ctx.params["debug"]
            if not is_shown:
                raise
            _fail(ctx, error)


def _fail(ctx: click.Context, error: Exception) -> NoReturn:
    if ctx.meta[_IS_JSON]:
        if isinstance(error, click.exceptions.Abort | EOFError):
            click.echo(err=True)  # ends the line of the question
        click.echo(as_json({"error": as_object(error)}), err=True)
    else:
        for line in lines(error):
            click.echo(f"error: {line}", err=True)
    ctx.exit(exit_code(error))


def load(lazy: Lazy) -> click.Command:
    """Import a command.

    Raises:
        MissingServer: a package it needs is not installed.
    """
    module, _, attribute = lazy.target.partition(":")
    try:
        found = getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] in {"notifier", "workers"}:
            raise
        raise MissingServer(error.name) from error
    if not isinstance(found, click.Command):
        raise TypeError(f"{lazy.target} is no command")
    return found


@click.group(
    cls=Commands,
    epilog="Exit codes: 0 fine, 1 something was found or failed, 2 wrong usage or configuration, 3 refused, "
    "4 database or Redis away.",
)
@click.option("--debug", is_flag=True, help="Show where an error comes from.")
@click.version_option(package_name="notifier", message="%(version)s")
def cli(*, debug: bool) -> None:
    """Tell people what happened: nothing lost, nothing sent twice, every decision explained."""
    del debug  # read where errors are caught
