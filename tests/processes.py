"""Celery's real processes on a test's servers: started, watched, and stopped with the test."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self, TypeVar

from notifier.embedded.supervisor import Program, Supervisor
from tests.services import ROOT, Flow

ResultT = TypeVar("ResultT")

WORKER = ("-P", "threads", "-c", "4", "--without-mingle", "--without-gossip")


class Processes:
    """Processes that read the shipped configuration and speak to a flow's servers.

    Args:
        flow: Whose database, Valkey and relay they use.
        directory: Where their logs and health files go.
        variables: What their environment has besides.
    """

    def __init__(self, flow: Flow, directory: Path, **variables: str) -> None:
        settings = flow.services.settings
        assert settings.master_key is not None
        self.health = directory / "health"
        self._directory, self._supervisor = directory, Supervisor()
        self._environment = {
            "NOTIFIER_CONFIG_DIR": str(settings.config_dir),
            "NOTIFIER_DATABASE_URL": settings.database_url.get_secret_value(),
            "NOTIFIER_REDIS_URL": settings.redis_url.get_secret_value(),
            "NOTIFIER_MASTER_KEY": settings.master_key.get_secret_value(),
            "NOTIFIER_HEALTH_DIR": str(self.health),
            "NOTIFIER_RELAYS__DEFAULT__HOST": "127.0.0.1",
            "NOTIFIER_RELAYS__DEFAULT__PORT": str(flow.smtp.port),
            "NOTIFIER_RELAYS__DEFAULT__SECURITY": "none",
            **variables,
        }

    def start(self, *arguments: str, name: str = "") -> None:
        """Start ``celery -A workers.app ARGUMENTS`` and keep it running; two of a kind need names."""
        name = name or arguments[0]
        log = self._directory / f"{name}.log"
        program = Program(name=name, argv=_celery(arguments), env=self._environment, log=log, cwd=ROOT)
        self._supervisor.start(program)

    def stop(self, name: str) -> None:
        """End one in order, and wait for it."""
        self._supervisor.stop(name)

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run one that ends by itself."""
        environment = {**os.environ, **self._environment, **variables}
        argv = _celery(arguments)
        return subprocess.run(
            argv, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._supervisor.stop()


def poll(ask: Callable[[], ResultT | None], seconds: float = 60) -> ResultT:
    """Ask until there is an answer."""
    deadline = time.monotonic() + seconds
    while not (found := ask()):
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.05)
    return found


def _celery(arguments: tuple[str, ...]) -> list[str]:
    return [sys.executable, "-m", "celery", "-A", "workers.app", *arguments]
