"""The health files grow no older while their process turns, however little it has to do."""

import json
from pathlib import Path

import pytest

from tests.processes import WORKER, Processes, poll
from tests.services import Flow

pytestmark = pytest.mark.servers


def file_of(processes: Processes, name: str) -> Path:
    """Return a process's health file, once it is there."""
    return poll(lambda: next(iter(processes.health.glob(f"{name}-*.json")), None))


def is_renewed(file: Path) -> bool:
    """Tell whether the file has become newer since."""
    before = file.stat().st_mtime_ns
    return poll(lambda: file.stat().st_mtime_ns > before)


def test_an_idle_worker_and_a_beat_say_that_they_live(flow: Flow, server_directory: Path) -> None:
    """Each in a file of its own; beat's is renewed by its ticks, the worker's by its heart."""
    with Processes(flow, server_directory) as processes:
        processes.start("worker", "-n", "urgent@test", "-Q", "deliver.urgent", *WORKER)
        processes.start("beat", "-s", str(server_directory / "schedule"))
        files = [file_of(processes, name) for name in ("urgent", "beat")]

        assert [json.loads(file.read_text("utf-8"))["state"] for file in files] == ["fine", "fine"]
        assert all(is_renewed(file) for file in files)

    assert not files[0].exists()
