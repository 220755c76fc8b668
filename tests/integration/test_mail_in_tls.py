"""The listener speaks TLS of its own: real handshakes, nothing in the clear where that is demanded (O8, O10)."""

import smtplib
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from notifier.ids import uuid7
from notifier.tokens.return_paths import mint_return_path
from tests.contracts.certificate import write_certificate
from tests.listener import listening
from tests.processes import poll
from tests.services import Flow

pytestmark = pytest.mark.servers

KEY = bytes(32)
PATH = mint_return_path(KEY, uuid7(), "bounces@notifier.example")
Start = Callable[..., int]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and certificate of localhost."""
    return write_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def start(web_url: str, certificate: Path) -> Iterator[Start]:
    """Start a listener with a certificate; returns its port."""
    with ExitStack() as stack:

        def run(**settings: Any) -> int:
            chosen = {"tls": {"cert_file": certificate}, **settings}
            return stack.enter_context(listening(web_url, KEY, reader="tests.mail_readers:read", **chosen))

        yield run


@pytest.fixture
def trusting(certificate: Path) -> ssl.SSLContext:
    """What trusts the certificate, and checks the host's name."""
    return ssl.create_default_context(cafile=certificate)


def spoken(port: int, kind: type[smtplib.SMTP] = smtplib.LMTP) -> smtplib.SMTP:
    """Return a connection that has said hello."""
    client = kind("localhost", port)
    client.ehlo_or_helo_if_needed()
    return client


def delivered(client: smtplib.SMTP) -> int:
    """Bring a mail; return the code it is answered with."""
    client.mail("<>")
    code, _ = client.rcpt(f"<{PATH}>")
    return client.data(b"first\r\n\r\nbody\r\n")[0] if code == 250 else code


@pytest.mark.parametrize(("protocol", "kind"), [("lmtp", smtplib.LMTP), ("smtp", smtplib.SMTP)])
def test_a_mail_comes_encrypted(
    start: Start, trusting: ssl.SSLContext, flow: Flow, protocol: str, kind: type[smtplib.SMTP]
) -> None:
    """STARTTLS is offered, kept once, and offers no login behind it."""
    with spoken(start(protocol=protocol, require_tls=True), kind) as client:
        is_offered = client.has_extn("starttls")
        client.starttls(context=trusting)
        client.ehlo_or_helo_if_needed()
        after = [client.has_extn(one) for one in ("starttls", "auth")]
        login = client.docmd("AUTH PLAIN AAA=")[0]
        code = delivered(client)
        version = client.sock.version()  # type: ignore[union-attr]

    assert is_offered
    assert after == [False, False]
    assert (login, code) == (502, 250)
    assert version in {"TLSv1.2", "TLSv1.3"}
    assert flow.query("SELECT count(*) FROM report") == [(1,)]


def test_in_the_clear_nothing_is_taken_where_tls_is_demanded(start: Start, flow: Flow) -> None:
    """RFC 3207 §4: 530, before an address is named."""
    with spoken(start(require_tls=True)) as client, capture_logs() as logs:
        codes = [
            client.docmd(one)[0]
            for one in ("NOOP", "MAIL FROM:<>", f"RCPT TO:<{PATH}>", "DATA", "RSET", "MAIL FROM:<>")
        ]

    assert codes == [250, 530, 503, 503, 250, 530]
    assert {(one["event"], one["reason"]) for one in logs} == {("mail_in.refused", "in the clear")}
    assert flow.query("SELECT count(*) FROM report") == [(0,)]


def test_where_it_is_not_demanded_both_are_taken(start: Start, trusting: ssl.SSLContext) -> None:
    """An MTA beside us need not encrypt; without a certificate nothing is offered."""
    port = start()
    with spoken(port) as plain, spoken(port) as secret, spoken(start(tls=None)) as bare:
        secret.starttls(context=trusting)
        secret.ehlo_or_helo_if_needed()
        assert [delivered(one) for one in (plain, secret, bare)] == [250] * 3
        assert not bare.has_extn("starttls")
        assert bare.docmd("STARTTLS")[0] >= 400


def test_what_came_before_is_forgotten(start: Start, trusting: ssl.SSLContext) -> None:
    """RFC 3207 §4.2: greeting, sender and recipients said in the clear count no more."""
    with spoken(start()) as client:
        client.mail("<>")
        client.rcpt(f"<{PATH}>")
        client.starttls(context=trusting)
        codes = [client.docmd(one)[0] for one in ("DATA", "MAIL FROM:<>")]

    assert codes == [503, 503]


def test_words_smuggled_in_before_tls_are_dropped(start: Start, trusting: ssl.SSLContext) -> None:
    """CVE-2011-0411: what stood behind STARTTLS in one packet is not taken for what came encrypted."""
    with socket.create_connection(("localhost", start())) as line:
        line.recv(1024)
        line.sendall(b"STARTTLS\r\nLHLO smuggled\r\nMAIL FROM:<>\r\n")
        assert line.recv(1024) == b"220 Ready to start TLS\r\n"
        with trusting.wrap_socket(line, server_hostname="localhost") as secret:
            secret.sendall(b"MAIL FROM:<>\r\n")
            assert secret.recv(1024).startswith(b"503")


def test_limits_hold_behind_tls(start: Start, trusting: ssl.SSLContext) -> None:
    """A connection is counted once, though it begins twice; size and recipients as ever; it leaves room behind."""
    port = start(connections=1, recipients=1, max_bytes=65_536)
    with spoken(port) as client:
        client.starttls(context=trusting)
        client.ehlo_or_helo_if_needed()
        with socket.create_connection(("localhost", port)) as second:
            assert second.recv(1024).startswith(b"421")
        client.mail("<>")
        client.rcpt(f"<{PATH}>")
        assert client.rcpt(f"<{PATH}>")[0] == 452
        assert client.data(b"x\r\n" * 40_000)[0] == 552
        assert delivered(client) == 250

    assert poll(lambda: takes(port))


def shaking(port: int) -> socket.socket:
    """Return a connection whose handshake may begin."""
    line = socket.create_connection(("localhost", port))
    line.settimeout(20)
    line.recv(1024)
    line.sendall(b"STARTTLS\r\n")
    line.recv(1024)
    return line


def test_who_is_silent_in_the_handshake_is_not_waited_for(start: Start) -> None:
    """An idle connection is closed there, too, and the next finds room."""
    port = start(connections=1, idle_timeout="300ms")

    with shaking(port) as line:
        rest = line.recv(1024)

    assert rest == b""
    assert poll(lambda: takes(port))


def test_who_speaks_no_tls_is_let_go(start: Start) -> None:
    """It is told in the log as no fault of ours; others are served."""
    port = start(connections=1)

    with capture_logs() as logs:
        with shaking(port) as line:
            line.sendall(b"MAIL FROM:<ann@example.org>\r\n" * 10)
            while line.recv(1024):
                pass
        assert poll(lambda: logs)

    assert {(one["log_level"], one["event"]) for one in logs} == {("info", "mail_in.refused")}
    assert poll(lambda: takes(port))


def takes(port: int) -> bool:
    """Tell whether somebody else may bring a mail."""
    try:
        with spoken(port) as client:
            return delivered(client) == 250
    except smtplib.SMTPException:
        return False
