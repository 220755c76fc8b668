"""TLS and AUTH of the SMTP adapter: what was asked for is had, or nothing is sent."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from notifier.channels.smtp import SmtpChannel
from notifier.channels.smtp_login import parse_features
from notifier.errors import Fault, PermanentFailure, Phase, SendError, TemporaryFailure
from tests.contracts.certificate import write_certificate
from tests.contracts.mails import mail, smtp_channel
from tests.contracts.smtp_server import Act, At, Close, Hang, Say, SmtpServer

USERS = {"app": "pässword"}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost."""
    return write_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(params=["starttls", "implicit"])
def server(request: pytest.FixtureRequest, certificate: Path) -> Iterator[SmtpServer]:
    """A server with TLS and one user, in both kinds."""
    with SmtpServer(tls=request.param, certificate=certificate, users=USERS) as server:
        yield server


@pytest.fixture
def starttls(certificate: Path) -> Iterator[SmtpServer]:
    """A server with STARTTLS and one user."""
    with SmtpServer(tls="starttls", certificate=certificate, users=USERS) as server:
        yield server


def secure(server: SmtpServer, certificate: Path, **changes: object) -> SmtpChannel:
    """Return a channel that trusts the server's certificate and knows the password."""
    values: dict[str, object] = {
        "host": "localhost", "security": server.tls, "ca_file": certificate, "username": "app",
        "password": "pässword",
    }  # fmt: skip
    return smtp_channel(server, **(values | changes))


def refused(channel: SmtpChannel) -> SendError:
    """Open a session that must fail."""
    with pytest.raises(SendError) as failed:
        channel.open()
    assert "pässword" not in str(failed.value)
    return failed.value


def test_mails_travel_through_tls_after_a_log_in(server: SmtpServer, certificate: Path) -> None:
    """Starttls and implicit, verified, authenticated; long bodies too."""
    channel = secure(server, certificate)
    session = channel.open()
    long = channel.prepare(mail(text="x" * 300_000, is_tls_required=True))

    session.send(channel.prepare(mail()))
    session.send(long)

    session.close()
    assert [received.is_tls for received in server.received] == [True, True]
    assert server.received[1].data == long.wire


def test_log_in_works_with_either_mechanism(certificate: Path) -> None:
    """PLAIN where offered, else LOGIN."""
    for mechanisms in ("LOGIN PLAIN", "LOGIN"):
        with SmtpServer(
            tls="implicit", certificate=certificate, users=USERS, mechanisms=mechanisms
        ) as server:
            secure(server, certificate).open().close()

            verbs = [line for _, line in server.commands if line.startswith("AUTH")]
            assert verbs[0].startswith("AUTH PLAIN " if "PLAIN" in mechanisms else "AUTH LOGIN")


def test_a_wrong_password_is_the_fault_of_the_credentials(server: SmtpServer, certificate: Path) -> None:
    """Permanent for the flow, and never the recipient's fault."""
    failure = refused(secure(server, certificate, password="wrong"))

    assert type(failure) is PermanentFailure
    assert failure.fault is Fault.CREDENTIALS
    assert failure.reply.code == 535


def test_a_server_without_our_mechanisms_is_the_fault_of_the_credentials(certificate: Path) -> None:
    """The password is not tried in some other way."""
    with SmtpServer(tls="implicit", certificate=certificate, users=USERS, mechanisms="CRAM-MD5") as server:
        failure = refused(secure(server, certificate))

    assert type(failure) is PermanentFailure
    assert failure.reason == "auth-not-offered"


def test_starttls_that_is_not_offered_is_never_done_without() -> None:
    """A stripped offer (RFC 3207 §6) stops the flow; nothing is lost, nothing leaks."""
    with SmtpServer() as server:
        failure = refused(smtp_channel(server, security="starttls"))

        assert [line.split(" ")[0] for _, line in server.commands] == ["EHLO"]
    assert type(failure) is TemporaryFailure
    assert failure.fault is Fault.TLS
    assert failure.reason == "starttls-not-offered"


def test_a_certificate_nobody_vouches_for_is_refused(server: SmtpServer, certificate: Path) -> None:
    """No password and no mail goes to whoever that is."""
    failure = refused(secure(server, certificate, ca_file=None))

    assert type(failure) is TemporaryFailure
    assert (failure.fault, failure.reason) == (Fault.TLS, "certificate")
    assert not [line for _, line in server.commands if line.startswith(("AUTH", "MAIL"))]


def test_a_certificate_for_another_host_is_refused(tmp_path: Path) -> None:
    """The name is checked, not only the signature."""
    other = write_certificate(tmp_path, "mail.example.com")
    with SmtpServer(tls="implicit", certificate=other, users=USERS) as server:
        failure = refused(secure(server, other))

    assert failure.reason == "certificate"


def test_verification_can_be_switched_off_by_name_only(server: SmtpServer, certificate: Path) -> None:
    """A lab's relay with a certificate of its own."""
    channel = secure(server, certificate, ca_file=None, is_verified=False)

    session = channel.open()
    session.send(channel.prepare(mail()))

    session.close()
    assert server.received[0].is_tls


def test_plaintext_behind_the_answer_to_starttls_is_an_attack(
    starttls: SmtpServer, certificate: Path
) -> None:
    """CVE-2011-0411: it would be read as if it had come through TLS."""
    starttls.always(At.STARTTLS, Say("220 go\r\n250-evil\r\n250 AUTH PLAIN"))

    failure = refused(secure(starttls, certificate))

    assert (failure.fault, failure.reason) == (Fault.TLS, "starttls-injection")


@pytest.mark.parametrize("said", ["454 4.7.0 TLS not available", "502 5.5.1 not implemented"])
def test_a_refused_starttls_is_temporary(starttls: SmtpServer, certificate: Path, said: str) -> None:
    """A relay misconfigured today may be mended tomorrow: the mail waits."""
    starttls.always(At.STARTTLS, Say(said))

    failure = refused(secure(starttls, certificate))

    assert type(failure) is TemporaryFailure
    assert (failure.fault, failure.reply.phase) == (Fault.TLS, Phase.TLS)


@pytest.mark.parametrize(
    ("at", "phase"), [(At.STARTTLS, Phase.TLS), (At.HANDSHAKE, Phase.TLS), (At.AUTH, Phase.AUTH)]
)
@pytest.mark.parametrize("act", [Hang(), Close(), Say("garbage")], ids=["hang", "close", "garbage"])
def test_trouble_during_the_log_in_is_temporary(
    starttls: SmtpServer, certificate: Path, at: At, phase: Phase, act: Act
) -> None:
    """Nothing was sent; each within the deadline of the log-in."""
    starttls.always(at, act)

    failure = refused(secure(starttls, certificate, login_seconds=0.5))

    assert type(failure) is TemporaryFailure
    assert failure.reply.phase is phase


@pytest.mark.parametrize("act", [Hang(), Close()], ids=["hang", "close"])
def test_a_cut_within_a_long_body_is_temporary_through_tls_too(
    server: SmtpServer, certificate: Path, act: Act
) -> None:
    """The record with the final dot never left this machine."""
    server.always(At.BODY, act)
    channel = secure(server, certificate, data_seconds=0.5)
    session = channel.open()

    with pytest.raises(TemporaryFailure) as failed:
        session.send(channel.prepare(mail(text="x" * 20_000_000)))

    session.close()
    assert failed.value.reply.phase is Phase.DATA


def test_the_offers_of_ehlo_are_read_leniently() -> None:
    """Case, the legacy AUTH= form, and a SIZE of nothing or zero, which is no limit."""
    features = parse_features("mx.example Hello\npipelining\nAUTH=login PLAIN\nSize 1000\n\n8BITMIME")

    assert features.is_pipelining
    assert features.mechanisms == {"LOGIN", "PLAIN"}
    assert features.size == 1000
    assert parse_features("x\nSIZE").size is None
    assert parse_features("x\nSIZE 0").size is None
    assert not parse_features("PIPELINING").is_pipelining
