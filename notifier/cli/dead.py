"""``notifier dead``: events that were refused or could not be processed, and their second chance."""

from uuid import UUID

import click

from notifier.cli.failures import FINDING
from notifier.cli.opening import opened, who
from notifier.cli.output import Column, json_option, say, show_json, show_lines, show_table
from notifier.cli.show import show_letter
from notifier.pipeline.intake.revive import NotRevived, Reviver
from notifier.reports.letters import letter_of, open_letter, summary
from notifier.store.dead_letters import list_letters

_COLUMNS = (
    Column("id", 36, is_whole=True),
    Column("kind", 7, is_whole=True),
    Column("type", 14),
    Column("why", 24),
    Column("seen", 4),
    Column("last (UTC)", 14, is_whole=True),
    Column("from", 14, is_optional=True),
)


@click.group()
def dead() -> None:
    """See and retry events that were not accepted."""


@dead.command("list")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@click.option("--after", type=click.UUID, metavar="ID", help="Go on below this one.")
@json_option
def list_(*, limit: int, after: UUID | None, is_json: bool) -> None:
    """List what waits, newest first."""
    with opened() as services, services.database.connection() as connection:
        letters = [summary(row) for row in list_letters(connection, limit=limit + 1, before=after)]
    page = letters[:limit]
    if is_json:
        show_lines(page)
        return
    rows = [
        (
            one.id, one.kind, one.type, f"{one.field}: {one.error}" if one.field else one.error, one.seen,
            f"{one.last_at:%m-%d %H:%M:%S}", f"{one.source} / {one.external_id}",
        )
        for one in page
    ]  # fmt: skip
    show_table(_COLUMNS, rows, empty="no dead letters")
    if len(letters) > limit:
        say(f"\nmore: notifier dead list --limit {limit} --after {page[-1].id}")


@dead.command()
@click.argument("letter", metavar="ID", type=click.UUID)
@json_option
def show(*, letter: UUID, is_json: bool) -> None:
    """Show what came in and why it went no further; secrets are blank."""
    with opened() as services, services.database.connection() as connection:
        found = open_letter(letter_of(connection, letter), services.keyring, services.catalog)
    show_json(found) if is_json else show_letter(found)


@dead.command()
@click.argument("letters", metavar="ID...", type=click.UUID, nargs=-1)
@click.option("--all", "is_all", is_flag=True, help="All that wait.")
@click.option("--kind", type=click.Choice(["refused", "poison"]), help="With --all: only these.")
@json_option
def retry(*, letters: tuple[UUID, ...], is_all: bool, kind: str | None, is_json: bool) -> None:
    """Give events back to the intake, as they came."""
    if bool(letters) == is_all:
        raise click.UsageError("name dead letters, or say --all")
    if kind is not None and not is_all:
        raise click.UsageError("--kind goes with --all")
    refused: list[str] = []
    with opened() as services:
        reviver = Reviver(services.database, services.keyring, services.intake)
        given = [row.id for row in reviver.all(kind=kind, by=who())] if is_all else []
        for letter in letters:
            try:
                given.append(reviver.one(letter, by=who()).id)
            except NotRevived as error:
                refused.append(str(error))
    if is_json:
        show_json({"retried": given, "refused": refused})
    else:
        say(f"given back to the intake: {len(given)}")
        for problem in refused:
            say(f"error: {problem}", is_error=True)
    if refused:
        click.get_current_context().exit(FINDING)
