"""``notifier health``: whether the processes here are well; what a container's health check runs."""

import json
import time
from dataclasses import dataclass
from pathlib import Path

import click

from notifier.cli.failures import FINDING
from notifier.cli.output import json_option, say, show_lines, style_of
from notifier.errors import ConfigError
from notifier.health import STALE_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """A process's last word on itself."""

    process: str
    state: str
    """``fine``, ``waiting``, ``stale`` or ``unreadable``."""
    reason: str
    since: str
    age: float
    """Seconds since it was said."""


@click.command()
@click.option(
    "--dir", "folder", envvar="NOTIFIER_HEALTH_DIR", type=click.Path(path_type=Path, file_okay=False),
    help="Where the processes keep their health files; NOTIFIER_HEALTH_DIR otherwise.",
)  # fmt: skip
@json_option
def health(*, folder: Path | None, is_json: bool) -> None:
    """Ask the processes how they are; exit code 0 only if all are fine and have said so lately."""
    if folder is None:
        raise ConfigError("no folder", field="--dir", mend="set NOTIFIER_HEALTH_DIR")
    words = last_words(folder, time.time())
    if is_json:
        show_lines(words)
    else:
        for word in words:
            said = f"{word.state}, {word.reason}" if word.reason else word.state
            say(
                f"{word.process}: {said} (since {word.since}, said {word.age:.0f} s ago)",
                style=style_of(word.state),
            )
        if not words:
            say(f"no process has said anything in {folder}")
    if not words or any(word.state != "fine" for word in words):
        click.get_current_context().exit(FINDING)


def last_words(folder: Path, now: float) -> list[Word]:
    """Return each process's newest word; one that died and was started again counts once."""
    newest: dict[str, Word] = {}
    for file in folder.glob("*.json"):
        word = _read(file, now)
        if word is not None and (word.process not in newest or word.age < newest[word.process].age):
            newest[word.process] = word
    return [newest[name] for name in sorted(newest)]


def _read(file: Path, now: float) -> Word | None:
    name = file.stem.rpartition("-")[0] or file.stem
    try:
        age = max(0.0, now - file.stat().st_mtime)
        said = json.loads(file.read_text(encoding="utf-8"))
        word = Word(process=name, state=said["state"], reason=said["reason"], since=said["since"], age=age)
    except FileNotFoundError:  # it ended in order, just now
        return None
    except (OSError, ValueError, KeyError, TypeError):
        return Word(
            process=name, state="unreadable", reason=f"{file.name} is no health file", since="", age=0.0
        )
    if word.age <= STALE_SECONDS:
        return word
    return Word(process=name, state="stale", reason=f"was {word.state}", since=word.since, age=word.age)
