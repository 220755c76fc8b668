"""A process's word on itself: fine, or waiting with the reason; a broken disk stops no work."""

import json
import os
import sys
from pathlib import Path

import pytest

from notifier.errors import ConfigError
from notifier.health import Health


def said(folder: Path) -> dict[str, str]:
    """What the one file in the folder says."""
    (file,) = folder.iterdir()
    found: dict[str, str] = json.loads(file.read_text("utf-8"))
    return found


def test_the_file_says_how_the_process_is(tmp_path: Path) -> None:
    """And since when; it goes with the process."""
    health = Health("worker", tmp_path / "new")

    health.waiting("Redis cannot be reached")
    assert (said(tmp_path / "new")["state"], said(tmp_path / "new")["reason"]) == (
        "waiting",
        "Redis cannot be reached",
    )
    health.fine()
    assert said(tmp_path / "new")["state"] == "fine"
    health.stopped()
    assert list((tmp_path / "new").iterdir()) == []


def test_being_alive_makes_the_file_younger(tmp_path: Path) -> None:
    """Without a word in it."""
    health = Health("beat", tmp_path)
    health.fine()
    (file,) = tmp_path.iterdir()
    os.utime(file, (1, 1))

    health.alive()

    assert file.stat().st_mtime > 1


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["celery", "worker", "-n", "urgent@host"], "urgent"),
        (["celery", "worker", "--hostname", "core@%h"], "core"),
        (["celery", "worker", "--hostname=deliver-2@%h"], "deliver-2"),
        (["celery", "worker", "-n", "@host"], "worker"),
        (["celery", "worker", "-n"], "worker"),
        (["celery", "worker"], "worker"),
    ],
)
def test_a_process_is_called_as_celery_calls_it(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], name: str
) -> None:
    """Else by its kind."""
    monkeypatch.setattr(sys, "argv", arguments)

    assert Health("worker", None).process == name


def test_without_a_folder_nothing_is_written() -> None:
    """Each word is for nobody."""
    health = Health("worker", None)

    health.fine()
    health.waiting("x")
    health.alive()
    health.stopped()


def test_a_folder_that_vanishes_stops_no_work(tmp_path: Path) -> None:
    """The file grows stale, which is told by who looks."""
    health = Health("worker", tmp_path / "gone")
    (tmp_path / "gone").rmdir()

    health.fine()
    health.alive()
    health.stopped()

    assert not (tmp_path / "gone").exists()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """At the start, where somebody looks."""
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigError, match="health_dir: the folder cannot be made"):
        Health("worker", tmp_path / "file" / "health")
