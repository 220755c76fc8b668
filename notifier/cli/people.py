"""``notifier inbox | erase``: what a person reads, and is forgotten of."""

import click

from notifier.cli.arguments import tenant_option
from notifier.cli.failures import FINDING
from notifier.cli.opening import opened, who
from notifier.cli.output import json_option, say, show_fields, show_json, show_lines
from notifier.crypto import blind_index
from notifier.logs import get_logger
from notifier.pipeline.people.erase import Erased, Eraser
from notifier.reports.people import knows
from notifier.reports.timeline import moment

log = get_logger("cli")


@click.command()
@click.argument("address")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@tenant_option
@json_option
def inbox(*, address: str, limit: int, tenant: str, is_json: bool) -> None:
    """Show the portal's entries of a person, newest first."""
    with opened() as services:
        with services.database.connection() as connection:
            is_known = knows(connection, services.keyring, tenant, address)
        entries = services.inbox.read(tenant, address, limit) if is_known else []
    if is_json:
        show_lines(entries)
        return
    if not entries:
        say("the inbox is empty")
    for entry in entries:
        say(f"{moment(entry.at)}  {entry.id}  {entry.subject}".rstrip())
        for line in entry.text.rstrip().splitlines():
            say(f"  | {line}")


@click.command()
@click.argument("address")
@click.option("--yes", is_flag=True, help="Do not ask.")
@tenant_option
@json_option
def erase(*, address: str, yes: bool, tenant: str, is_json: bool) -> None:
    """Forget a person: destroy their keys, so that nothing stored about them can be read again.

    The log keeps that something was sent, not what or to whom; the suppression list keeps its keyed hash.
    Events others were told of too stay, without the person; others' messages still go out.
    """
    if not yes:
        click.confirm("This cannot be undone. Forget this person?", abort=True, err=True)
    with opened() as services:
        index = blind_index(services.keyring.index_key, tenant, address)
        done = Eraser(services.database, services.keyring, services.catalog).erase(tenant, address)
    counts = (done or Erased()).counts()
    log.info("person.erased", address_hash=index.hex(), was_there=done is not None, by=who(), **counts)
    did = "erased" if done is not None else "nothing is stored under this address"
    _report({"did": did, **counts}, is_json=is_json)
    if done is None:
        click.get_current_context().exit(FINDING)
    if not is_json:
        show_fields({_WORDS[name]: count for name, count in counts.items() if count})


_WORDS = {
    "events": "events made unreadable",
    "events_kept": "events kept for others, without the person",
    "messages": "messages",
    "messages_cancelled": "messages that will not be sent",
    "contents": "contents of messages to others",
    "timers": "timers cancelled",
    "dead_letters": "dead letters",
    "inbox_entries": "inbox entries",
    "contacts": "contacts",
}


def _report(done: dict[str, object], *, is_json: bool) -> None:
    show_json(done) if is_json else say(str(done["did"]))
