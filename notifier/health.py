"""Say how a process is, in a small file that a container's health check reads.

``fine``, or ``waiting`` with what for and since when; nothing is written where no folder is set.
"""

import contextlib
import itertools
import json
import os
import sys
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from notifier.errors import ConfigError
from notifier.logs import get_logger

log = get_logger("health")

_REFRESH = 2.0
STALE_SECONDS = 60.0
"""A process that has not said anything for so long is not well."""


class Health:
    """One process's word on itself."""

    def __init__(self, kind: str, folder: Path | None) -> None:
        self.process = _node_name(sys.argv) or kind
        self._file = folder / f"{self.process}-{os.getpid()}.json" if folder else None
        self._state, self._since, self._written = "", datetime.now(UTC), 0.0
        self._lock = threading.Lock()
        if folder is not None:
            _make(folder)

    def fine(self) -> None:
        """Everything needed is there."""
        self._say("fine", "")

    def waiting(self, reason: str) -> None:
        """Something needed is away; the process waits and goes on by itself."""
        self._say("waiting", reason)

    def alive(self) -> None:
        """Nothing changed; the process still turns."""
        if self._file is not None:
            with contextlib.suppress(FileNotFoundError):
                os.utime(self._file)

    def stopped(self) -> None:
        """The process ends in order."""
        if self._file is not None:
            self._file.unlink(missing_ok=True)

    def _say(self, state: str, reason: str) -> None:
        with self._lock:
            changed = state != self._state
            if changed:
                self._state, self._since = state, datetime.now(UTC)
            elif time.monotonic() - self._written < _REFRESH:
                return
            self._written = time.monotonic()
        if changed and state == "waiting":
            log.warning("health.waiting", reason=reason)
        if self._file is not None:
            text = json.dumps({"state": state, "since": self._since.isoformat(), "reason": reason})
            partial = self._file.with_suffix(f".{threading.get_ident()}")
            # A full disk makes the file stale, which is told; it must not stop the work.
            with contextlib.suppress(OSError):
                partial.write_text(text, encoding="utf-8")
                partial.replace(self._file)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"the folder cannot be made: {error.strerror}", file=folder, field="health_dir",
            mend="name a folder this process may write to",
        ) from None  # fmt: skip


def _node_name(arguments: Sequence[str]) -> str:
    """Return the name before the ``@`` of Celery's ``-n name@host``, in each of its spellings."""
    for flag, value in itertools.zip_longest(arguments, arguments[1:], fillvalue=""):
        if flag in {"-n", "--hostname"}:
            return value.partition("@")[0]
        if flag.startswith("--hostname="):
            return flag.removeprefix("--hostname=").partition("@")[0]
    return ""
