"""``notifier suppression import | export``: lists as CSV (RFC 4180), with a word for each line that is wrong."""

import csv
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import click

from notifier.bootstrap import Services
from notifier.cli.arguments import iso_moment, tenant_option
from notifier.cli.failures import FINDING
from notifier.cli.list_forms import COLUMNS, SURPLUS, open_list, read_list
from notifier.cli.opening import opened, who
from notifier.cli.output import json_option, say, show_json, show_lines
from notifier.crypto import blind_index
from notifier.errors import ConfigError
from notifier.logs import get_logger
from notifier.mime import HeaderError, validate_address
from notifier.recipients.suppression import Cause
from notifier.reports.naming import NotFound
from notifier.reports.suppressions import all_suppressions
from notifier.store import suppressions
from notifier.store.suppressions import SuppressionRow
from notifier.store.tenants import known_tenants

log = get_logger("cli")

_NUMBER = re.compile(r"\+[1-9][0-9]{6,14}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_MENTION = re.compile(r"[^\s@]@[^\s@]+\.[^\s@]")
_HASH = re.compile(r"[0-9a-f]{32}")
_UNREADABLE = "\N{REPLACEMENT CHARACTER}"
_PLAIN = frozenset({"reason", "note"})
_BATCH = 1000
_SHOWN = 100
"""Lines that are wrong, as far as they are shown one by one."""


@dataclass(frozen=True, slots=True)
class _Wrong:
    """A line that cannot be taken."""

    line: int
    field: str
    problem: str


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--reason", default="imported", show_default=True, help="Where the list says none.")
@click.option(
    "--ignore-unknown", is_flag=True, help="Leave columns we do not know out, as of a provider's export."
)
@click.option("--dry-run", is_flag=True, help="Only check.")
@tenant_option
@json_option
def import_(
    *, file: Path, reason: str, ignore_unknown: bool, dry_run: bool, tenant: str, is_json: bool
) -> None:
    """Add the addresses of a CSV file, - for standard input; what is wrong is said with its line, the rest is added.

    The first line names the columns: address or email (or address_hash, from an export of this server), and any of
    scope, cause, reason, since, until, note; a list of nothing but addresses needs none. Comma, semicolon or tab
    between them; UTF-8, or UTF-16 with its mark.
    """
    with opened() as services, open_list(file) as text:
        check_tenant(services, tenant)
        reader = read_list(text, file, is_address=is_address, is_lenient=ignore_unknown)
        categories = frozenset({entry.category for entry in services.catalog} | {"*"})
        lines = _Reader(services, tenant, reason, categories)
        rows, wrong, added, new = list[SuppressionRow](), list[_Wrong](), 0, 0
        for values in _rows(reader):
            read = values if isinstance(values, _Wrong) else lines.read(values, reader.line_num)
            if isinstance(read, _Wrong):
                wrong.append(read)
                continue
            rows.append(read)
            if len(rows) == _BATCH:
                added, new, rows = added + len(rows), new + _add(services, rows, is_dry=dry_run), []
        added, new = added + len(rows), new + _add(services, rows, is_dry=dry_run)
    log.info("suppression.imported", tenant=tenant, entries=added, new=new, wrong=len(wrong), by=who())
    _report(added, new, wrong, is_dry=dry_run, is_json=is_json)
    if wrong:
        click.get_current_context().exit(FINDING)


@click.command()
@tenant_option
@json_option
def export(*, tenant: str, is_json: bool) -> None:
    """Write all entries to standard output, as CSV: keyed hashes, which only this server can use again."""
    with opened() as services, services.database.connection() as connection:
        entries = all_suppressions(connection, tenant)
        if is_json:
            show_lines(entries)
            return
        writer = csv.writer(sys.stdout)
        writer.writerow(COLUMNS[1:])
        for one in entries:
            until = one.until.isoformat() if one.until else ""
            writer.writerow(
                [
                    one.address_hash,
                    one.scope,
                    one.cause,
                    one.reason,
                    one.since.isoformat(),
                    until,
                    one.note or "",
                ]
            )


def check_tenant(services: Services, tenant: str) -> None:
    """See that there is such a tenant: an entry of nobody's would keep nothing back.

    Raises:
        NotFound: there is none.
    """
    with services.database.connection() as connection:
        if tenant not in known_tenants(connection):
            raise NotFound(f"there is no tenant {tenant!r}; `notifier tenant list` lists them")


def _rows(reader: "csv.DictReader[str]") -> Iterator[dict[str, str] | _Wrong]:
    """Yield the lines; of one that is no CSV what is wrong with it."""
    while True:
        line = reader.reader.line_num + 1  # its own is of the last line that could be read
        try:
            values = next(reader)
            # What a spreadsheet leaves of lines that were emptied: nothing but delimiters.
            if any(cell.strip() for value in values.values() for cell in _cells(value)):
                yield values
        except StopIteration:
            return
        except csv.Error as error:
            problem = "the quote is never closed" if "end of data" in str(error) else f"is no CSV: {error}"
            yield _Wrong(line, "line", problem)


def _cells(value: str | list[str] | None) -> list[str]:
    """Return a column's cell as a list; of those beyond the columns there may be several."""
    return value if isinstance(value, list) else [value or ""]


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads lines for one tenant."""

    services: Services
    tenant: str
    reason: str
    categories: frozenset[str]

    def read(self, values: Mapping[str, str], line: int) -> SuppressionRow | _Wrong:
        """Return one entry, or what is wrong with it; an address is never repeated."""
        cells = {name: value.strip() for name, value in values.items() if name in COLUMNS and value}
        if (flaw := _flaw(values, cells)) is not None:
            return _Wrong(line, *flaw)
        index = _index(cells, self.tenant, self.services)
        if index is None:
            return _Wrong(line, "address", "is neither an address nor a number such as +491701234567")
        scope = cells.get("scope") or "*"
        if scope not in self.categories:
            return _Wrong(line, "scope", "is no category of the catalogue")
        cause = cells.get("cause") or Cause.IMPORT.value
        if cause not in {one.value for one in Cause}:
            return _Wrong(line, "cause", f"is none of {', '.join(one.value for one in Cause)}")
        try:
            since = _moment(cells, "since") or self.services.clock.now()
            until = _moment(cells, "until")
        except ConfigError as error:
            return _Wrong(line, str(error.field), error.problem)
        return SuppressionRow(
            tenant=self.tenant, address_index=index, scope=scope, cause=cause, since=since, until=until,
            reason=cells.get("reason") or self.reason, note=cells.get("note") or None,
        )  # fmt: skip


def _flaw(values: Mapping[str, str], cells: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the field of what must not be kept as it is, and why; None where nothing is wrong."""
    if any(values.get(SURPLUS, ())):
        return "line", "has more cells than the first line names"
    for name, value in cells.items():
        if _CONTROL.search(value):
            return name, "holds a line break or control character"
        if _UNREADABLE in value:
            return name, "holds what is no UTF-8: save the list as UTF-8"
        if name in _PLAIN and mentions_address(value):
            return name, "holds an address, which would be kept in plain text"
    return None


def _index(cells: Mapping[str, str], tenant: str, services: Services) -> bytes | None:
    if address := cells.get("address"):
        return blind_index(services.keyring.index_key, tenant, address) if is_address(address) else None
    digest = cells.get("address_hash", "")
    return bytes.fromhex(digest) if _HASH.fullmatch(digest) else None


def is_address(text: str) -> bool:
    """Tell whether it is a mail address, or a number in E.164: what is neither would keep nothing back."""
    try:
        validate_address(text, is_utf8_taken=True)
    except HeaderError:
        return _NUMBER.fullmatch(text) is not None
    return True


def mentions_address(text: str) -> bool:
    """Tell whether a text speaks of a mail address: reasons and notes are kept in plain."""
    return _MENTION.search(text) is not None


def _moment(cells: Mapping[str, str], name: str) -> datetime | None:
    return iso_moment(cells[name], name) if cells.get(name) else None


def _add(services: Services, rows: list[SuppressionRow], *, is_dry: bool) -> int:
    if is_dry or not rows:
        return 0
    new = services.database.retrying(lambda connection: suppressions.suppress_all(connection, rows))
    suppressions.revoke(services.database, {(row.tenant, row.address_index) for row in rows})
    return new


def _report(added: int, new: int, wrong: list[_Wrong], *, is_dry: bool, is_json: bool) -> None:
    if is_json:
        show_json({"read": added, "new": new, "dry_run": is_dry, "wrong": [_plain(one) for one in wrong]})
        return
    for line in _lines(wrong):
        say(line, is_error=True)
    say(
        f"{added} entries would be added"
        if is_dry
        else f"added {new} entries; {added - new} were there already"
    )
    if wrong:
        say(f"{len(wrong)} lines were left out", is_error=True)


def _plain(one: _Wrong) -> dict[str, object]:
    return {"line": one.line, "field": one.field, "problem": one.problem}


def _lines(wrong: list[_Wrong]) -> Iterator[str]:
    yield from (f"line {one.line}: {one.field}: {one.problem}" for one in wrong[:_SHOWN])
    if len(wrong) > _SHOWN:
        yield f"… and {len(wrong) - _SHOWN} more"
