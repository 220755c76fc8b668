"""Write what a command found: JSON for programs, text and tables for people.

Text from outside, such as a server's reply, cannot steer the terminal: control characters are shown.
"""

import json
import re
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

import click

from notifier.events import Json

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])

_WIDTH = 100
"""Columns where there is no terminal."""
_GAP = 2
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
# JSON text may hold these as they are; a terminal may not.
_IN_JSON = re.compile(r"[\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_STYLES = {
    "sent": "green", "pass": "green", "fine": "green", "fired": "green", "notified": "green",
    "queued": "yellow", "deferred": "yellow", "pending": "yellow", "warn": "yellow", "warning": "yellow",
    "waiting": "yellow", "unknown": "magenta", "failed": "red", "fail": "red", "error": "red",
    "delivered": "green", "bounced": "red", "complained": "red", "rejected": "red", "expired": "red",
    "refused": "red", "poison": "red", "stale": "red",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table."""

    title: str
    width: int = 8
    """What it needs at least."""
    is_whole: bool = False
    """Never broken: ids are copied."""
    is_optional: bool = False
    """Left out where the terminal is too narrow."""


json_option: Callable[[FunctionT], FunctionT] = click.option(
    "--json", "is_json", is_flag=True, help="Write JSON."
)


def show_json(value: object) -> None:
    """Write one JSON document."""
    click.echo(as_json(value, indent=2))


def show_lines(rows: Iterable[object]) -> None:
    """Write one JSON object a line."""
    for row in rows:
        click.echo(as_json(row))


def as_json(value: object, *, indent: int | None = None) -> str:
    """Return JSON that is safe to show."""
    plain: Any = asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
    text = json.dumps(plain, default=_plain, ensure_ascii=False, indent=indent)
    return _IN_JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def say(text: str = "", *, style: str | None = None, is_error: bool = False) -> None:
    """Write a line."""
    click.echo(click.style(printable(text), fg=style) if style else printable(text), err=is_error)


def printable(text: str) -> str:
    """Return the text with control characters written out."""
    return _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


def style_of(word: str) -> str | None:
    """Return the colour of a state."""
    return _STYLES.get(word.rpartition(".")[2])


def show_fields(fields: Mapping[str, object]) -> None:
    """Write names and values, one a line; what is empty is left out."""
    shown = {name: value for name, value in fields.items() if value not in (None, "", (), [], {})}
    width = max((len(name) for name in shown), default=0)
    for name, value in shown.items():
        text = as_json(value, indent=2) if isinstance(value, dict) else cell(value)
        first, *more = text.split("\n")
        say(f"{name:<{width}}  {first}")
        for line in more:
            say(f"{'':<{width}}  {line}")


def show_table(columns: Sequence[Column], rows: Sequence[Sequence[object]], *, empty: str) -> None:
    """Write a table as wide as the terminal; ``empty`` is said instead of one without rows."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not rows:
        say(empty)
        return
    width = shutil.get_terminal_size((_WIDTH, 24)).columns
    shown = _fitting(columns, width)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, _GAP - 1, 0, 0))
    for index in shown:
        column = columns[index]
        table.add_column(column.title, no_wrap=column.is_whole, overflow="fold", min_width=column.width)
    for row in rows:
        texts = [printable(cell(row[index])) for index in shown]
        table.add_row(*(Text(text, style=style_of(text) or "") for text in texts))
    Console(width=width, highlight=False).print(table)


def cell(value: object) -> str:
    """Return a value as people read it."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple | list):
        return ", ".join(cell(item) for item in value)
    if isinstance(value, dict):
        return json.dumps(value, default=_plain, ensure_ascii=False)
    return str(value)


def _fitting(columns: Sequence[Column], width: int) -> list[int]:
    """Return the columns to show: optional ones go, the last first, until the others fit."""
    shown = list(range(len(columns)))
    for index in reversed(range(len(columns))):
        if sum(columns[one].width + _GAP for one in shown) - _GAP <= width:
            break
        if columns[index].is_optional:
            shown.remove(index)
    return shown


def _plain(value: object) -> Json:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
