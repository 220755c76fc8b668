"""A notifier among providers that misbehave: make it, let time pass, read what became of each message.

Knows no provider's mischief; the tests of each kind of provider do.
"""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from typing import Any
from uuid import uuid4

import psycopg
from psycopg import sql

from notifier.catalog import Catalog
from notifier.embedded.postgres import PostgresServer
from notifier.messages import ChannelName
from notifier.reports.histories import Histories
from notifier.reports.history import MessageHistory
from notifier.reports.naming import Kind, Named
from notifier.rules.ruleset import RuleSet
from tests.contracts.smtp_server import SmtpServer
from tests.services import ROOT, Flow, MakeFlow

TEAMS = ("operators", "on-call", "returns-staff", "sales", "helpdesk")
PHASES = ("connect_timeout", "login_timeout", "command_timeout", "data_timeout", "dot_timeout")
HURRY = "500ms"
"""How long a hanging provider is waited for in tests; all that behave get :data:`PATIENCE`."""
PATIENCE = "10s"

Story = tuple[MessageHistory, ...]
"""The messages of one notification, the fallbacks behind the first."""


_TABLES = """SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace
             AND relkind IN ('r', 'p') AND NOT relispartition
             AND relname NOT IN ('alembic_version', 'tenant', 'keyring')"""


@contextmanager
def one_database(server: PostgresServer, template: str) -> Iterator[str]:
    """Make a database for all tests of a module: one for each of so many would take longer than they do."""
    server.start()  # a fault test may have left it down
    name = f"test_{uuid4().hex}"
    create = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(create)
    yield server.url(name)
    server.start()
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def emptied(url: str) -> str:
    """Return the database as new."""
    with psycopg.connect(url) as connection:
        for (table,) in connection.execute(_TABLES).fetchall():
            connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table)))
    return url


@functools.cache
def shipped_catalog() -> Catalog:
    """Return the shipped event types: immutable, and as slow to read as a test is to run."""
    return Catalog.load(ROOT / "config" / "events")


@functools.cache
def shipped_rules() -> RuleSet:
    """Return the shipped rules, likewise."""
    types = [entry.type for entry in shipped_catalog()]
    return RuleSet.load(ROOT / "config" / "rules", types=types, lists=list(TEAMS), templates=None)


def notifier_with(make_flow: MakeFlow, *, on_call: list[dict[str, str]], **settings: Any) -> Flow:
    """Make a notifier with the shipped types and rules, and with these people on call."""
    lists = {team: [f"{team}@notifier.example"] for team in TEAMS}
    flow = make_flow(lists={**lists, "on-call": on_call}, **settings)
    vars(flow.services).update(catalog=shipped_catalog(), rules=shipped_rules())
    return flow


def smtp_relay(port: int, **settings: object) -> dict[str, object]:
    """Return the settings of a relay on this machine, patient and in the clear where they say nothing else."""
    return {
        "host": "127.0.0.1",
        "port": port,
        "security": "none",
        **dict.fromkeys(PHASES, PATIENCE),
        **settings,
    }


def stories(flow: Flow, event_type: str, channel: ChannelName) -> list[Story]:
    """Return what the log tells of the notifications of a type that began on a channel, oldest first."""
    services = flow.services
    histories = Histories(services.keyring, services.catalog, services.settings.mail.domain)
    rows = flow.query(
        """SELECT notification_id FROM message WHERE type = %s AND channel = %s AND position = 0
           ORDER BY subject, id""",
        event_type, channel.value,
    )  # fmt: skip
    with services.database.connection() as connection:
        return [
            histories.load(connection, Named(Kind.NOTIFICATION, one)).notifications[0].messages
            for (one,) in rows
        ]


def hit_and_others(told: list[Story]) -> tuple[MessageHistory, list[MessageHistory]]:
    """Return the first message that met a failure, and those beside it that did not; one must have."""
    firsts = [messages[0] for messages in told]
    (hit,) = [message for message in firsts if any(one.outcome != "sent" for one in message.tries)]
    return hit, [message for message in firsts if message is not hit]


def go_on(flow: Flow) -> None:
    """Let time pass until nothing waits any more; a provider that failed is given one message at first."""
    for _ in range(6):
        flow.make_due()
        flow.deliver()
        if not flow.query("SELECT 1 FROM work"):
            return
    raise AssertionError(flow.query("SELECT channel, lane, relay, state, attempt FROM work"))


def message_ids(server: SmtpServer, address: str) -> set[str]:
    """Return the Message-IDs of the mails a relay took for an address."""
    return {
        message_from_bytes(mail.data)["Message-ID"] for mail in server.received if mail.recipient == address
    }
