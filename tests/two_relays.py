"""A notifier with a relay and one that stands in for it, and what a test wants to know of both."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.command import shipped
from tests.contracts.smtp_server import SmtpServer
from tests.services import Flow, MakeFlow

ROUTES = [{"channel": "email", "use": ["main"], "failover": ["backup"]}]


@pytest.fixture
def backup() -> Iterator[SmtpServer]:
    """A second relay."""
    with SmtpServer() as server:
        yield server


@pytest.fixture
def two(make_flow: MakeFlow, smtp: SmtpServer, backup: SmtpServer) -> Flow:
    """A notifier whose mail goes over ``main``, and over ``backup`` while that is down, or takes nothing, for 30 s."""
    return make_flow(**over(smtp, backup, ROUTES))


def over(main: SmtpServer, backup: SmtpServer, routes: list[dict[str, Any]]) -> dict[str, Any]:
    """Return settings for two relays."""
    relays = {
        name: {"host": "127.0.0.1", "port": server.port, "security": "none", "connect_timeout": "2s"}
        for name, server in (("main", main), ("backup", backup))
    }
    return {"relays": relays, "relay": "main", "routes": routes}


def orders(flow: Flow, *numbers: int, **attributes: Any) -> None:
    """Let orders be shipped, each to a customer of its own."""
    flow.ingest(*({**shipped(flow, f"o-{n}", f"c{n}@example.org"), **attributes} for n in numbers))


def pass_time(flow: Flow, seconds: int) -> None:
    """Let the relays' troubles be older, and forget what was known of them."""
    flow.query(
        "UPDATE relay_pause SET since = since - make_interval(secs => %s), "
        "until = until - make_interval(secs => %s) RETURNING 1",
        seconds, seconds,
    )  # fmt: skip
    look_again(flow)


def look_again(flow: Flow) -> None:
    """Forget what was known of the relays, as after a second."""
    flow.services.flows._routing._fresh_until = 0.0


def down(flow: Flow) -> None:
    """Let ``main`` have failed for a minute; it rests."""
    flow.query(
        "INSERT INTO relay_pause (relay, until, since, reason) VALUES "
        "('main', now() + interval '1 minute', now() - interval '1 minute', 'away') RETURNING 1"
    )
    look_again(flow)


def waits_for(flow: Flow) -> list[str]:
    """Return the relay of each message that waits, oldest first."""
    return [row[0] for row in flow.query("SELECT relay FROM work ORDER BY message_id")]


def recipients(server: SmtpServer) -> list[str]:
    """Return whom a relay took mails for."""
    return [one.recipient for one in server.received]
