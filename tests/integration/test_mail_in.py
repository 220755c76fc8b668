"""The listener takes what is addressed to us, within hard limits, and answers once it is kept (B3, O8, O10)."""

import smtplib
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import make_url
from structlog.testing import capture_logs

from notifier.embedded.ports import free_port
from notifier.ids import uuid7
from notifier.store.reports import open_report, publish_sealing_key
from notifier.store.unreadable import list_unreadable, open_mail, sealed_mail
from notifier.tokens.return_paths import mint_return_path
from tests.listener import listening
from tests.processes import poll
from tests.services import Flow

KEY = bytes(32)
MESSAGE = uuid7()
PATH = mint_return_path(KEY, MESSAGE, "bounces@notifier.example")
COMPLAINTS = "fbl@notifier.example"
Start = Callable[..., int]


@pytest.fixture
def start(web_url: str) -> Iterator[Start]:
    """Start a listener with settings of the test's choice, in a thread; returns its port."""
    with ExitStack() as stack:

        def run(url: str = web_url, **settings: Any) -> int:
            chosen = {"complaints": [COMPLAINTS], **settings}
            return stack.enter_context(listening(url, KEY, reader="tests.mail_readers:read", **chosen))

        yield run


@contextmanager
def lmtp(port: int) -> Iterator[smtplib.LMTP]:
    """Speak LMTP to it."""
    with smtplib.LMTP("127.0.0.1", port) as client:
        client.ehlo_or_helo_if_needed()
        yield client


def said(client: smtplib.SMTP, *commands: str) -> list[int]:
    """Return the codes that commands are answered with."""
    return [client.docmd(command)[0] for command in commands]


def send(client: smtplib.SMTP, words: str, *to: str) -> list[int]:
    """Send a mail, and return the codes of its recipients."""
    client.mail("<>")
    for address in to:
        client.rcpt(address)
    code, _ = client.data(f"{words}\r\n\r\nbody\r\n".encode())
    more = [client.getreply()[0] for _ in to[1:]] if isinstance(client, smtplib.LMTP) else []
    return [code, *more]


def test_a_bounce_is_kept_before_it_is_taken(start: Start, flow: Flow) -> None:
    """The message is the return path's, whatever the mail pretends; the mail is sealed."""
    with lmtp(start()) as client:
        codes = send(client, "first", PATH)

    source, name, sealed = flow.query("SELECT source, key, sealed FROM report")[0]
    receipt = open_report(sealed, flow.services.keyring.intake_key, source, name)
    assert codes == [250]
    assert (receipt.message, receipt.source, receipt.kind) == (MESSAGE, "mail", "bounced")


def test_the_same_mail_again_is_taken_and_not_told_twice(start: Start, flow: Flow) -> None:
    """An MTA whose connection broke before our answer brings it again."""
    with lmtp(start()) as client:
        codes = [send(client, "first", PATH), send(client, "first", PATH.upper())]

    assert codes == [[250], [250]]
    assert flow.query("SELECT count(*) FROM report") == [(1,)]


def test_who_is_not_ours_is_refused_at_once(start: Start) -> None:
    """No open relay, no guessing, nobody listed: only return paths with our MAC, and the complaint addresses."""
    forged = PATH.replace("@", "a@")
    with lmtp(start()) as client:
        client.mail("<>")
        codes = said(
            client, f"RCPT TO:<{forged}>", "RCPT TO:<ann@example.org>", "RCPT TO:<postmaster@notifier.example>",
            f"RCPT TO:<{COMPLAINTS.upper()}>", f"RCPT TO:<{PATH}>", "VRFY fbl", "EXPN fbl", "AUTH PLAIN AAA=",
        )  # fmt: skip

    assert codes == [550, 550, 550, 250, 250, 502, 502, 502]


def test_lmtp_answers_for_each_recipient(start: Start, flow: Flow) -> None:
    """Each door has its own message, and its own answer."""
    other = mint_return_path(KEY, uuid7(), "bounces@notifier.example")
    with lmtp(start()) as client:
        codes = send(client, "first", PATH, other)

    assert codes == [250, 250]
    assert flow.query("SELECT count(*) FROM report") == [(2,)]


def test_smtp_answers_once(start: Start) -> None:
    """For all recipients together."""
    with smtplib.SMTP("127.0.0.1", start(protocol="smtp")) as client:
        client.ehlo()
        assert send(client, "first", PATH, COMPLAINTS) == [250]
        assert client.noop()[0] == 250


def test_without_a_key_to_seal_to_the_mta_keeps_the_mail(start: Start, flow: Flow) -> None:
    """451 while no worker has published one; then the same mail is taken."""
    with flow.services.database.connection() as connection:
        connection.execute("DELETE FROM sealing_key")
    with lmtp(start()) as client:
        before = send(client, "first", PATH)
        with flow.services.database.connection() as connection:
            publish_sealing_key(connection, flow.services.keyring.sealing_key)
        after = send(client, "first", PATH)

    assert (before, after) == ([451], [250])
    assert flow.query("SELECT count(*) FROM report") == [(1,)]


def test_without_a_database_the_mta_keeps_the_mail(start: Start, web_url: str) -> None:
    """It is told to try again, and nothing of why."""
    away = make_url(web_url).set(port=free_port()).render_as_string(hide_password=False)
    with lmtp(start(away)) as client, capture_logs() as logs:
        codes = send(client, "first", PATH)

    assert codes == [451]
    assert [(one["event"], one["reason"]) for one in logs] == [("mail_in.deferred", "DatabaseUnavailable")]


@pytest.mark.parametrize(
    ("word", "reason"),
    [("die", "crashed"), ("nonsense", "no receipt: ValueError"), ("strange", "not understood")],
)
def test_a_mail_nobody_can_read_is_set_aside(start: Start, flow: Flow, word: str, reason: str) -> None:
    """Once, sealed, with its digest and the reason; it is taken, since it would be no more readable tomorrow."""
    with lmtp(start()) as client, capture_logs() as logs:
        codes = [send(client, word, PATH), send(client, word, PATH), send(client, "next", PATH)]

    with flow.services.database.connection() as connection:
        (found,) = list_unreadable(connection, limit=10)
        sealed = sealed_mail(connection, found.digest[:12])
    assert sealed is not None
    mail = open_mail(sealed[1], flow.services.keyring.intake_key, found.digest)
    assert codes == [[250], [250], [250]]
    assert (found.reason, found.seen, found.message, found.size) == (reason, 2, MESSAGE, len(mail))
    assert mail == f"Return-Path: <>\r\n{word}\r\n\r\nbody\r\n".encode()
    assert [one["digest"] for one in logs if one["event"] == "mail_in.unreadable"] == [found.digest] * 2
    assert "@" not in str(logs)


def test_a_mail_that_is_too_big_is_refused_by_its_size(start: Start) -> None:
    """At MAIL where it is announced, after the final dot otherwise, for each recipient; the connection lives on."""
    other = mint_return_path(KEY, uuid7(), "bounces@notifier.example")
    with lmtp(start(max_bytes=65_536)) as client:
        announced = said(client, "MAIL FROM:<> SIZE=65537")
        sent = send(client, "first\r\n\r\n" + "x\r\n" * 30_000, PATH, other)
        after = send(client, "first", PATH)

    assert (announced, sent, after) == ([552], [552, 552], [250])


def test_who_goes_on_sending_far_beyond_the_size_is_cut_off(start: Start) -> None:
    """Bytes nobody will keep cost nothing for long."""
    with lmtp(start(max_bytes=65_536)) as client, pytest.raises((OSError, smtplib.SMTPException)):
        send(client, "x" * 40_000_000, PATH)


def test_only_so_many_connect_at_once(start: Start) -> None:
    """The next is told to come again; when one leaves there is room."""
    port = start(connections=1)
    with lmtp(port), socket.create_connection(("127.0.0.1", port)) as second:
        assert second.makefile("rb").readline().startswith(b"421 4.3.2")

    with lmtp(port) as third:
        assert said(third, "NOOP") == [250]


def test_one_mail_has_only_so_many_recipients(start: Start) -> None:
    """The others are brought again."""
    with lmtp(start(recipients=1)) as client:
        client.mail("<>")
        assert said(client, f"RCPT TO:<{PATH}>", f"RCPT TO:<{COMPLAINTS}>") == [250, 452]


def test_who_is_silent_is_not_waited_for(start: Start) -> None:
    """An idle connection is closed."""
    with socket.create_connection(("127.0.0.1", start(idle_timeout="200ms"))) as client:
        client.settimeout(10)
        lines = client.makefile("rb").readlines()

    assert len(lines) == 1


def test_who_guesses_addresses_is_shown_the_door(start: Start) -> None:
    """After a hundred that are not ours."""
    with lmtp(start()) as client:
        client.mail("<>")
        codes = said(client, *["RCPT TO:<ann@example.org>"] * 100)
        with pytest.raises(smtplib.SMTPServerDisconnected):
            poll(lambda: client.noop()[0] != 250)

    assert set(codes) == {550}


def test_stuffed_dots_and_long_lines_arrive_as_they_were(start: Start, flow: Flow) -> None:
    """Dots at lines' beginnings, the first and the last too; long lines; a line end that is none (smuggling)."""
    body = b".\r\n\r\n..two\r\n" + b"x" * 100_000 + b"\r\n.dot\r\n\n.\n\r\n.\r\n"
    stuffed = (b"\r\n" + body).replace(b"\r\n.", b"\r\n..")[2:]
    with lmtp(start()) as client:
        assert said(client, "MAIL FROM:<ann@example.org>", f"RCPT TO:<{PATH}>", "DATA") == [250, 250, 354]
        # With a command right behind the end, which must not be taken for a part of the mail.
        client.send(stuffed + b".\r\nNOOP\r\n")
        codes = [client.getreply()[0], client.getreply()[0]]

    with flow.services.database.connection() as connection:
        sealed = sealed_mail(connection, list_unreadable(connection, limit=1)[0].digest)
    assert sealed is not None
    mail = open_mail(sealed[1], flow.services.keyring.intake_key, sealed[0])
    assert (codes, mail) == ([250, 250], b"Return-Path: <ann@example.org>\r\n" + body)


def test_an_empty_mail_is_set_aside(start: Start, flow: Flow) -> None:
    """A dot alone ends it."""
    with lmtp(start()) as client:
        said(client, "MAIL FROM:<>", f"RCPT TO:<{PATH}>", "DATA")
        code = said(client, ".")

    with flow.services.database.connection() as connection:
        (found,) = list_unreadable(connection, limit=10)
    assert (code, found.size) == ([250], len(b"Return-Path: <>\r\n"))


def test_it_listens_on_a_unix_socket(start: Start, tmp_path: Path, flow: Flow) -> None:
    """Also where a process before it left its socket behind."""
    path = tmp_path / "mail-in"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    start(socket=path)
    with smtplib.LMTP(str(path)) as client:
        client.ehlo()
        assert send(client, "first", PATH) == [250]
