"""What leaves over SMTP: signed to the last byte, with a return path of its own, and reports asked for."""

from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from notifier.channels.mail_writing import SES_REWRITTEN, MailWriter
from notifier.channels.smtp import SmtpChannel, SmtpRelay
from notifier.channels.smtp_session import xtext
from notifier.clock import SystemClock
from notifier.errors import Fault, PermanentFailure, Phase
from notifier.messages import File
from notifier.mime import DkimKey, Signer
from tests.contracts.mails import TO, mail, smtp_channel
from tests.contracts.smtp_server import At, Say, SmtpServer
from tests.dkim_verifier import records_of, verdicts

RSA = DkimKey(domain="example.com", selector="n2026", key=generate_private_key(65537, 2048))
ED25519 = DkimKey(domain="example.com", selector="n2026e", key=Ed25519PrivateKey.generate())
PATH = "bounces+btoken@example.com"


@pytest.fixture
def server() -> Iterator[SmtpServer]:
    """A running server."""
    with SmtpServer() as server:
        yield server


def send(server: SmtpServer, channel: SmtpChannel | None = None, **changes: object) -> list[str]:
    """Send one mail; return the commands the server got."""
    channel = channel or smtp_channel(server)
    session = channel.open()
    session.send(channel.prepare(mail(**changes)))
    session.close()
    return [line for _, line in server.commands]


@pytest.mark.parametrize(
    "text",
    ["On its way", "", ".\n..\n.\n", "a \n\n\n", "Grüße\r\n.\r\n", "x" * 3000],
    ids=lambda text: repr(text[:9]),
)
def test_what_arrives_verifies(server: SmtpServer, text: str) -> None:
    """Behind dot-stuffing and all; the signatures were the last step."""
    relay = SmtpRelay(name="test", host="127.0.0.1", port=server.port, security="none")
    channel = SmtpChannel(relay, signer=Signer([RSA, ED25519]))
    files = (File(name="a.bin", media_type="application/octet-stream", content=bytes(range(256))),)

    send(server, channel, text=text, html=f"<p>{text}</p>", files=files)

    (received,) = server.received
    assert received.data.startswith(b"DKIM-Signature: ")
    assert verdicts(received.data, records_of(RSA, ED25519)) == [True, True]


def test_a_relay_that_rewrites_headers_gets_a_signature_without_them(server: SmtpServer) -> None:
    """As Amazon SES does with Date and Message-ID."""
    relay = SmtpRelay(
        name="ses", host="127.0.0.1", port=server.port, security="none",
        rewritten=frozenset({"date", "message-id"}),
    )  # fmt: skip

    send(server, SmtpChannel(relay, signer=Signer([RSA])))

    (received,) = server.received
    rewritten = received.data.replace(b"Message-ID: <1.mac@", b"Message-ID: <other@")
    assert rewritten != received.data
    assert verdicts(rewritten, records_of(RSA)) == [True]


def test_each_message_has_a_return_path_of_its_own(server: SmtpServer) -> None:
    """It wins over the relay's; From stays as it is."""
    send(server, smtp_channel(server, envelope_from="bounces@example.com"), return_path=PATH)

    (received,) = server.received
    assert received.sender == PATH
    assert b"\r\nFrom: shop@example.com\r\n" in received.data
    assert PATH.encode() not in received.data


def test_reports_are_asked_for_where_the_relay_passes_that_on(server: SmtpServer) -> None:
    """RFC 3461: headers only, our id, and whom it was for."""
    server.always(At.EHLO, Say("250-test.example\r\n250-DSN\r\n250 PIPELINING"))
    outgoing = mail(notify=True, return_path=PATH, to="bob+news=x@example.org")

    channel = smtp_channel(server)
    session = channel.open()
    session.send(channel.prepare(outgoing))
    session.close()

    commands = [line for _, line in server.commands]
    assert f"MAIL FROM:<{PATH}> RET=HDRS ENVID={outgoing.id.hex}" in commands
    to = "RCPT TO:<bob+news=x@example.org> NOTIFY=FAILURE,DELAY ORCPT=rfc822;bob+2Bnews+3Dx@example.org"
    assert to in commands


@pytest.mark.parametrize(("offers", "notify"), [("PIPELINING", True), ("DSN", False)])
def test_reports_are_not_asked_for_elsewhere(server: SmtpServer, offers: str, notify: bool) -> None:  # noqa: FBT001
    """A server that does not offer DSN would refuse the command."""
    server.always(At.EHLO, Say(f"250-test.example\r\n250 {offers}"))

    commands = send(server, notify=notify)

    assert f"RCPT TO:<{TO}>" in commands
    assert "MAIL FROM:<shop@example.com>" in commands


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("a@b.example", "a@b.example"),
        ("a+b=c@d", "a+2Bb+3Dc@d"),
        ('"a b"@d', '"a+20b"@d'),
        ("~!*@d", "~!*@d"),
    ],
)
def test_an_address_becomes_xtext(address: str, expected: str) -> None:
    """RFC 3461 §4: plus, equals and blanks as +XX."""
    assert xtext(address) == expected


def test_an_international_domain_travels_as_a_labels(server: SmtpServer) -> None:
    """In the envelope and in the header, without SMTPUTF8."""
    send(server, to="bob@bücher.example")

    (received,) = server.received
    assert received.recipient == "bob@xn--bcher-kva.example"
    assert b"\r\nTo: bob@xn--bcher-kva.example\r\n" in received.data


def test_a_local_part_that_needs_smtputf8_goes_where_it_is_offered(server: SmtpServer) -> None:
    """RFC 6531: told at MAIL; the signature covers the header as it travels."""
    server.always(At.EHLO, Say("250-test.example\r\n250-DSN\r\n250-8BITMIME\r\n250 SMTPUTF8"))
    relay = SmtpRelay(name="test", host="127.0.0.1", port=server.port, security="none")
    channel = SmtpChannel(relay, signer=Signer([RSA]))
    session = channel.open()

    session.send(channel.prepare(mail(to="jürgen@bücher.example", notify=True)))
    session.send(channel.prepare(mail()))

    session.close()
    first, second = server.received
    assert "To: jürgen@xn--bcher-kva.example\r\n".encode() in first.data
    assert verdicts(first.data, records_of(RSA)) == [True]
    mails = [line for _, line in server.commands if line.startswith("MAIL")]
    assert [" SMTPUTF8" in line for line in mails] == [True, False]
    assert second.recipient == TO


def test_a_local_part_that_needs_smtputf8_is_refused_where_it_is_not_offered(server: SmtpServer) -> None:
    """For good, with the reason; the relay is not asked, and takes the next mail."""
    channel = smtp_channel(server)
    session = channel.open()

    with pytest.raises(PermanentFailure) as refused:
        session.send(channel.prepare(mail(to="jürgen@example.org")))
    session.send(channel.prepare(mail()))

    session.close()
    assert refused.value.reply.phase is Phase.LOCAL
    assert refused.value.fault is Fault.RECIPIENT
    assert refused.value.reason == "smtputf8-not-offered"
    assert "jürgen" not in str(refused.value)
    assert [received.recipient for received in server.received] == [TO]


def test_an_http_provider_that_takes_mime_gets_it_signed() -> None:
    """Amazon SES by its API: without the headers it writes anew."""
    writer = MailWriter(clock=SystemClock(), signer=Signer([RSA]), rewritten=SES_REWRITTEN, max_bytes=10**6)

    wire = writer.write(mail()).wire

    assert verdicts(wire.replace(b"Message-ID: <1.mac@", b"Message-ID: <other@"), records_of(RSA)) == [True]
    assert verdicts(wire.replace(b"Shipped", b"Stopped"), records_of(RSA)) == [False]
