"""The doctor notices where nobody hears what comes back."""

import base64
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from pydantic import SecretStr

from notifier.crypto import Keyring
from notifier.pipeline.checks.returns import check_key, check_listener, check_returns
from notifier.pipeline.checks.verdict import State
from notifier.setting_tables import MailIn
from notifier.store.database import DatabaseUnavailable
from tests.services import Flow


@contextmanager
def greeting(words: bytes) -> Iterator[int]:
    """Answer one connection with these words; yield the port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=lambda: _greet(server, words))
        thread.start()
        yield server.getsockname()[1]
        thread.join()


def _greet(server: socket.socket, words: bytes) -> None:
    line, _ = server.accept()
    with line:
        line.sendall(words)


@pytest.mark.parametrize(
    ("words", "state"), [(b"220 mx LMTP\r\n", State.PASS), (b"HTTP/1.1 400\r\n", State.FAIL)]
)
def test_the_listener_is_to_greet(words: bytes, state: State) -> None:
    """As a mail server does."""
    with greeting(words) as port:
        found = check_listener(MailIn(port=port))

    assert found.state is state


def test_a_listener_that_is_away_fails_with_a_mend() -> None:
    """Nobody is there."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

    found = check_listener(MailIn(port=port))

    assert found.state is State.FAIL
    assert "mail-in serve" in found.mend


@pytest.mark.servers
def test_the_listeners_key_is_to_be_the_rings(flow: Flow) -> None:
    """With another one it would refuse every bounce; where nobody can compare it is only warned of."""
    keyring = flow.services.keyring
    ours = base64.b64encode(keyring.return_path_key).decode()

    def unreachable() -> Keyring:
        raise DatabaseUnavailable

    found = [check_key(MailIn(key=SecretStr(key)), lambda: keyring) for key in (ours, "AAAA")]
    found.append(check_key(MailIn(key=SecretStr(ours)), unreachable))

    assert [one.state for one in found] == [State.PASS, State.FAIL, State.WARN]
    assert "keys return-path" in found[1].mend
    assert not any(ours in one.detail + one.mend for one in found)


@pytest.mark.servers
def test_reports_that_wait_and_upkeep_that_rests_are_told(flow: Flow) -> None:
    """Late is five minutes; a day without upkeep is too long."""
    with flow.services.database.connection() as connection:
        connection.execute(
            "INSERT INTO report (source, key, sealed, received_at) VALUES ('x', 'y', '', now() - interval '1 hour')"
        )
        connection.execute("INSERT INTO heartbeat (name, at) VALUES ('upkeep', now() - interval '2 days')")

    states = {one.name: one.state for one in check_returns(flow.services.database)}

    assert states == {"retention": State.FAIL, "reports": State.FAIL}
