"""``notifier address``: judge addresses before anybody writes to them. Needs neither database nor keys."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TextIO

import click

from notifier.cli.failures import FINDING
from notifier.cli.output import Column, json_option, say, show_lines, show_table
from notifier.errors import ConfigError
from notifier.pipeline.checks.dns import new_resolver
from notifier.pipeline.checks.mail_hosts import looking_up
from notifier.recipients.hygiene import Concern, Examined, duplicates, examine
from notifier.settings import load_settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What is shown of one address."""

    address: str
    is_usable: bool
    concerns: tuple[Concern, ...]
    problem: str | None
    suggestion: str | None
    same_as: int | None
    """The first line of the input with the same mailbox, from 1."""


@click.group()
def address() -> None:
    """Judge addresses before anybody writes to them."""


@address.command()
@click.argument("addresses", nargs=-1)
@click.option(
    "--file", type=click.File("r", encoding="utf-8"), help="One address a line; - reads standard input."
)
@click.option("--mx", is_flag=True, help="Ask DNS whether the domain takes mail.")
@click.option(
    "--disposable",
    type=click.File("r", encoding="utf-8"),
    help="Domains of throw-away mailboxes, one a line.",
)
@json_option
def check(
    *, addresses: tuple[str, ...], file: TextIO | None, mx: bool, disposable: TextIO | None, is_json: bool
) -> None:
    """Say of each whether it is spelled right, a person's, and not a second spelling of another.

    Exit code 1 where mail cannot arrive at one of them.
    """
    if not addresses and file is None:
        raise click.UsageError("name addresses, or a --file with one a line")
    given = [*addresses, *_lines(file)]
    banned = {one.casefold() for one in _lines(disposable)}
    look_up = looking_up(new_resolver(load_settings().dns_servers)) if mx else None
    found = list(_judge(given, [examine(one, disposable=banned, look_up=look_up) for one in given]))
    if is_json:
        show_lines(found)
    else:
        _show(found)
    if not all(one.is_usable for one in found):
        click.get_current_context().exit(FINDING)


def _judge(given: list[str], found: Iterable[Examined]) -> Iterator[Line]:
    first = {position: group[0] + 1 for group in duplicates(given).values() for position in group[1:]}
    for position, (typed, one) in enumerate(zip(given, found, strict=True)):
        yield Line(
            address=typed, is_usable=one.is_usable, concerns=one.concerns, problem=one.problem,
            suggestion=one.suggestion, same_as=first.get(position),
        )  # fmt: skip


def _lines(file: TextIO | None) -> list[str]:
    try:
        return [line.strip() for line in file if line.strip()] if file is not None else []
    except UnicodeDecodeError:
        raise ConfigError(
            "is no UTF-8 text", file=file.name if file else None, mend="save it as UTF-8"
        ) from None


def _show(found: list[Line]) -> None:
    columns = (Column("address", 24), Column("", 4, is_whole=True), Column("why", 24), Column("meant", 16))
    rows = []
    for one in found:
        same = [f"same mailbox as line {one.same_as}"] if one.same_as is not None else []
        why = ", ".join(
            [one.problem or "", *(c.value for c in one.concerns if c is not Concern.SYNTAX), *same]
        )
        state = "fail" if not one.is_usable else "warn" if why.strip(", ") else "pass"
        rows.append((one.address, state, why.strip(", "), one.suggestion))
    show_table(columns, rows, empty="no addresses")
    bad = sum(not one.is_usable for one in found)
    say(f"\n{len(found) - bad} usable, {bad} not")
