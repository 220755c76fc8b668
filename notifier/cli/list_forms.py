"""Read lists as people and providers write them: encoding, delimiter and column names of a CSV file.

Judges no cell; what a line says is the importer's.
"""

import codecs
import csv
import io
import itertools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, cast

import click

from notifier.errors import ConfigError

COLUMNS = ("address", "address_hash", "scope", "cause", "reason", "since", "until", "note")
SURPLUS = " "
"""Names the cells beyond the columns; a column's own name would be known."""
_OTHER = ""
"""Names a column that is left out."""
_ADDRESS = frozenset(
    {
        "email",
        "e-mail",
        "mail",
        "recipient",
        "email address",
        "e-mail address",
        "email_address",
        "emailaddress",
    }
)
_DELIMITERS = ",;\t"
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def open_list(file: Path) -> IO[str]:
    """Open a list, ``-`` being standard input: UTF-8, or UTF-16 where its first bytes say so.

    What is neither is read with U+FFFD in its place. A byte order mark is no part of the first column's name.
    """
    data = io.BufferedReader(cast("io.RawIOBase", click.open_file(str(file), "rb")))
    encoding = "utf-16" if data.peek(2)[:2] in _UTF_16 else "utf-8-sig"
    return io.TextIOWrapper(data, encoding=encoding, errors="replace")


def read_list(
    text: IO[str], file: Path, *, is_address: Callable[[str], bool], is_lenient: bool
) -> "csv.DictReader[str]":
    """Return the lines of a list, its columns under our names, whatever their case.

    Args:
        text: The list; its delimiter is what its first line has most of: comma, semicolon or tab.
        file: Its name.
        is_address: Tells whether a first line of one cell is an address already: such a list has no other column.
        is_lenient: Leave columns we do not know out.

    Raises:
        ConfigError: the first line names no address, one column twice, or one we do not know.
    """
    first = text.readline()
    delimiter = max(_DELIMITERS, key=first.count)
    lines = itertools.chain([first], text)
    if is_address(first.strip()):
        return csv.DictReader(lines, ["address"], restkey=SURPLUS, strict=True, delimiter=delimiter)
    reader = csv.DictReader(lines, restkey=SURPLUS, strict=True, delimiter=delimiter)
    try:
        found = list(reader.fieldnames or ())
    except csv.Error:
        found = []
    reader.fieldnames = _names(found, file, is_lenient=is_lenient)
    return reader


def _names(found: Iterable[str], file: Path, *, is_lenient: bool) -> list[str]:
    names, problem = list[str](), ""
    for given in found:
        name = " ".join(given.casefold().split())
        name = "address" if name in _ADDRESS else name
        if name in COLUMNS and name in names:
            problem = problem or f"names {name!r} twice"
        elif name not in COLUMNS:
            # An address is nobody's to read in an error.
            unknown = (
                "holds an address" if "@" in given else f"has a column {given[:60]!r}, which we do not know"
            )
            problem = problem or ("" if is_lenient else unknown)
            name = _OTHER
        names.append(name)
    if not problem and not {"address", "address_hash"} & set(names):
        problem = "names no column 'address'"
    if problem:
        raise ConfigError(
            problem, file=file, line=1,
            mend=f"the first line names the columns: {', '.join(COLUMNS)}; --ignore-unknown leaves others out",
        )  # fmt: skip
    return names
