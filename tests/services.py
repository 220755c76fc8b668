"""A whole notifier inside the test's process: real database, real Valkey, real SMTP; no workers, no Celery.

``flow`` runs the stages by hand, in the order a worker would.
"""

import functools
import json
import time
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy.engine import make_url

from notifier.bootstrap import Services
from notifier.catalog import Catalog
from notifier.clock import Clock
from notifier.events import LANES, Urgency
from notifier.messages import ChannelName
from notifier.pipeline.incoming import Arrival
from notifier.rendering.templates import Templates
from notifier.rules.load import read_rules
from notifier.rules.ruleset import RuleSet
from notifier.settings import Settings
from notifier.store.roles import WEB, WORKER
from tests.contracts.sms_server import SmsServer
from tests.contracts.smtp_server import SmtpServer

ROOT = Path(__file__).parent.parent
CONFIG = ROOT / "config"


@dataclass
class Flow:
    """The stages of one notifier, run by hand."""

    services: Services
    smtp: SmtpServer
    sms: SmsServer

    def ingest(self, *events: Mapping[str, Any], lane: Urgency = Urgency.NORMAL) -> dict[str, int]:
        """Ingest events given in their JSON form; missing attributes are made up."""
        return dict(
            self.services.ingest.arrivals(
                [Arrival(payload=self.payload(event), lane=lane, at=datetime.now(UTC)) for event in events]
            )
        )

    def payload(self, event: Mapping[str, Any]) -> bytes:
        """Return an event's bytes, with what every event needs."""
        made_up = {"id": uuid4().hex, "source": "test", "time": datetime.now(UTC).isoformat()}
        return json.dumps({**made_up, **event}).encode()

    def sample(self, event_type: str, **attributes: Any) -> dict[str, Any]:
        """Return the catalogue's sample of a type as an event."""
        entry = self.services.catalog[event_type]
        # A copy: the catalogue is every test's.
        data = {**deepcopy(entry.sample), **attributes.pop("data", {})}
        return {"type": event_type, "subject": entry.sample_subject, "data": data, **attributes}

    def deliver(self) -> dict[str, int]:
        """Send everything due on every channel and lane, and return the counts."""
        counts: dict[str, int] = {}
        for channel in (ChannelName.EMAIL, ChannelName.SMS, ChannelName.PORTAL, ChannelName.CONSOLE):
            for lane in LANES:
                for outcome, count in self.services.deliver.run(channel, lane.value).counts.items():
                    counts[outcome] = counts.get(outcome, 0) + count
        return counts

    def query(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Ask the database, as the worker."""
        return self.services.database.all(statement, parameters)  # type: ignore[arg-type]

    def rows_read(self, table: str) -> int:
        """Return how many rows and index entries of a table were ever read; nobody may be using the database."""
        # Sessions tell what they read when they end.
        self.services.database.dispose()
        while self.query(
            """SELECT 1 FROM pg_stat_activity WHERE datname = current_database()
               AND usename = current_user AND pid <> pg_backend_pid()"""
        ):
            time.sleep(0.01)
        ((count,),) = self.query(
            """SELECT seq_tup_read + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE relname = %s)
               FROM pg_stat_user_tables WHERE relname = %s""",
            table,
            table,
        )
        return int(count)

    def messages(self) -> list[tuple[str, str, str | None]]:
        """Return (channel, status, reason) of all messages, oldest first."""
        return [
            (row[0], row[1], row[2])
            for row in self.query("SELECT channel, status, reason FROM message ORDER BY id")
        ]

    def states(self) -> list[str]:
        """Return the notifications' states, oldest first."""
        return [row[0] for row in self.query("SELECT state FROM notification ORDER BY id")]

    def make_due(self) -> None:
        """Let every waiting message be due now, and every relay rested."""
        with self.services.database.connection() as connection:
            connection.execute("UPDATE work SET due_at = now() WHERE state < 3")
            connection.execute("UPDATE relay_pause SET until = now()")

    def one_id(self, table: str = "message") -> UUID:
        """Return the newest row's id."""
        found: UUID = self.query(f"SELECT id FROM {table} ORDER BY id DESC LIMIT 1")[0][0]
        return found


MakeFlow = Callable[..., Flow]


@functools.cache
def shipped_templates() -> Templates:
    """Return the shipped templates: immutable, and a second of work to load."""
    return Templates.load(ROOT / "templates")


@functools.cache
def shipped_catalog() -> Catalog:
    """Return the shipped event types: immutable, and as slow to read as a test is to run."""
    return Catalog.load(CONFIG / "events")


@functools.cache
def shipped_rules(lists: tuple[str, ...]) -> RuleSet:
    """Return the shipped rules for these lists, likewise."""
    types = [entry.type for entry in shipped_catalog()]
    return read_rules(CONFIG / "rules", types=types, lists=list(lists), templates=None)


def _shipped(settings: Settings) -> dict[str, object]:
    """Return what services would read of the configuration as it is shipped, as far as these settings name it."""
    parts: dict[str, object] = {}
    if settings.templates_path == ROOT / "templates":
        parts["templates"] = shipped_templates()
    if (settings.config_path / "events").resolve() == CONFIG / "events":
        parts["catalog"] = shipped_catalog()
    if settings.config_path == CONFIG:
        parts["rules"] = shipped_rules(tuple(settings.lists))
    return parts


@pytest.fixture
def smtp() -> Iterator[SmtpServer]:
    """A scripted SMTP relay."""
    with SmtpServer() as server:
        yield server


@pytest.fixture
def sms() -> Iterator[SmsServer]:
    """A scripted SMS gateway."""
    with SmsServer() as server:
        yield server


@pytest.fixture
def worker_url(database_url: str) -> str:
    """The test's database as the worker role."""
    return as_role(database_url, WORKER)


@pytest.fixture
def web_url(database_url: str) -> str:
    """The test's database as the web role."""
    return as_role(database_url, WEB)


def as_role(url: str, role: str) -> str:
    """Return the URL with another login."""
    return make_url(url).set(username=role, password="test").render_as_string(hide_password=False)


@pytest.fixture
def make_flow(
    worker_url: str, web_url: str, redis_url: str, smtp: SmtpServer, sms: SmsServer
) -> Iterator[MakeFlow]:
    """Make a notifier with settings of the test's choice."""
    made: list[Services] = []

    def make(*, clock: Clock | None = None, **overrides: Any) -> Flow:
        services = Services(
            test_settings(worker_url, web_url, redis_url, smtp, sms, **overrides), clock=clock
        )
        vars(services).update(_shipped(services.settings))
        made.append(services)
        return Flow(services, smtp, sms)

    yield make
    for services in made:
        services.close()


@pytest.fixture
def flow(make_flow: MakeFlow) -> Flow:
    """A notifier with the shipped configuration."""
    return make_flow()


def test_settings(
    worker_url: str, web_url: str, redis_url: str, smtp: SmtpServer, sms: SmsServer, /, **overrides: Any
) -> Settings:
    """Return settings that point at the test's servers, with short time limits."""
    from tests.conftest import MASTER_KEY

    relay = {
        "host": "127.0.0.1",
        "port": smtp.port,
        "security": "none",
        "connections": 4,
        "connect_timeout": "2s",
        "login_timeout": "2s",
        "command_timeout": "2s",
        "data_timeout": "2s",
        "dot_timeout": "2s",
    }
    values: dict[str, Any] = {
        "database_url": worker_url,
        "web_database_url": web_url,
        "redis_url": redis_url,
        "master_key": MASTER_KEY,
        "config_dir": CONFIG,
        "templates_dir": ROOT / "templates",
        "relays": {"default": relay},
        "sms": {
            "base_url": sms.url,
            "account_sid": sms.account,
            "auth_token": sms.token,
            "sender": "+15005550006",
            "read_timeout": "2s",
        },
        "mail": {
            "domain": "notifier.example",
            "sender": "no-reply@notifier.example",
            "sender_name": "Example",
        },
        "lists": {
            name: [f"{name}@notifier.example"]
            for name in ("operators", "on-call", "returns-staff", "sales", "helpdesk")
        },
    }
    return Settings(**{**values, **overrides})


test_settings.__test__ = False  # type: ignore[attr-defined]
