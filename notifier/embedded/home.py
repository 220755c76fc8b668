"""Keep a server's directory to one owner: a lock that dies with its process, and a password file.

Knows files and processes; not which server lives in the directory.
"""

import fcntl
import os
import secrets
from pathlib import Path

from notifier.errors import ConfigError


class Home:
    """A server's directory. The kernel drops the lock with the process, however that ends."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory.expanduser().resolve()
        self._lock: int | None = None

    @property
    def is_held(self) -> bool:
        """Tell whether this process has the lock."""
        return self._lock is not None

    def hold(self, what: str) -> None:
        """Create the directory and take its lock.

        Raises:
            ConfigError: another process has it, or it cannot be written.
        """
        if self._lock is not None:
            return
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise ConfigError(
                f"{what} cannot use this directory: {error.strerror}",
                file=self.directory,
                mend=f"make it writable for user {os.geteuid()}, or choose another directory",
            ) from error
        self._lock = self._locked(lock, what)
        os.ftruncate(lock, 0)
        os.write(lock, f"{os.getpid()}\n".encode())

    def release(self) -> None:
        """Give the lock back."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def password(self) -> str:
        """Return the password kept beside the data; it is made with the directory."""
        file = self.directory / "password"
        if not file.exists():
            with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:  # noqa: PTH123
                out.write(secrets.token_urlsafe(24))
        return file.read_text()

    def _locked(self, lock: int, what: str) -> int:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(lock, 20, 0).decode().strip() or "unknown"
            os.close(lock)
            raise ConfigError(
                f"{what} is already running on this directory, started by process {owner}",
                file=self.directory,
                mend=f"use that one, stop it (kill {owner}), or choose another directory",
            ) from None
        return lock
