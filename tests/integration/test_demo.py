"""The demo as a person runs it: every outcome as expected, and nothing left behind after Ctrl-C."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.long
@pytest.mark.servers
@pytest.mark.timeout(300)
def test_the_demo_shows_every_outcome_and_ctrl_c_ends_all_of_it(server_directory: Path) -> None:
    """Real servers, workers and a SIGKILL; O7, S3 and S5 in one go."""
    demo = subprocess.Popen(
        [sys.executable, "-m", "notifier.embedded", "demo", "--directory", str(server_directory / "demo")],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert demo.stdout

    lines: list[str] = []
    for line in demo.stdout:
        lines.append(line)
        if "stays up until Ctrl-C" in line:
            break
    begun = descendants(demo.pid)
    demo.send_signal(signal.SIGINT)
    rest = demo.communicate(timeout=60)[0]

    assert demo.returncode == 0, "".join(lines) + rest
    assert any("11 of 11 outcomes as expected" in line for line in lines)
    assert len(begun) >= 10
    assert psutil.wait_procs(begun, timeout=10)[1] == []


def descendants(pid: int) -> list[psutil.Process]:
    """Return all processes the demo began, servers and workers among them."""
    found = psutil.Process(pid).children(recursive=True)
    assert os.getpid() not in {process.pid for process in found}
    return found
