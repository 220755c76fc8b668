"""``notifier inbox | suppress | erase``: what a person reads, may not be sent, and is forgotten of."""

from datetime import datetime

import click

from notifier.cli.arguments import moment as moment_type
from notifier.cli.arguments import tenant_option
from notifier.cli.failures import FINDING
from notifier.cli.opening import opened, who
from notifier.cli.output import Column, json_option, say, show_fields, show_json, show_lines, show_table
from notifier.crypto import blind_index
from notifier.errors import ConfigError
from notifier.logs import get_logger
from notifier.pipeline.erase import Erased, Eraser
from notifier.reports.people import knows, list_suppressions
from notifier.reports.timeline import moment
from notifier.store import suppressions

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


@click.group()
def suppress() -> None:
    """Keep whom nothing may be sent to: by a keyed hash, never the address itself."""


@suppress.command()
@click.argument("address")
@click.option("--reason", default="asked for by a person", show_default=True)
@click.option(
    "--scope", default="*", show_default=True, metavar="CATEGORY", help="Only this category; * = all."
)
@click.option("--until", type=moment_type, metavar="TIME", help="Until then; for good otherwise.")
@tenant_option
@json_option
def add(*, address: str, reason: str, scope: str, until: datetime | None, tenant: str, is_json: bool) -> None:
    """Send nothing more to an address."""
    with opened() as services:
        if scope != "*" and scope not in {entry.category for entry in services.catalog}:
            raise ConfigError(f"{scope!r} is no category of the catalogue", field="--scope")
        index = blind_index(services.keyring.index_key, tenant, address)
        with services.database.connection() as connection:
            suppressions.suppress(connection, tenant, index, reason, scope=scope, until=until)
    log.info("suppression.added", address_hash=index.hex(), scope=scope, by=who())
    _report({"did": "suppressed", "address_hash": index.hex(), "scope": scope}, is_json=is_json)


@suppress.command()
@click.argument("address")
@tenant_option
@json_option
def release(*, address: str, tenant: str, is_json: bool) -> None:
    """Allow sending to an address again."""
    with opened() as services:
        index = blind_index(services.keyring.index_key, tenant, address)
        with services.database.connection() as connection:
            count = suppressions.release(connection, tenant, index)
    log.info("suppression.released", address_hash=index.hex(), entries=count, by=who())
    did = "released" if count else "was not suppressed"
    _report({"did": did, "address_hash": index.hex(), "entries": count}, is_json=is_json)
    if not count:
        click.get_current_context().exit(FINDING)


@suppress.command("list")
@click.argument("address", required=False)
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@tenant_option
@json_option
def list_(*, address: str | None, limit: int, tenant: str, is_json: bool) -> None:
    """List what is suppressed, newest first, or one address's entries."""
    with opened() as services, services.database.connection() as connection:
        entries = list_suppressions(connection, services.keyring, tenant, address=address, limit=limit)
    if is_json:
        show_lines(entries)
        return
    columns = (
        Column("hash of the address", 32, is_whole=True), Column("scope", 8), Column("why", 16),
        Column("since (UTC)", 19, is_whole=True), Column("until (UTC)", 19, is_optional=True),
    )  # fmt: skip
    rows = [(one.address_hash, one.scope, one.reason, one.since, one.until) for one in entries]
    show_table(columns, rows, empty="nothing is suppressed")


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
