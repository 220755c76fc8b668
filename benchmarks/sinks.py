"""Start the SMTP server that takes the mails: Debian's ``smtp-sink`` where installed, else our own."""

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from notifier.embedded.ports import free_port

_SBIN = "/usr/sbin:/usr/lib/postfix/sbin:/usr/local/sbin"


def sink_program() -> str | None:
    """Return postfix's sink, the fastest there is, or None."""
    return shutil.which("smtp-sink") or shutil.which("smtp-sink", path=_SBIN)


@contextmanager
def sink(*, latency_ms: int = 0) -> Iterator[tuple[int, str]]:
    """Run a sink; yields its port and name. With a latency it is always our own."""
    port, program = free_port(), sink_program()
    if program is not None and not latency_ms:
        argv, name = [program, "-u", "nobody", f"127.0.0.1:{port}", "1000"], "smtp-sink"
    else:
        argv = [sys.executable, "-m", "notifier.embedded", "sink", "--port", str(port)]
        argv += ["--latency-ms", str(latency_ms)] if latency_ms else []
        name = "bundled"
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait(port)
        yield port, name
    finally:
        process.terminate()
        process.wait(10)


def _wait(port: int) -> None:
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError("the sink did not start")
