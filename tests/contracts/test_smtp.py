"""The SMTP adapter against a scripted server: every phase refused, silent, cut and mad."""

import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from notifier.channels.smtp import SmtpChannel, SmtpRelay
from notifier.channels.smtp_connection import LINE_LIMIT
from notifier.channels.smtp_session import dot_stuffed, remote_id
from notifier.errors import (
    ConfigError,
    Fault,
    OutcomeUnknown,
    PermanentFailure,
    Phase,
    SendError,
    TemporaryFailure,
)
from notifier.messages import Accepted
from tests.contracts.mails import TO, hurried_channel, mail, smtp_channel
from tests.contracts.smtp_server import Act, At, Close, Dribble, Hang, Say, SmtpServer

PHASES = {
    At.GREETING: Phase.GREETING, At.EHLO: Phase.EHLO, At.MAIL: Phase.MAIL, At.RCPT: Phase.RCPT,
    At.DATA: Phase.DATA, At.DOT: Phase.DOT,
}  # fmt: skip
ENVELOPE = [At.MAIL, At.RCPT, At.DATA]


@pytest.fixture(params=[True, False], ids=["pipelined", "lockstep"])
def server(request: pytest.FixtureRequest) -> Iterator[SmtpServer]:
    """A running server, once with and once without PIPELINING."""
    with SmtpServer(is_pipelining=request.param) as server:
        yield server


def send(channel: SmtpChannel, **changes: object) -> Accepted:
    """Send one mail over a session of its own."""
    session = channel.open()
    try:
        return session.send(channel.prepare(mail(**changes)))
    finally:
        session.close()


def fail(channel: SmtpChannel, **changes: object) -> SendError:
    """Send one mail that must fail within the channel's bound, without its address in the error."""
    started = time.monotonic()
    with pytest.raises(SendError) as failed:
        send(channel, **changes)
    assert time.monotonic() - started < channel.phase_seconds
    assert TO not in str(failed.value)
    return failed.value


def test_a_mail_arrives_as_it_was_written(server: SmtpServer) -> None:
    """Envelope, bytes, and the id under which the relay holds it."""
    channel = smtp_channel(server, envelope_from="bounces@example.com")
    prepared = channel.prepare(mail(text=".\r\n..two\r\n.\r\nend"))
    session = channel.open()

    accepted = session.send(prepared)

    session.close()
    (received,) = server.received
    assert (received.sender, received.recipient) == ("bounces@example.com", TO)
    assert received.data == prepared.wire
    assert accepted.reply.remote_id == "4TeSt"
    assert (accepted.reply.code, accepted.reply.enhanced) == (250, "2.0.0")


@pytest.mark.parametrize("at", PHASES)
@pytest.mark.parametrize(
    ("said", "kind"), [("451 4.3.0 Not now", TemporaryFailure), ("550 5.3.0 Never", PermanentFailure)]
)
def test_a_refusal_at_any_phase_is_classified_there(
    server: SmtpServer, at: At, said: str, kind: type[SendError]
) -> None:
    """The error names the phase and code; before MAIL a refusal concerns the session, not the mail."""
    server.always(at, Say(said))

    failure = fail(smtp_channel(server))

    assert type(failure) is (TemporaryFailure if at in {At.GREETING, At.EHLO} else kind)
    assert failure.reply.phase is PHASES[at]
    assert failure.reply.code == int(said[:3])
    assert PHASES[at].value in str(failure)
    assert server.received == []


@pytest.mark.parametrize("at", PHASES)
@pytest.mark.parametrize("act", [Hang(), Close()], ids=["hang", "close"])
def test_a_cut_is_temporary_before_the_final_dot_and_unknown_behind_it(
    server: SmtpServer, at: At, act: Act
) -> None:
    """RFC 1047: only between the dot and its answer can a mail be in two hands."""
    server.always(at, act)

    failure = fail(hurried_channel(server))

    assert type(failure) is (OutcomeUnknown if at is At.DOT else TemporaryFailure)
    assert failure.fault is Fault.NETWORK
    assert failure.reply.phase is PHASES[at]
    assert [received.is_answered for received in server.received] == ([False] if at is At.DOT else [])


@pytest.mark.parametrize("at", PHASES)
@pytest.mark.parametrize(
    "said",
    ["garbage", "", "999 x", "25", "\xff\xfe", "250-" + "x" * 2 * LINE_LIMIT, "250-x\r\n" * 200, "334 what"],
)
def test_garbage_at_any_phase_is_the_providers_fault(server: SmtpServer, at: At, said: str) -> None:
    """Lines that are no replies, never end, or do not belong there; behind the dot they decide nothing."""
    server.always(at, Say(said))

    failure = fail(smtp_channel(server))

    assert type(failure) is (OutcomeUnknown if at is At.DOT else TemporaryFailure)
    assert failure.reason == "protocol"


@pytest.mark.parametrize("at", PHASES)
def test_a_dribbling_server_meets_a_deadline(server: SmtpServer, at: At) -> None:
    """A byte now and then does not extend a phase."""
    server.always(at, Dribble("250-" + "slow " * 100))

    failure = fail(hurried_channel(server))

    assert failure.reason == "timeout"


@pytest.mark.parametrize("act", [Hang(), Close()], ids=["hang", "close"])
def test_a_cut_within_a_long_body_is_temporary(server: SmtpServer, act: Act) -> None:
    """The final dot never left this machine, so nothing can have been accepted."""
    server.always(At.BODY, act)

    failure = fail(hurried_channel(server, command_seconds=10, login_seconds=10), text="x" * 20_000_000)

    assert type(failure) is TemporaryFailure
    assert failure.fault is Fault.NETWORK
    assert failure.reply.phase is Phase.DATA


def test_a_closing_server_ends_the_session(server: SmtpServer) -> None:
    """After 421, at whatever phase, the next mail needs a new session."""
    channel = smtp_channel(server)
    for at in (At.MAIL, At.RCPT, At.DATA, At.DOT):
        server.on(at, Say("421 4.3.2 closing", then_close=True))
        session = channel.open()

        with pytest.raises(TemporaryFailure):
            session.send(channel.prepare(mail()))

        assert not session.is_usable
        with pytest.raises(TemporaryFailure, match="session-closed"):
            session.send(channel.prepare(mail()))
        session.close()


@pytest.mark.parametrize("at", [*ENVELOPE, At.DOT])
def test_after_a_refusal_the_same_connection_takes_the_next_mail(server: SmtpServer, at: At) -> None:
    """The refused transaction is reset first: a nested MAIL would be 503."""
    channel = smtp_channel(server)
    server.on(at, Say("550 5.1.1 no"))
    session = channel.open()

    with pytest.raises(PermanentFailure):
        session.send(channel.prepare(mail()))
    session.send(channel.prepare(mail()))
    session.send(channel.prepare(mail()))

    session.close()
    assert len(server.received) == 2
    assert server.connections == 1


def test_a_data_let_in_without_recipient_gets_a_lone_dot() -> None:
    """RFC 2920 §3.1: nothing is sent, and the line stands for the next mail."""
    with SmtpServer() as server:
        channel = smtp_channel(server)
        server.on(At.RCPT, Say("550 5.1.1 no such user"))
        server.on(At.DATA, Say("354 go ahead anyway"))
        session = channel.open()

        with pytest.raises(PermanentFailure) as failed:
            session.send(channel.prepare(mail()))
        session.send(channel.prepare(mail()))

        session.close()
        assert failed.value.fault is Fault.RECIPIENT
        assert [len(received.data) > 100 for received in server.received] == [True]
        assert server.connections == 1


def test_a_data_let_in_without_sender_costs_the_connection() -> None:
    """With a recipient accepted, a lone dot might deliver an empty mail: rather hang up."""
    with SmtpServer() as server:
        channel = smtp_channel(server)
        server.always(At.RCPT, Say("250 2.1.5 Ok"))
        server.on(At.MAIL, Say("550 5.7.1 no"))
        session = channel.open()

        with pytest.raises(PermanentFailure) as failed:
            session.send(channel.prepare(mail()))

        assert failed.value.fault is Fault.SENDER
        assert not session.is_usable
        session.close()
    assert server.received == []


def test_a_refusal_counts_even_if_the_server_then_hangs_up() -> None:
    """The first refusal is the outcome, whatever becomes of the pipelined rest."""
    with SmtpServer() as server:
        server.on(At.RCPT, Say("550 5.1.1 no such user", then_close=True))

        failure = fail(smtp_channel(server))

    assert type(failure) is PermanentFailure
    assert failure.fault is Fault.RECIPIENT


def test_the_envelope_is_one_write_where_the_server_pipelines() -> None:
    """MAIL, RCPT and DATA go out together; a server that answers late costs one round trip, not three."""
    with SmtpServer() as server:
        server.always(At.MAIL, Say("250 Ok", after=0.2))

        send(smtp_channel(server))

        assert [line.split(" ")[0] for _, line in server.commands] == ["EHLO", "MAIL", "RCPT", "DATA", "QUIT"]


def test_a_connection_dropped_while_idle_is_replaced_unnoticed(server: SmtpServer) -> None:
    """A relay restarted between two mails costs neither of them an attempt."""
    channel = smtp_channel(server)
    session = channel.open()
    session.send(channel.prepare(mail()))

    server.hang_up()
    session.send(channel.prepare(mail()))

    session.close()
    assert [received.connection for received in server.received] == [1, 2]


def test_an_idle_timeout_said_in_answer_to_mail_is_not_held_against_the_mail(server: SmtpServer) -> None:
    """421 on a line used before is about the line; said again on a fresh one it is about us."""
    channel = smtp_channel(server)
    session = channel.open()
    session.send(channel.prepare(mail()))
    server.on(At.MAIL, Say("421 4.4.2 Idle too long", then_close=True))

    session.send(channel.prepare(mail()))
    server.always(At.MAIL, Say("421 4.7.0 Go away", then_close=True))
    with pytest.raises(TemporaryFailure) as failed:
        session.send(channel.prepare(mail()))

    session.close()
    assert failed.value.fault is Fault.RATE
    assert [received.connection for received in server.received] == [1, 2]


def test_a_dead_connection_whose_server_is_gone_is_a_temporary_failure() -> None:
    """The one reconnect fails like any connect."""
    with SmtpServer() as server:
        channel = smtp_channel(server)
        session = channel.open()
        session.send(channel.prepare(mail()))

    with pytest.raises(TemporaryFailure) as failed:
        session.send(channel.prepare(mail()))

    assert failed.value.reply.phase is Phase.CONNECT
    assert not session.is_usable
    session.close()


@pytest.mark.parametrize("changes", [{"max_messages_per_connection": 1}, {"idle_seconds": -1}])
def test_an_old_or_idle_connection_is_replaced_before_it_is_used(
    server: SmtpServer, changes: dict[str, int]
) -> None:
    """Relays limit both; QUIT says good-bye first."""
    channel = smtp_channel(server, **changes)
    session = channel.open()

    for _ in range(3):
        session.send(channel.prepare(mail()))

    session.close()
    assert len(server.received) == 3
    assert server.connections >= 3
    assert sum(line == "QUIT" for _, line in server.commands) == server.connections


def test_a_mail_larger_than_the_relay_takes_is_not_sent() -> None:
    """SIZE is read before MAIL, and told with it (RFC 1870)."""
    with SmtpServer(size=5000) as server:
        channel = smtp_channel(server)
        session = channel.open()

        with pytest.raises(PermanentFailure) as failed:
            session.send(channel.prepare(mail(text="x" * 6000)))
        small = channel.prepare(mail())
        session.send(small)

        session.close()
        assert failed.value.fault is Fault.CONTENT
        assert (1, f"MAIL FROM:<shop@example.com> SIZE={len(small.wire)}") in server.commands


@pytest.mark.parametrize(
    ("to", "reason"),
    [
        ("\u2003ü@b.example",
         "address: the part before the @ holds a character or dot that is not allowed there"),
        ("ü" * 33 + "@b.example", "address: the part before the @ is longer than 64 octets"),
        ('"q q"@b.example',
         "address: the part before the @ holds a character or dot that is not allowed there"),
        ("a@[127.0.0.1]", "address: the domain is not a valid host name"),
        ("bob", "address: the address must have the form local@domain"),
    ],
)  # fmt: skip
def test_an_address_that_cannot_be_sent_says_which_rule_it_breaks(to: str, reason: str) -> None:
    """The log's reader learns what to mend without seeing the address."""
    with SmtpServer() as server, pytest.raises(PermanentFailure) as failed:
        smtp_channel(server).prepare(mail(to=to))

    assert failed.value.reason == reason


@pytest.mark.parametrize(("field", "words"), [("sender", "sender address"), ("reply_to", "reply address")])
def test_a_sender_that_cannot_be_sent_is_told_from_the_recipient(field: str, words: str) -> None:
    """It is a setting that must be mended: the mail waits for that, and does not fail for good."""
    with SmtpServer() as server, pytest.raises(TemporaryFailure) as failed:
        smtp_channel(server).prepare(mail(**{field: "shop"}))

    assert failed.value.fault is Fault.SENDER
    assert failed.value.reason == f"{words}: the address must have the form local@domain"


@pytest.mark.parametrize(
    "to", ["bob", "bob@example.org>\r\nRCPT TO:<eve@example.net", "b\x00b@example.org", "bö b@x.example"]
)
def test_a_bad_address_is_refused_locally(to: str) -> None:
    """Neither envelope nor header may carry it; the recipient's fault, never repeated."""
    with SmtpServer() as server:
        with pytest.raises(PermanentFailure) as failed:
            smtp_channel(server).prepare(mail(to=to))

        assert failed.value.fault is Fault.RECIPIENT
        assert failed.value.reply.phase is Phase.LOCAL
        assert to not in str(failed.value)
        assert server.connections == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"sender_name": "a\r\nb"},
        {"to_name": "a\nb"},
        {"headers": {"X": "\0"}},
    ],
)
def test_a_bad_header_is_the_contents_fault(changes: dict[str, object]) -> None:
    """Injection ends here, and the recipient is not blamed for it."""
    with SmtpServer() as server, pytest.raises(PermanentFailure) as failed:
        smtp_channel(server).prepare(mail(**changes))

    assert failed.value.fault is Fault.CONTENT


def test_a_mail_that_requires_tls_does_not_leave_without() -> None:
    """Refused before any connection."""
    with SmtpServer() as server, pytest.raises(PermanentFailure) as failed:
        smtp_channel(server).prepare(mail(is_tls_required=True))

    assert failed.value.fault is Fault.TLS
    assert failed.value.reply.phase is Phase.LOCAL


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("2.0.0 Ok: queued as 4Zx1Yb2Qz9", "4Zx1Yb2Qz9"),
        ("OK id=1tXyZa-0000000ABCD-1x2y", "1tXyZa-0000000ABCD-1x2y"),
        ("2.0.0 4B1CxYz012345 Message accepted for delivery", "4B1CxYz012345"),
        ("2.0.0 OK  1700000000 a1-20020a05.123 - gsmtp", "a1-20020a05.123"),
        ("Ok 0100018c2f3a4b5c-aaaa-bbbb-000000", "0100018c2f3a4b5c-aaaa-bbbb-000000"),
        ("2.6.0 <m@x> [InternalId=4711, Hostname=h] Queued mail for delivery", "4711"),
        ("2.0.0 OK", None),
        ("Message accepted for delivery", None),
    ],
)
def test_the_relays_own_id_is_found(text: str, found: str | None) -> None:
    """As Postfix, Exim, Sendmail, Gmail, SES and Exchange word it."""
    assert remote_id(text) == found


@pytest.mark.parametrize("wire", [b"a\r\n", b".\r\n", b"..\r\n.\r\n", b"a\r\n.\r\n.b\r\n", b"a\r\n\r\n.\r\n"])
def test_no_content_can_end_the_mail(wire: bytes) -> None:
    """After stuffing, the only line with a lone dot is the last."""
    stuffed = dot_stuffed(wire)

    assert stuffed.endswith(b"\r\n.\r\n")
    assert stuffed.count(b"\r\n.\r\n") == 1
    assert not stuffed.startswith(b".\r\n")
    lines = stuffed.removesuffix(b".\r\n").split(b"\r\n")
    assert b"\r\n".join(line.removeprefix(b".") for line in lines) == wire


def test_settings_that_cannot_work_are_refused(tmp_path: Path) -> None:
    """Above all a password without TLS; the message names field and mend, never the password."""
    bad: list[tuple[dict[str, object], str]] = [
        ({"security": "none", "username": "u", "password": "hidden-word"}, "security"),
        ({"security": "maybe"}, "security"),
        ({"username": "u"}, "username"),
        ({"port": 0}, "port"),
        ({"helo": "x\r\nRSET"}, "helo"),
        ({"envelope_from": "nobody"}, "envelope_from"),
        ({"ca_file": tmp_path / "missing.pem"}, "ca_file"),
    ]
    for changes, field in bad:
        with pytest.raises(ConfigError) as refused:
            SmtpChannel(SmtpRelay(**{"name": "main", "host": "x", **changes}))  # type: ignore[arg-type]

        assert refused.value.field == f"relays.main.{field}"
        assert "hidden-word" not in str(refused.value)


def test_the_settings_never_show_the_password() -> None:
    """Not in a traceback, not in a log."""
    relay = SmtpRelay(name="main", host="x", username="u", password="hidden-word")

    assert not re.search("hidden", repr(relay))


def test_a_host_that_does_not_exist_is_the_networks_fault() -> None:
    """The name is not found: nothing was sent."""
    with SmtpServer() as server:
        failure = fail(smtp_channel(server, host="nowhere.invalid"))

    assert failure.fault is Fault.NETWORK
    assert failure.reason == "host-not-found"


@pytest.mark.parametrize("has_another", [True, False])
def test_an_address_of_an_unknown_family_is_passed_over(
    monkeypatch: pytest.MonkeyPatch,
    has_another: bool,  # noqa: FBT001
) -> None:
    """A machine without IPv6 may still be told of an IPv6 address; the next one is tried."""
    with SmtpServer() as server:
        strange = (99, socket.SOCK_STREAM, 0, "", ("::1", server.port))
        good = (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", server.port))
        found = [strange, good] if has_another else [strange]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)

        if has_another:
            assert send(smtp_channel(server)).reply.code == 250
        else:
            failure = fail(smtp_channel(server))
            assert type(failure) is TemporaryFailure
            assert (failure.fault, failure.reply.phase) == (Fault.NETWORK, Phase.CONNECT)
