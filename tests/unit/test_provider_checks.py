"""Whether the gateway lets us in: asked for the account, judged by the status, within a time for all of it."""

import base64
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from pydantic import SecretStr

from notifier.pipeline.checks import providers
from notifier.pipeline.checks.verdict import Check
from notifier.setting_tables import Sms


def check(port: int) -> Check:
    """Ask the gateway at a port of this machine."""
    url = f"http://127.0.0.1:{port}/"
    sms = Sms(base_url=url, account_sid="AC1", auth_token=SecretStr("hush"), sender="+491")
    return providers.check_sms(sms)


@contextmanager
def server(answer: bytes, *, pause: float = 0) -> Iterator[tuple[int, list[bytes]]]:
    """Take one request and write the answer, byte by byte where there is a pause."""
    requests: list[bytes] = []
    over = threading.Event()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            requests.append(connection.recv(65536))
            pieces = [answer[at : at + 1] for at in range(len(answer))] if pause else [answer]
            for piece in pieces:
                if over.wait(pause):
                    return
                connection.sendall(piece)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1], requests
        over.set()
        thread.join()


def said(status: int) -> bytes:
    """Return an answer without a body."""
    return f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n".encode()


def test_the_gateway_is_asked_for_the_account() -> None:
    """With its credentials, in the way that changes nothing and costs nothing."""
    with server(said(200)) as (port, requests):
        found = check(port)

    assert (found.state, found.detail) == ("pass", f"http://127.0.0.1:{port}/ answers 200")
    head = requests[0].decode().split("\r\n")
    assert head[0] == "GET /2010-04-01/Accounts/AC1.json HTTP/1.1"
    assert f"Authorization: Basic {base64.b64encode(b'AC1:hush').decode()}" in head


@pytest.mark.parametrize(
    ("status", "state"),
    [(401, "fail"), (403, "fail"), (404, "pass"), (405, "pass"), (501, "pass"), (500, "warn"), (503, "warn")],
)
def test_the_status_is_the_verdict(status: int, state: str) -> None:
    """A gateway that speaks only the message part is there; one that refuses us is not ours."""
    with server(said(status)) as (port, _):
        found = check(port)

    assert found.state == state
    assert bool(found.mend) == (state != "pass")


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH\r\n\r\n"])
def test_what_is_no_gateway_fails(answer: bytes) -> None:
    """Something else answers there, or hangs up."""
    with server(answer) as (port, _):
        found = check(port)

    assert found.state == "fail"
    assert "hush" not in found.detail


def test_nobody_there_fails() -> None:
    """The address and the kind of failure."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    assert check(port).detail == f"http://127.0.0.1:{port}/: ConnectError"


def test_an_answer_that_drips_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time is for all of it, not for each byte."""
    monkeypatch.setattr(providers, "_HTTP_SECONDS", 0.4)
    started = time.monotonic()

    with server(said(200) * 9, pause=0.05) as (port, _):
        found = check(port)

    assert time.monotonic() - started < 5
    assert found.detail.endswith(": ReadTimeout")
