"""Run all of notifier on this machine: servers, roles, schema, keys, workers, beat, catcher, gateway.

Used by the demo, the tests and the benchmarks; each decides what of it to start. The folder keeps
everything, so that a second start goes on with the same data.
"""

import os
import secrets
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from sqlalchemy.engine import make_url

from notifier.crypto import MasterKeys
from notifier.embedded.ports import free_port
from notifier.embedded.postgres import PostgresServer
from notifier.embedded.supervisor import Program, Supervisor
from notifier.embedded.valkey import ValkeyServer
from notifier.store.database import Database
from notifier.store.keyrings import init_keyring
from notifier.store.migrate import migrate
from notifier.store.roles import MIGRATOR, ROLES, WEB, WORKER, create_roles

DATABASE = "notifier"
CELERY = (sys.executable, "-m", "celery", "-A", "workers.app")
_QUIET = ("--without-mingle", "--without-gossip", "-l", "WARNING")


@dataclass(slots=True)
class Urls:
    """Where the servers are, as each role."""

    admin: str
    migrator: str
    worker: str
    web: str
    redis: str


@dataclass(slots=True)
class Stack:
    """One whole notifier below ``folder``."""

    folder: Path
    durable: bool = True
    env: dict[str, str] = field(default_factory=dict)
    """What the processes get besides the URLs and keys."""
    postgres: PostgresServer = field(init=False)
    valkey: ValkeyServer = field(init=False)
    supervisor: Supervisor = field(init=False)

    def __post_init__(self) -> None:
        """Name the servers; nothing starts yet."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.postgres = PostgresServer(self.folder / "postgres", durable=self.durable)
        self.valkey = ValkeyServer(self.folder / "valkey")
        self.supervisor = Supervisor()

    def start_servers(self) -> Urls:
        """Start PostgreSQL and Valkey, make roles and schema, and return the URLs."""
        self.postgres.start()
        self.valkey.start()
        urls = provision(self.postgres.url(), DATABASE, self._passwords(), self.master_key)
        urls.redis = self.valkey.url()
        self.env |= {
            "NOTIFIER_DATABASE_URL": urls.worker,
            "NOTIFIER_WEB_DATABASE_URL": urls.web,
            "NOTIFIER_MIGRATOR_DATABASE_URL": urls.migrator,
            "NOTIFIER_REDIS_URL": urls.redis,
            "NOTIFIER_MASTER_KEY": self.master_key,
            "NOTIFIER_HEALTH_DIR": str(self.folder / "health"),
        }
        return urls

    @property
    def master_key(self) -> str:
        """The master key of this stack, made at the first start."""
        return self._secret("master-key", lambda: MasterKeys.new_line("local"))

    def celery(self, name: str, *arguments: str, env: Mapping[str, str] | None = None) -> None:
        """Start a Celery process under supervision."""
        self.run(name, (*CELERY, *arguments), env=env)

    def worker(
        self,
        name: str,
        queues: Sequence[str],
        threads: int | None = None,
        *,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Start a worker process that consumes ``queues``; it chooses its threads unless told how many."""
        chosen = () if threads is None else ("-c", str(threads))
        self.celery(
            name,
            "worker",
            "-n",
            f"{name}@%h",
            "-Q",
            ",".join(queues),
            "-P",
            "threads",
            *chosen,
            *_QUIET,
            env=env,
        )

    def core(self, name: str = "core", **options: Mapping[str, str]) -> None:
        """Start a process that ingests and sweeps; it never calls a provider."""
        self.worker(
            name, ["sweep", "track", "ingest.urgent", "ingest.normal", "ingest.bulk"], None, **options
        )

    def urgent(self, name: str = "urgent", threads: int | None = None, **options: Mapping[str, str]) -> None:
        """Start a process that delivers urgent messages only."""
        self.worker(name, ["deliver.urgent"], threads, **options)

    def deliver(
        self, name: str = "deliver", threads: int | None = None, **options: Mapping[str, str]
    ) -> None:
        """Start a process that delivers the rest."""
        self.worker(name, ["deliver.normal", "deliver.bulk"], threads, **options)

    def beat(self, name: str = "beat") -> None:
        """Start a beat: ticks only."""
        self.celery(name, "beat", "-s", str(self.folder / f"{name}-schedule"), "-l", "WARNING")

    def run(self, name: str, argv: Sequence[str], *, env: Mapping[str, str] | None = None) -> None:
        """Start any process under supervision, with the stack's environment."""
        self.supervisor.start(
            Program(
                name=name,
                argv=tuple(argv),
                env={**os.environ, **self.env, **(env or {})},
                log=self.folder / f"{name}.log",
            )
        )

    def module(self, name: str, *arguments: str) -> None:
        """Start a part of ``notifier.embedded``."""
        self.run(name, (sys.executable, "-m", "notifier.embedded", *arguments))

    def stop(self) -> None:
        """Stop everything, processes first."""
        self.supervisor.stop()
        self.valkey.stop()
        self.postgres.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def port(self, name: str) -> int:
        """Return a port of that name, free at first, and the same at the next start."""
        return int(self._secret(f"{name}.port", lambda: str(free_port())))

    def _passwords(self) -> dict[str, str]:
        return {role: self._secret(f"{role}.password", lambda: secrets.token_urlsafe(24)) for role in ROLES}

    def _secret(self, name: str, make: Callable[[], str]) -> str:
        file = self.folder / name
        if not file.exists():
            file.touch(mode=0o600)
            file.write_text(make(), encoding="utf-8")
        return file.read_text(encoding="utf-8")


def provision(admin_url: str, database: str, passwords: Mapping[str, str], master_key: str) -> Urls:
    """Make roles, database, schema and keyring; return the URLs, with Redis left empty."""
    create_roles(admin_url, database, passwords)
    base = make_url(admin_url).set(database=database)

    def as_role(role: str) -> str:
        return base.set(username=role, password=passwords[role]).render_as_string(hide_password=False)

    migrate(as_role(MIGRATOR))
    owner = Database(as_role(MIGRATOR), size=1)
    with owner.transaction() as connection:
        init_keyring(connection, MasterKeys.parse(master_key))
    owner.dispose()
    return Urls(
        admin=admin_url, migrator=as_role(MIGRATOR), worker=as_role(WORKER), web=as_role(WEB), redis=""
    )
