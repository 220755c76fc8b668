"""``notifier bounce``: see what notifier makes of mails that came back.

Needs no settings, database or server, and changes nothing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click

from notifier.cli.failures import FINDING
from notifier.cli.output import Column, json_option, say, show_lines, show_table
from notifier.events import Json
from notifier.inbound.mailboxes import split_mailbox
from notifier.inbound.reading import read_report
from notifier.inbound.report import MailReport

_FILE_BYTES = 64 << 20
"""What is read of one file."""
_COLUMNS = (
    Column("file", 16),
    Column("kind", 10, is_whole=True),
    Column("recipient", 20),
    Column("status", 6, is_whole=True, is_optional=True),
    Column("code", 4, is_whole=True, is_optional=True),
    Column("reason", 12, is_whole=True),
    Column("hard", 4, is_whole=True),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One mail of one file, or why the file could not be read."""

    file: str
    report: MailReport | None
    problem: str = ""

    def to_json(self) -> dict[str, Json]:
        """Return the line of ``--json``."""
        if self.report is None:
            return {"file": self.file, "kind": "other", "recipients": [], "error": self.problem}
        return {
            "file": self.file,
            "kind": self.report.kind,
            "recipients": [
                {
                    "address": one.address, "aliases": list(one.aliases), "status": one.status,
                    "code": None if one.code is None else str(one.code),
                    "reason": one.reason, "hard": one.hard, "action": one.action,
                }
                for one in self.report.recipients
            ],
            "feedback_type": self.report.feedback_type,
        }  # fmt: skip


@click.group()
def bounce() -> None:
    """Read mails that came back."""


@bounce.command()
@click.argument("paths", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path))
@json_option
def classify(*, paths: Sequence[Path], is_json: bool) -> None:
    """Say what mails are (bounce, complaint, auto_reply, other), whom they are about, and why.

    FILE is a mail, an mbox or a folder of them; a file named *.eml is one mail. A file that cannot be read is told,
    and the others go on; the exit code is then 1.
    """
    failed = 0
    if is_json:
        for one in readings(paths):
            failed += one.report is None
            show_lines([one.to_json()])
    else:
        shown = list(readings(paths))
        failed = sum(one.report is None for one in shown)
        show_table(_COLUMNS, [row for one in shown for row in _rows(one)], empty="no file")
        for one in shown:
            if one.report is None:
                say(f"{one.file}: {one.problem}", style="red", is_error=True)
    if failed:
        raise SystemExit(FINDING)


def readings(paths: Sequence[Path]) -> Iterator[Reading]:
    """Yield what each mail of the files says; a folder is read in the order of its names."""
    for path in paths:
        for file in _files(path):
            try:
                with file.open("rb") as stream:
                    data = stream.read(_FILE_BYTES)
            except OSError as error:
                yield Reading(file=file.name, report=None, problem=error.strerror or "cannot be read")
                continue
            now = datetime.now(UTC)
            # By its name a file of one mail, also where that begins like an mbox and quotes another.
            mails = [data] if file.suffix.lower() == ".eml" else split_mailbox(data)
            for mail in mails:
                yield Reading(file=file.name, report=read_report(mail, received_at=now))


def _files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    yield from (one for one in sorted(path.rglob("*")) if one.is_file() and not one.name.startswith("."))


def _rows(one: Reading) -> Iterator[Sequence[object]]:
    if one.report is None:
        return
    kind = one.report.feedback_type or ""
    for who in one.report.recipients:
        yield one.file, one.report.kind.value, who.address, who.status, who.code, kind or who.reason, who.hard
    if not one.report.recipients:
        yield one.file, one.report.kind.value, None, None, None, kind or None, None
