"""Start the whole product below one folder: servers, workers, beat, web, Flower, mail catcher, SMS gateway.

Shortens waits, and nothing else: retries come after seconds, not minutes.
"""

import json
import shlex
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Self

import httpx

from notifier.embedded.certificate import write_certificate
from notifier.embedded.ports import LOOPBACK, is_free
from notifier.embedded.stack import Stack, Urls
from notifier.errors import ConfigError, NotifierError
from notifier.settings import ROOT

WORKERS = ("core", "urgent", "deliver")
CONNECTIONS = 8
"""Connections of one worker to the relay; a killed worker repeats at most as many mails."""
_PORTS = ("smtp", "catcher", "sms", "web", "flower")
_READY_WITHIN = 90.0
_ACCOUNT = "AC" + "0" * 32
_SERVE = "from notifier.web.command import serve; serve()"
"""``notifier serve``, without the search path's say in which ``notifier`` that is."""


class NotReady(NotifierError):
    """A part of the demo did not come up; its log says why."""


class Machine:
    """All processes of the demo; leaving the context ends every one of them."""

    urls: Urls

    def __init__(self, folder: Path) -> None:
        self.stack = Stack(folder.expanduser().resolve())

    def start(self, tell: Callable[[str], None]) -> None:
        """Start everything and return once it works; ``tell`` hears of each step.

        Raises:
            ConfigError: a port is taken, or the folder is in use.
            NotReady: a process did not come up.
        """
        self.urls = self.stack.start_servers()
        tell("PostgreSQL and Valkey run; roles, schema and keys are there")
        self._check_ports()
        self.stack.env |= self._settings()
        self._write_env()
        self._start_workers()
        for name in WORKERS:
            self._wait(name, partial(self._is_worker_ready, name))
            tell(f"worker {name} is ready")
        for name in ("mail catcher", "sms gateway"):
            self._wait(name, partial(answers, self.pages()[name]))
        # What only watches comes last: on two cores everything at once takes all the longer.
        self._start_watchers()
        tell("mail catcher, SMS gateway and beat run; web and Flower follow")

    def wait_for_pages(self) -> None:
        """Return once every page answers.

        Raises:
            NotReady: one does not.
        """
        for name, url in self.pages().items():
            self._wait(name, partial(answers, url))

    def page(self, name: str, path: str = "/") -> str:
        """Return the address of a page of one of the processes."""
        return f"http://{LOOPBACK}:{self.stack.port(name)}{path}"

    def pages(self) -> dict[str, str]:
        """Return where a person looks."""
        return {
            "mail catcher": self.page("catcher"),
            "sms gateway": self.page("sms", "/api/messages"),
            "flower": self.page("flower"),
            "metrics": self.page("web", "/metrics"),
            "readiness": self.page("web", "/readyz"),
        }

    def kill(self, worker: str) -> None:
        """Kill a worker with SIGKILL; it is started again."""
        self.stack.supervisor.kill(worker)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.stop()

    def _start_workers(self) -> None:
        stack, port = self.stack, self.stack.port
        stack.core()
        stack.deliver()
        stack.urgent()
        stack.beat()
        stack.module(
            "catcher", "catcher", "--smtp-port", str(port("smtp")), "--http-port", str(port("catcher")),
            "--directory", str(stack.folder / "mails"), "--certificate", str(stack.folder / "catcher.pem"),
        )  # fmt: skip
        stack.module("sms", "sms-gateway", "--port", str(port("sms")), "--account", _ACCOUNT)

    def _start_watchers(self) -> None:
        stack, port = self.stack, self.stack.port
        stack.run("web", (sys.executable, "-c", _SERVE, "--port", str(port("web"))))
        stack.celery("flower", "flower", f"--conf={ROOT / 'config' / 'flowerconfig.py'}", "--logging=warning")

    def _settings(self) -> dict[str, str]:
        """Return the settings in which the demo differs from ``config/notifier.yaml``."""
        relay = {
            "host": LOOPBACK,
            "port": self.stack.port("smtp"),
            "security": "starttls",
            "ca_file": str(write_certificate(self.stack.folder / "catcher.pem")),
            "connections": CONNECTIONS,
            # A mail that was on its way when its worker was killed is settled after the sum of these.
            "connect_timeout": "1s",
            "login_timeout": "1500ms",
            "command_timeout": "1500ms",
            "data_timeout": "1500ms",
            "dot_timeout": "3s",
        }
        sms = {
            "base_url": f"http://{LOOPBACK}:{self.stack.port('sms')}",
            "account_sid": _ACCOUNT,
            "auth_token": "local",
            "sender": "+15005550006",
        }
        return {
            "NOTIFIER_RELAYS": json.dumps({"default": relay}),
            "NOTIFIER_SMS": json.dumps(sms),
            "NOTIFIER_SMS_GATEWAY_TOKEN": "local",
            "NOTIFIER_DELIVERY": json.dumps({lane: {"first": "2s"} for lane in ("urgent", "normal", "bulk")}),
            "NOTIFIER_TUNING": json.dumps({"claim_lease": "10s", "claim_idle": "5s"}),
            "NOTIFIER_LOG_LEVEL": "WARNING",
            "FLOWER_PORT": str(self.stack.port("flower")),
            "FLOWER_DB": str(self.stack.folder / "flower.db"),
        }

    def _write_env(self) -> None:
        """Let a shell look at the demo's data: ``. .notifier/demo/env``, then ``notifier log``."""
        file = self.stack.folder / "env"
        file.touch(mode=0o600)
        words = {**self.stack.env, "NOTIFIER_URL": self.urls.redis}
        lines = (f"export {name}={shlex.quote(value)}\n" for name, value in words.items())
        file.write_text("".join(lines), encoding="utf-8")

    def _check_ports(self) -> None:
        """The addresses of pages stay the same over starts, unless someone else took them."""
        for name in _PORTS:
            port = self.stack.port(name)
            if not is_free(port):
                raise ConfigError(
                    f"port {port} of the demo's {name} is taken by another program",
                    file=self.stack.folder / f"{name}.port", mend="end that program, or delete this file",
                )  # fmt: skip

    def _is_worker_ready(self, name: str) -> bool:
        pid = self.stack.supervisor.pid(name)
        file = self.stack.folder / "health" / f"{name}-{pid}.json"
        return file.exists() and '"fine"' in file.read_text(encoding="utf-8")

    def _wait(self, name: str, is_ready: Callable[[], bool]) -> None:
        end = time.monotonic() + _READY_WITHIN
        while not is_ready():
            if time.monotonic() > end:
                late = f"{name} is not ready after {_READY_WITHIN:.0f} s"
                raise NotReady(f"{late}: see the logs in {self.stack.folder}")
            time.sleep(0.05)


def answers(url: str) -> bool:
    """Tell whether a page is there."""
    try:
        return httpx.get(url, timeout=3).is_success
    except httpx.HTTPError:
        return False
