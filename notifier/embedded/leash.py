"""Tie child processes to this process's life: they end when it does, even by SIGKILL.

A small watcher in a session of its own reads what we tell it from a pipe; end of file means we are gone.
Unlike PR_SET_PDEATHSIG it reaches whole process groups, does not fire when a mere thread ends, works on
macOS, and follows the polite signal with SIGKILL. Runs as a script: standard library only.
"""

import atexit
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable

_POLL = 0.02


class Leash:
    """The watcher process, started with the first child it is told of."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watcher: subprocess.Popen[bytes] | None = None
        self._held: dict[int, str] = {}

    def hold(self, group: int, *, signal: signal.Signals = signal.SIGTERM, grace: float = 5.0) -> None:
        """Let the process group end with us: by ``signal``, then by SIGKILL after ``grace`` seconds."""
        with self._lock:
            self._held[group] = f"hold {group} {int(signal)} {grace}\n"
            self._tell([self._held[group]])

    def release(self, group: int) -> None:
        """Forget a group that has ended, before its number can be used again."""
        with self._lock:
            if self._held.pop(group, None):
                self._tell([f"release {group}\n"])

    def close(self) -> None:
        """End the watcher, and with it all that is still held."""
        with self._lock:
            watcher, self._watcher = self._watcher, None
            if watcher and watcher.stdin:
                with contextlib.suppress(OSError):
                    watcher.stdin.close()
                watcher.wait()

    def forget_in_child(self) -> None:
        """After a fork: drop the copy of the pipe, or the watcher would never see its end."""
        watcher, self._watcher = self._watcher, None
        self._lock, self._held = threading.Lock(), {}
        if watcher and watcher.stdin:
            watcher.stdin.close()
            watcher.returncode = 0  # the parent's child, not ours to wait for

    def _tell(self, lines: Iterable[str]) -> None:
        if self._watcher is None or self._watcher.poll() is not None:
            self._watcher = self._start()
            lines = list(self._held.values())
        if self._watcher.stdin is None:
            raise RuntimeError("the watcher has no pipe")
        os.write(self._watcher.stdin.fileno(), "".join(lines).encode())

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
            bufsize=0,
        )


leash = Leash()
atexit.register(leash.close)
os.register_at_fork(after_in_child=leash.forget_in_child)


def signal_group(group: int, number: int) -> bool:
    """Signal a process group; False if it is gone."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    except PermissionError:  # macOS says so of a group of zombies
        return False
    return True


def watch(lines: Iterable[str]) -> None:
    """Follow what is held until the lines end, then end that."""
    held: dict[int, tuple[int, float]] = {}
    for line in lines:
        verb, group, *how = line.split()
        if verb == "hold":
            held[int(group)] = (int(how[0]), float(how[1]))
        else:
            held.pop(int(group), None)
    start = time.monotonic()
    ending = {number: how[1] for number, how in held.items() if signal_group(number, how[0])}
    while ending:
        time.sleep(_POLL)
        waited = time.monotonic() - start
        for number, grace in list(ending.items()):
            is_late = waited > grace
            if not signal_group(number, signal.SIGKILL if is_late else 0) or is_late:
                del ending[number]


if __name__ == "__main__":
    watch(sys.stdin)
