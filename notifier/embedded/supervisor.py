"""Run processes as children: restart what ends unexpectedly, stop all at once, leave nothing behind.

Knows commands, signals and log files; nothing of what the processes do.
"""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from notifier.embedded.leash import leash, signal_group

_POLL = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A process to keep running; ``env`` is added to ours."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    log: Path | None = None
    cwd: Path | None = None
    grace: float = 10.0
    """Seconds between SIGTERM and SIGKILL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """The wait before a restart: doubles from ``first`` to ``ceiling``; anew after ``calm`` seconds up."""

    first: float = 0.2
    ceiling: float = 10.0
    calm: float = 10.0

    def wait(self, failures: int) -> float:
        """Return the seconds to wait after that many failures in a row."""
        return min(self.ceiling, self.first * float(1 << min(failures - 1, 20)))


@dataclass(slots=True, kw_only=True)
class _Child:
    program: Program
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    failures: int = 0
    restarts: int = 0
    due: float | None = None
    """When to start again; None while it runs."""


class Supervisor:
    """Keeps programs running, each in its own process group, until told to stop.

    Ctrl-C reaches only us; leaving the context stops the rest.
    """

    def __init__(self, *, backoff: Backoff | None = None) -> None:
        self._backoff = backoff or Backoff()
        self._children: dict[str, _Child] = {}
        self._lock = threading.RLock()
        self._stopping = threading.Event()
        self._keeper: threading.Thread | None = None

    def start(self, program: Program) -> None:
        """Start a program and keep it running.

        Raises:
            ValueError: a program of that name is kept already.
            OSError: it cannot be started at all.
        """
        with self._lock:
            if program.name in self._children:
                raise ValueError(f"{program.name} is running already")
            child = _Child(program=program)
            self._launch(child)
            self._children[program.name] = child
            if self._keeper is None:
                self._stopping.clear()
                self._keeper = threading.Thread(target=self._keep, name="supervisor", daemon=True)
                self._keeper.start()

    def stop(self, name: str | None = None) -> None:
        """Stop one program, or all at once: SIGTERM, then SIGKILL after its grace."""
        if name is not None:
            with self._lock:
                leaving = [self._children.pop(name)]
        else:
            self._stopping.set()
            if self._keeper:
                self._keeper.join()
                self._keeper = None
            # The last started may need the others: it hears of it first.
            leaving = [self._children.pop(last) for last in reversed(list(self._children))]
        asked = time.monotonic()
        for child in leaving:
            if child.process is not None and child.process.poll() is None:
                signal_group(child.process.pid, signal.SIGTERM)
        for child in leaving:
            self._end(child, asked + child.program.grace)

    def kill(self, name: str, sig: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to a program's whole group; if it ends, it is started again after the backoff."""
        pid = self.pid(name)
        if pid is not None:
            signal_group(pid, sig)

    def pid(self, name: str) -> int | None:
        """Return a program's process id, None while it is down."""
        process = self._children[name].process
        return process.pid if process and process.poll() is None else None

    def restarts(self, name: str) -> int:
        """Return how often a program had to be started again."""
        return self._children[name].restarts

    def alive(self) -> dict[str, bool]:
        """Tell of each program whether it runs now."""
        with self._lock:
            return {name: self.pid(name) is not None for name in self._children}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _keep(self) -> None:
        while not self._stopping.wait(_POLL):
            with self._lock:
                for child in self._children.values():
                    self._look_after(child)

    def _look_after(self, child: _Child) -> None:
        now = time.monotonic()
        if child.process is not None:
            if child.process.poll() is None:
                return
            self._clear(child)
            calm = now - child.started > self._backoff.calm
            child.failures = 1 if calm else child.failures + 1
            child.due = now + self._backoff.wait(child.failures)
        elif child.due is not None and now >= child.due:
            child.restarts += 1
            try:
                self._launch(child)
            except OSError:  # no memory, no process left: later
                child.failures += 1
                child.due = now + self._backoff.wait(child.failures)

    def _launch(self, child: _Child) -> None:
        program = child.program
        with contextlib.ExitStack() as files:
            log = subprocess.DEVNULL if program.log is None else _append(program.log, files)
            child.process = subprocess.Popen(
                program.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | dict(program.env),
                cwd=program.cwd,
                process_group=0,
            )
        leash.hold(child.process.pid, grace=program.grace)
        child.started, child.due = time.monotonic(), None

    def _end(self, child: _Child, deadline: float) -> None:
        if child.process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.process.wait(max(deadline - time.monotonic(), 0))
        self._clear(child)

    def _clear(self, child: _Child) -> None:
        """End what is left of the group: a dead leader's children hold sockets and claims."""
        if child.process is None:
            return
        signal_group(child.process.pid, signal.SIGKILL)
        child.process.wait()
        leash.release(child.process.pid)
        child.process = None


def _append(log: Path, files: contextlib.ExitStack) -> int:
    log.parent.mkdir(parents=True, exist_ok=True)
    return files.enter_context(log.open("ab")).fileno()
