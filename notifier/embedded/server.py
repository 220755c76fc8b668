"""Run one server process on a directory of its own: start until ready, stop, kill, restart.

Knows processes, ports and files; what is served is the subclass's affair.
"""

import contextlib
import os
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil

from notifier.embedded.accounts import Account
from notifier.embedded.home import Home
from notifier.embedded.leash import leash, signal_group
from notifier.embedded.ports import free_port, is_free
from notifier.errors import ConfigError, NotifierError

_POLL = 0.005
_GRACE = 20.0


class ServerError(NotifierError):
    """An embedded server ended, or did not become ready in time; the message quotes the end of its log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """How to run the server: the command, what it reads on stdin, and who it runs as."""

    argv: Sequence[str]
    stdin: bytes = b""
    env: Mapping[str, str] | None = None
    account: Account | None = None


class Server(ABC):
    """A server of ours: one process group, one directory, one loopback port kept over restarts."""

    name: str
    stop_signal: signal.Signals
    """What asks the server to end soon, and in order."""
    force_signal: signal.Signals = signal.SIGKILL
    """What follows when it does not."""

    def __init__(self, directory: Path, *, port: int | None = None) -> None:
        self.home = Home(directory)
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def _prepare(self) -> Launch:
        """Make the data directory ready, and say how to run the server on it."""

    @abstractmethod
    def _is_ready(self) -> bool:
        """Tell whether the server answers."""

    @abstractmethod
    def _leftover(self) -> psutil.Process | None:
        """Return the server a dead process of ours left running on this directory."""

    @property
    def port(self) -> int:
        """The loopback port; chosen on first use unless given."""
        if self._port is None:
            self._port = free_port()
        return self._port

    @property
    def pid(self) -> int | None:
        """The server's process id while it runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    @property
    def log(self) -> Path:
        """The file the server writes its log to."""
        return self.home.directory / "server.log"

    def start(self, *, timeout: float = 30.0) -> Self:
        """Start the server and return once it answers.

        Raises:
            ConfigError: the directory or port cannot be used; says what to do.
            ServerError: it ended, or was not ready in time.
        """
        if self.pid:
            return self
        self.home.hold(self.name)
        try:
            self._end_leftover()
            self._check_port()
            self._spawn(self._prepare())
            self._await_ready(timeout)
        except BaseException:
            self.kill()
            self.home.release()
            raise
        return self

    def stop(self, *, grace: float = _GRACE) -> None:
        """Stop the server in order; force it after ``grace`` seconds. Does nothing if it is stopped."""
        for number in (self.stop_signal, self.force_signal, signal.SIGKILL):
            if self._process and self._process.poll() is None:
                signal_group(self._process.pid, number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(grace)
        self._forget()
        self.home.release()

    def kill(self) -> None:
        """End the server and its children by SIGKILL, as a power cut would; the data stays as it is."""
        if self._process and self._process.poll() is None:
            with contextlib.suppress(psutil.NoSuchProcess):
                family = psutil.Process(self._process.pid).children(recursive=True)
                signal_group(self._process.pid, signal.SIGKILL)
                self._process.wait()
                _kill_all(family)
        self._forget()

    def restart(self, *, timeout: float = 30.0) -> Self:
        """Start again on the same port and data: after a kill, or instead of the running server."""
        if self.pid:
            self.stop()
        return self.start(timeout=timeout)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _spawn(self, launch: Launch) -> None:
        switch = launch.account if launch.account and not launch.account.is_self else None
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                launch.argv,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=launch.env,
                cwd=self.home.directory,
                user=switch.user if switch else None,
                group=switch.group if switch else None,
                extra_groups=[] if switch else None,
                # Ctrl-C goes to the terminal's group: we get it, and stop our servers in order.
                process_group=0,
            )
        leash.hold(self._process.pid, signal=self.stop_signal, grace=_GRACE)
        if self._process.stdin:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.write(launch.stdin)
                self._process.stdin.close()

    def _await_ready(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while not self._is_ready():
            if self.pid is None:
                raise ServerError(f"{self.name} ended at its start; the end of {self.log}:\n{self._tail()}")
            if time.monotonic() > deadline:
                raise ServerError(
                    f"{self.name} was not ready after {timeout:g} s; the end of {self.log}:\n{self._tail()}"
                )
            time.sleep(_POLL)

    def _end_leftover(self) -> None:
        process = self._leftover()
        if process is None:
            return
        for number in (self.stop_signal, self.force_signal, signal.SIGKILL):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)
            if _ends_within(process, _GRACE):
                return

    def _check_port(self) -> None:
        if not is_free(self.port):
            raise ConfigError(
                f"{self.name} cannot listen: port {self.port} is taken",
                mend="stop what listens there, or choose another port",
            )

    def _tail(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(lines[-15:])

    def _forget(self) -> None:
        if self._process:
            leash.release(self._process.pid)
            self._process = None


def _kill_all(processes: Sequence[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    while any(_runs(process) for process in processes):
        time.sleep(_POLL)


def _ends_within(process: psutil.Process, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while _runs(process):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL)
    return True


def _runs(process: psutil.Process) -> bool:
    """Tell whether the process still holds anything; orphans stay zombies until init collects them."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False


def running_in(directory: Path, program: str) -> psutil.Process | None:
    """Return the process of that program which works in ``directory`` and leads its group."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.name() == program and process.cwd() == str(directory) and _leads(process):
                return process
    return None


def _leads(process: psutil.Process) -> bool:
    return os.getpgid(process.pid) == process.pid
