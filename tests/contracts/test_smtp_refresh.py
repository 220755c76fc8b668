"""A session is made sure of before a mail is at stake: dropped, old and idle connections are replaced."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest

from notifier.channels.base import Session
from notifier.errors import Fault, Phase, TemporaryFailure
from tests.contracts.certificate import write_certificate
from tests.contracts.mails import mail, smtp_channel
from tests.contracts.smtp_server import SmtpServer


@pytest.fixture(params=[True, False], ids=["pipelined", "lockstep"])
def server(request: pytest.FixtureRequest) -> Iterator[SmtpServer]:
    """A running server, once with and once without PIPELINING."""
    with SmtpServer(is_pipelining=request.param) as server:
        yield server


@pytest.fixture(autouse=True)
def _idle_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every session count as idle: within a chunk a refresh does not look."""
    monkeypatch.setattr("notifier.channels.smtp_session._FRESH_SECONDS", 0.0)


def test_a_refresh_leaves_a_live_connection_alone(server: SmtpServer) -> None:
    """It asks the kernel, not the relay."""
    channel = smtp_channel(server)
    session = channel.open()

    for _ in range(3):
        session.refresh()
        session.send(channel.prepare(mail()))
    session.refresh()

    session.close()
    assert server.connections == 1
    assert sum(line == "NOOP" for _, line in server.commands) == 0


def test_a_refresh_replaces_a_dropped_connection_before_a_message_is_at_stake(server: SmtpServer) -> None:
    """A relay restarted while we idled is met with a new connection."""
    channel = smtp_channel(server)
    session = channel.open()
    session.send(channel.prepare(mail()))

    server.hang_up()
    poll_until(lambda: refreshed(session, server) == 2)
    session.send(channel.prepare(mail()))

    session.close()
    assert [received.connection for received in server.received] == [1, 2]
    assert server.connections == 2


@pytest.mark.parametrize("changes", [{"max_messages_per_connection": 1}, {"idle_seconds": 0.05}])
def test_a_refresh_replaces_an_old_or_idle_connection_once(
    server: SmtpServer, changes: dict[str, float]
) -> None:
    """The send behind it finds the new one good."""
    channel = smtp_channel(server, **changes)
    session = channel.open()
    session.send(channel.prepare(mail()))

    poll_until(lambda: refreshed(session, server) == 2)
    session.send(channel.prepare(mail()))

    session.close()
    assert server.connections == 2


def test_a_refresh_fails_where_the_relay_is_gone() -> None:
    """As a temporary failure of the network, and no message has been touched."""
    with SmtpServer() as server:
        channel = smtp_channel(server)
        session = channel.open()
        session.send(channel.prepare(mail()))

    with pytest.raises(TemporaryFailure) as failed:
        session.refresh()

    assert failed.value.fault is Fault.NETWORK
    assert failed.value.reply.phase is Phase.CONNECT
    assert not session.is_usable
    with pytest.raises(TemporaryFailure, match="session-closed"):
        session.refresh()
    session.close()


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_a_refresh_sees_through_tls(tmp_path: Path, tls: Literal["starttls", "implicit"]) -> None:
    """Session tickets are no reason to reconnect, a good-bye is."""
    certificate = write_certificate(tmp_path)
    with SmtpServer(tls=tls, certificate=certificate) as server:
        channel = smtp_channel(server, security=tls, ca_file=certificate)
        session = channel.open()
        session.refresh()
        session.send(channel.prepare(mail()))
        session.refresh()
        assert server.connections == 1

        server.hang_up()
        poll_until(lambda: refreshed(session, server) == 2)
        session.send(channel.prepare(mail()))

        session.close()


def refreshed(session: Session, server: SmtpServer) -> int:
    """Refresh, and return how many connections the server has seen by now."""
    session.refresh()
    return server.connections


def poll_until(is_so: Callable[[], bool]) -> None:
    """Wait for what another thread brings about."""
    deadline = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.02)
