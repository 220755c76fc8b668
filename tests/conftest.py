"""Real servers for every test that asks: one PostgreSQL and one Valkey per test process, clean per test."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from notifier.crypto import MasterKeys
from notifier.embedded.postgres import PostgresServer
from notifier.embedded.stack import provision
from notifier.embedded.valkey import ValkeyServer
from notifier.store.roles import ROLES
from tests.databases import Databases

pytest_plugins = ["tests.services", "tests.tracking", "tests.two_relays"]

ROLE_PASSWORD = "test"
MASTER_KEY = MasterKeys.new_line("test")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest, so that no process waits for another's at the end."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.fixture(autouse=True)
def own_logs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let a command that sets up logs in the test's process do so for this test alone.

    A logger that keeps what it was set up with is deaf to ``capture_logs`` in every later test.
    """
    configure = structlog.configure

    def without_keeping(**options: Any) -> None:
        configure(**{**options, "cache_logger_on_first_use": False})

    monkeypatch.setattr(structlog, "configure", without_keeping)
    yield
    structlog.reset_defaults()


@pytest.fixture
def server_directory() -> Iterator[Path]:
    """A directory for a server of the test's own.

    Not below ``tmp_path``: as root PostgreSQL runs under another account, and every start of pytest closes
    the parent directory to all others.
    """
    with tempfile.TemporaryDirectory(prefix="notifier-") as directory:
        yield Path(directory)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A running PostgreSQL of this test process alone."""
    with (
        tempfile.TemporaryDirectory(prefix="notifier-pg-") as directory,
        PostgresServer(Path(directory), durable=False) as server,
    ):
        yield server


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[ValkeyServer]:
    """A running Valkey of this test process alone, with its append-only file on."""
    with (
        tempfile.TemporaryDirectory(prefix="notifier-vk-") as directory,
        ValkeyServer(Path(directory)) as server,
    ):
        yield server


@pytest.fixture
def redis_url(valkey_server: ValkeyServer) -> str:
    """An empty Valkey."""
    valkey_server.start()  # a fault test may have left it down
    valkey_server.wipe()
    return valkey_server.url()


def build_template(server: PostgresServer) -> str:
    """Make the database every test's own is copied from: roles, schema, keyring; return its name."""
    name = "notifier_template"
    provision(server.url(), name, dict.fromkeys(ROLES, ROLE_PASSWORD), MASTER_KEY)
    return name


@pytest.fixture(scope="session")
def database_template(postgres_server: PostgresServer) -> str:
    """The name of the database to copy."""
    return build_template(postgres_server)


@pytest.fixture(scope="session")
def databases(postgres_server: PostgresServer, database_template: str) -> Databases:
    """The databases of this test process, each as new when it is lent."""
    return Databases(postgres_server, database_template)


@pytest.fixture
def database_url(databases: Databases) -> Iterator[str]:
    """A database like a fresh copy of the template."""
    url = databases.lend()
    yield url
    databases.take_back(url)
