"""A real Postfix as our relay: TLS, log-in, and its own words of refusal at each step (B3, O8)."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from notifier.channels.smtp import SmtpChannel, SmtpRelay
from notifier.errors import Fault, PermanentFailure, Phase, SendError, TemporaryFailure
from notifier.messages import Accepted, Rendered
from tests.contracts.certificate import write_certificate
from tests.contracts.mails import mail
from tests.mta import Postfix, running_dovecot, running_postfix

USERS = {"shop": "a word of ours"}
SENDERS = (
    "inline:{ {blocked@example.com = 550 5.7.1 You are blocked}, {later@example.com = 451 4.3.0 Later} }"
)
RECIPIENTS = """inline:{
  {unknown@local.example = 550 5.1.1 User unknown}, {full@local.example = 452 4.2.2 Mailbox full},
  {gray@local.example = 450 4.2.0 Greylisted, try again in 60 seconds},
  {spam@local.example = 550 5.7.1 Blocked for spam}, {fast@local.example = 450 4.7.1 Too many messages, slow down}}"""
TEMPORARY, PERMANENT = TemporaryFailure, PermanentFailure
AT_DATA = (
    "inline:{ {data-never@example.com = 554 5.7.0 Not this}, {data-later@example.com = 451 4.3.0 Not now} }"
)


@pytest.fixture(scope="module")
def certificate() -> Iterator[Path]:
    """A certificate for 127.0.0.1 that vouches for itself, readable by Postfix."""
    with tempfile.TemporaryDirectory(prefix="notifier-tls-") as name:
        Path(name).chmod(0o755)
        yield write_certificate(Path(name))


@pytest.fixture(scope="module")
def postfix(certificate: Path) -> Iterator[Postfix]:
    """A relay that wants TLS and a password, and refuses some."""
    checks = certificate.with_name("header_checks")
    checks.write_text("/^Subject: .*lottery/ REJECT 5.7.1 Looks like spam\n")
    with (
        running_dovecot(USERS) as socket,
        running_postfix(
            mynetworks="",
            smtpd_tls_cert_file=str(certificate), smtpd_tls_key_file=str(certificate),
            smtpd_tls_security_level="encrypt", smtpd_tls_auth_only="yes", smtpd_sasl_auth_enable="yes",
            smtpd_sasl_type="dovecot", smtpd_sasl_path=str(socket),
            smtpd_helo_required="yes",
            smtpd_helo_restrictions="check_helo_access inline:{ {bad.example = 550 5.7.1 Bad name} }",
            smtpd_sender_restrictions=f"check_sender_access {SENDERS}",
            smtpd_relay_restrictions="permit_sasl_authenticated, reject",
            smtpd_recipient_restrictions=f"check_recipient_access {' '.join(RECIPIENTS.split())}",
            smtpd_data_restrictions=f"check_sender_access {AT_DATA}",
            header_checks=f"regexp:{checks}", message_size_limit="20000", local_transport="discard:",
        ) as server,
    ):  # fmt: skip
        yield server


def send(postfix: Postfix, certificate: Path, relay: dict[str, object], **changes: object) -> Accepted:
    """Send one mail to it."""
    values: dict[str, object] = {
        "name": "test", "host": "127.0.0.1", "port": postfix.port, "security": "starttls", "ca_file": certificate,
        "username": "shop", "password": USERS["shop"], "helo": "shop.example.com", "connect_seconds": 5,
        "login_seconds": 10, "command_seconds": 10, "data_seconds": 10, "dot_seconds": 10, **relay,
    }  # fmt: skip
    channel = SmtpChannel(SmtpRelay(**values))  # type: ignore[arg-type]
    session = channel.open()
    try:
        return session.send(channel.prepare(mail(**{"to": "ann@local.example", **changes})))
    finally:
        session.close()


def test_a_mail_goes_out_encrypted_and_logged_in(postfix: Postfix, certificate: Path) -> None:
    """Postfix says under which name it queued it, and by whom it came."""
    accepted = send(postfix, certificate, {})

    assert accepted.reply.code == 250
    assert accepted.reply.remote_id is not None
    client = "client=localhost[127.0.0.1], sasl_method=PLAIN, sasl_username=shop"
    assert f"{accepted.reply.remote_id}: {client}" in postfix.log


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"sender": "blocked@example.com"}, (PERMANENT, Fault.SENDER, Phase.MAIL, 550)),
        # Postfix says "Sender address rejected" whatever the map has it say besides.
        ({"sender": "later@example.com"}, (TEMPORARY, Fault.SENDER, Phase.MAIL, 451)),
        ({"to": "unknown@local.example"}, (PERMANENT, Fault.RECIPIENT, Phase.RCPT, 550)),
        ({"to": "full@local.example"}, (TEMPORARY, Fault.MAILBOX, Phase.RCPT, 452)),
        ({"to": "gray@local.example"}, (TEMPORARY, Fault.PROVIDER, Phase.RCPT, 450)),
        ({"to": "spam@local.example"}, (PERMANENT, Fault.SENDER, Phase.RCPT, 550)),
        ({"to": "fast@local.example"}, (TEMPORARY, Fault.RATE, Phase.RCPT, 450)),
        ({"sender": "data-never@example.com"}, (PERMANENT, Fault.SENDER, Phase.DATA, 554)),
        ({"sender": "data-later@example.com"}, (TEMPORARY, Fault.SENDER, Phase.DATA, 451)),
        # It tells its limit in the greeting, so nothing is sent.
        ({"text": "far too long " * 3000}, (PERMANENT, Fault.CONTENT, Phase.LOCAL, None)),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_postfix_refuses_is_put_right(
    postfix: Postfix, certificate: Path, changes: dict[str, object], told: tuple[object, ...]
) -> None:
    """Whose fault it is, and whether it may pass, by Postfix's own replies at each step."""
    with pytest.raises(SendError) as failed:
        send(postfix, certificate, {}, **changes)

    error = failed.value
    assert (type(error), error.fault, error.reply.phase, error.reply.code) == told


def test_content_is_refused_behind_the_final_dot(postfix: Postfix, certificate: Path) -> None:
    """header_checks look at the mail itself."""
    with pytest.raises(PermanentFailure) as failed:
        send(postfix, certificate, {}, content=Rendered(subject="You won the lottery", text="Hello"))

    assert (failed.value.reply.phase, failed.value.reply.enhanced) == (Phase.DOT, "5.7.1")


@pytest.mark.parametrize(
    ("relay", "fault"),
    [
        ({"password": "another"}, Fault.CREDENTIALS),
        ({"username": None, "password": None}, Fault.SENDER),
        ({"ca_file": None}, Fault.TLS),
        ({"helo": "bad.example"}, Fault.SENDER),
    ],
)
def test_what_is_wrong_with_us_is_no_recipients_fault(
    postfix: Postfix, certificate: Path, relay: dict[str, object], fault: Fault
) -> None:
    """Password, certificate, name: nobody is suppressed for it."""
    with pytest.raises(SendError) as failed:
        send(postfix, certificate, relay)

    assert failed.value.fault is fault
