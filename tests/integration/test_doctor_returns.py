"""The doctor notices where nobody hears what comes back."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from notifier.pipeline.checks import State
from notifier.pipeline.return_checks import check_listener, check_returns
from notifier.setting_tables import MailIn
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
def test_reports_that_wait_and_upkeep_that_rests_are_told(flow: Flow) -> None:
    """Late is five minutes; a day without upkeep is too long."""
    with flow.services.database.connection() as connection:
        connection.execute(
            "INSERT INTO report (source, key, sealed, received_at) VALUES ('x', 'y', '', now() - interval '1 hour')"
        )
        connection.execute("INSERT INTO heartbeat (name, at) VALUES ('upkeep', now() - interval '2 days')")

    states = {one.name: one.state for one in check_returns(flow.services.database)}

    assert states == {"retention": State.FAIL, "reports": State.FAIL}
