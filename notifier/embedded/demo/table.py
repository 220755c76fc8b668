"""Show the demo: steps as they happen, outcomes as they come, one table at the end.

Knows what to show and where; nothing of how it came about. Without a terminal it prints plain lines.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

_WIDTH = 140
"""Of what is not a terminal: a log, a pipe."""


@dataclass(slots=True, kw_only=True)
class Row:
    """One line of the table; filled as outcomes come in."""

    event: str
    to: str
    happened: str = "…"
    tries: int = 0
    seconds: float | None = None
    why: str = ""
    problems: list[str] = field(default_factory=list)
    is_over: bool = False

    @property
    def mark(self) -> str:
        """Waiting, as expected, or not."""
        if not self.is_over:
            return "…"
        return "no" if self.problems else "ok"


class Screen:
    """Where the demo speaks."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)
        if not self._console.is_terminal:
            self._console.width = _WIDTH
        self._start = time.monotonic()

    @property
    def is_live(self) -> bool:
        """Tell whether lines can be written over."""
        return self._console.is_terminal

    def tell(self, line: str) -> None:
        """Say one line, with the seconds since the start."""
        self._console.print(f"[dim]{time.monotonic() - self._start:5.1f} s[/]  ", end="")
        self._console.print(line, markup=False)

    def outcome(self, row: Row) -> None:
        """Say what became of one row, where no table shows it."""
        if not self.is_live:
            self.tell(f"{row.mark}  {row.event}: {row.happened}")

    @contextmanager
    def live(self, rows: Sequence[Row]) -> Iterator[None]:
        """Show the table while it fills, and once more when it is full."""
        if self.is_live:
            with Live(get_renderable=lambda: _table(rows), console=self._console, refresh_per_second=5):
                yield
        else:
            try:
                yield
            finally:
                self._console.print(_table(rows))

    def problems(self, rows: Sequence[Row]) -> None:
        """Say what was not as expected."""
        for row in rows:
            for problem in row.problems:
                self._console.print(Text(f"not as expected: {row.event}: {problem}", style="bold red"))

    def links(self, pages: Mapping[str, str]) -> None:
        """Say where to look further."""
        for name, url in pages.items():
            self._console.print(f"  {name:<13} {url}", markup=False)


def _table(rows: Sequence[Row]) -> Table:
    table = Table(expand=True, pad_edge=False)
    for name, ratio in (("event", 4), ("to", 4), ("what happened", 5)):
        table.add_column(name, ratio=ratio, overflow="fold")
    table.add_column("tries", justify="right")
    table.add_column("after", justify="right", no_wrap=True)
    table.add_column("why", ratio=6, overflow="fold")
    table.add_column("", width=2)
    for row in rows:
        style = {"ok": "green", "no": "bold red"}.get(row.mark, "dim")
        after = f"{row.seconds:.1f} s" if row.seconds is not None else ""
        cells = (row.event, row.to, row.happened, str(row.tries or ""), after, row.why)
        table.add_row(*map(Text, cells), Text(row.mark, style=style))
    return table
