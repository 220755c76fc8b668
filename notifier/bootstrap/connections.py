"""Open what all parts work with: database, Redis, keys, and what speaks over them.

Opened on first use; knows no rules and no relays.
"""

import os
import socket
import threading
from collections.abc import Callable
from functools import cached_property

import redis

from notifier.broker.asks import Asks
from notifier.broker.connection import connect
from notifier.broker.counters import Counters
from notifier.broker.intake import Intake
from notifier.broker.wakeups import WakeUp, WakeUps
from notifier.clock import Clock, SystemClock
from notifier.crypto import Keyring, MasterKeys
from notifier.pipeline.intake.answer import Answers
from notifier.settings import Settings, load_settings
from notifier.store.database import Database
from notifier.store.keyrings import open_keyring
from notifier.store.persons import Persons


def _silent(_wake_up: WakeUp) -> None:
    """Publish nothing: the sweep finds the work within a second."""


class Connections:
    """What all parts work with.

    Args:
        settings: Read from the usual places where left out.
        publish: Sends a wake-up; a process without Celery leaves it to the sweep.
        clock: The system's, except in tests.
        process: The process's name in logs and at the database.
        threads: How many work beside each other: as many connections, and a few.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        publish: Callable[[WakeUp], None] = _silent,
        clock: Clock | None = None,
        process: str = "notifier",
        threads: int = 8,
    ) -> None:
        self.settings = settings or load_settings()
        self.clock: Clock = clock or SystemClock()
        self.stopping = threading.Event()
        self.process = process
        self._publish, self._threads = publish, threads
        self._databases: list[Database] = []

    @cached_property
    def database(self) -> Database:
        """PostgreSQL as the worker role."""
        return self._database(self.settings.database_url.get_secret_value(), self._threads + 4)

    @cached_property
    def outbox_databases(self) -> list[Database]:
        """The producers' databases."""
        return [self._database(url.get_secret_value(), 2) for url in self.settings.outboxes]

    @cached_property
    def redis(self) -> redis.Redis:
        """Redis or Valkey."""
        return connect(self.settings.redis_url.get_secret_value())

    @cached_property
    def keyring(self) -> Keyring:
        """The keys, unwrapped by the master key."""
        return open_keyring(self.database, self.master_keys)

    @cached_property
    def master_keys(self) -> MasterKeys:
        """The master keys of the environment."""
        text = self.settings.master_key
        return MasterKeys.parse(text.get_secret_value() if text else "")

    @cached_property
    def persons(self) -> Persons:
        """The persons' keys."""
        return Persons(self.database, self.keyring)

    @cached_property
    def wake_ups(self) -> WakeUps:
        """Rings other stages."""
        return WakeUps(self.redis, self._publish)

    @cached_property
    def intake(self) -> Intake:
        """The intake streams, as this process reads them."""
        return Intake(self.redis, f"{self.process}@{socket.gethostname()}:{os.getpid()}")

    @cached_property
    def asks(self) -> Asks:
        """Requests for results."""
        return Asks(self.redis)

    @cached_property
    def answers(self) -> Answers:
        """Answers to them."""
        return Answers(self.database, self.keyring, self.intake)

    @cached_property
    def counters(self) -> Counters:
        """What ``/metrics`` shows."""
        return Counters(self.redis)

    def _database(self, url: str, size: int) -> Database:
        database = Database(url, size=size, timeout=self.settings.tuning.database_timeout, name=self.process)
        self._databases.append(database)
        return database
