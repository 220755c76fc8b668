"""``notifier tenant``: for whom we work, and whose sending rests."""

import click

from notifier.cli.failures import FINDING
from notifier.cli.opening import opened
from notifier.cli.output import Column, json_option, say, show_json, show_lines, show_table
from notifier.errors import ConfigError
from notifier.reports.naming import NotFound
from notifier.store.tenants import add_tenant, list_tenants, set_paused

_NAME_LIMIT = 64


@click.group()
def tenant() -> None:
    """Add tenants, pause and resume their sending."""


@tenant.command("list")
@json_option
def list_(*, is_json: bool) -> None:
    """List all tenants."""
    with opened() as services, services.database.connection() as connection:
        found = list_tenants(connection)
    if is_json:
        show_lines({"id": row[0], "name": row[1], "is_paused": row[2]} for row in found)
        return
    columns = (Column("id", 12, is_whole=True), Column("name", 20), Column("sending", 8))
    show_table(columns, [(row[0], row[1], "paused" if row[2] else "on") for row in found], empty="no tenants")


@tenant.command()
@click.argument("name", metavar="ID")
@click.option("--title", metavar="NAME", help="How people call it; ID otherwise.")
@json_option
def add(*, name: str, title: str | None, is_json: bool) -> None:
    """Add a tenant."""
    if not name.isprintable() or not name.strip() or len(name) > _NAME_LIMIT:
        raise ConfigError(f"must be a text of at most {_NAME_LIMIT} characters", field="ID")
    with opened() as services, services.database.connection() as connection:
        is_new = add_tenant(connection, name, title or name)
    _report(name, "added" if is_new else "is there already", is_json=is_json)
    if not is_new:
        click.get_current_context().exit(FINDING)


@tenant.command()
@click.argument("name", metavar="ID")
@json_option
def pause(*, name: str, is_json: bool) -> None:
    """Let a tenant's messages wait; events go on coming in.

    What is being sent at this moment still goes out. A message whose time runs out meanwhile ends as it does
    elsewhere: on its next channel, or as expired.
    """
    count = _set(name, paused=True)
    _report(
        name,
        "paused",
        is_json=is_json,
        messages=count,
        words=f"; {_many(count)} set aside until it is resumed",
    )


@tenant.command()
@click.argument("name", metavar="ID")
@json_option
def resume(*, name: str, is_json: bool) -> None:
    """Send again; what waited goes out now, as far as it is still of use."""
    count = _set(name, paused=False)
    _report(name, "resumed", is_json=is_json, messages=count, words=f"; {_many(count)} no longer set aside")


def _set(name: str, *, paused: bool) -> int:
    with opened() as services, services.database.connection() as connection:
        count = set_paused(connection, name, paused=paused)
    if count is None:
        raise NotFound(f"there is no tenant {name!r}; `notifier tenant list` lists them")
    return count


def _many(count: int) -> str:
    return f"{count} waiting message{'' if count == 1 else 's'}"


def _report(name: str, did: str, *, is_json: bool, words: str = "", **counts: int) -> None:
    if is_json:
        show_json({"id": name, "did": did, **counts})
    else:
        say(f"tenant {name}: {did}{words}")
