"""``notifier mail-in``: the process that takes bounces by mail, and the mails it could not read."""

import base64
from collections.abc import Callable
from importlib import import_module

import click

from notifier.bootstrap import Services
from notifier.cli.failures import FINDING
from notifier.cli.opening import opened, who
from notifier.cli.output import Column, json_option, say, show_json, show_lines, show_table
from notifier.logs import get_logger
from notifier.store.unreadable import list_unreadable, open_mail, sealed_mail

log = get_logger("cli")

_COLUMNS = (
    Column("digest", 12, is_whole=True),
    Column("last (UTC)", 14, is_whole=True),
    Column("seen", 4),
    Column("bytes", 8),
    Column("reason", 24),
    Column("message", 36, is_whole=True, is_optional=True),
)


@click.group("mail-in")
def mail_in() -> None:
    """Take bounces, complaints and answers by mail."""


@mail_in.command()
def serve() -> None:
    """Listen by LMTP or SMTP, as `mail_in` of the settings says, until SIGTERM or Ctrl-C."""
    # By its name: it stands in the same row as the commands, and is needed by this one only.
    run: Callable[[Services], None] = import_module("notifier.mailin.serve").serve
    run(Services(process="mail-in"))


@mail_in.command()
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@json_option
def unreadable(*, limit: int, is_json: bool) -> None:
    """List the mails of the last 30 days that could not be read within the limits."""
    with opened() as services, services.database.connection() as connection:
        found = list_unreadable(connection, limit=limit)
    if is_json:
        show_lines(found)
        return
    rows = [
        (one.digest[:12], f"{one.last_at:%m-%d %H:%M:%S}", one.seen, one.size, one.reason, one.message or "")
        for one in found
    ]
    show_table(_COLUMNS, rows, empty="every mail could be read")


@mail_in.command("show")
@click.argument("digest", metavar="DIGEST")
@json_option
def show_(*, digest: str, is_json: bool) -> None:
    """Print one of them as it came, its first 256 KiB; the beginning of its digest is enough."""
    with opened() as services, services.database.connection() as connection:
        found = sealed_mail(connection, digest)
        if found is None:
            say(f"error: no such mail, or several: {digest}", is_error=True)
            click.get_current_context().exit(FINDING)
        mail = open_mail(found[1], services.keyring.intake_key, found[0])
    log.info("mail_in.shown", digest=found[0], by=who())
    if is_json:
        show_json({"digest": found[0], "mail": base64.b64encode(mail).decode()})
    else:
        click.echo(mail, nl=False)
