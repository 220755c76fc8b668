"""What each SMTP reply means: one table of replies as servers write them."""

from datetime import timedelta

import pytest

from notifier.delivery.replies import RETRY_AFTER_LIMIT, classify, retry_after
from notifier.errors import Fault, PermanentFailure, Phase, Reply, TemporaryFailure

T, P = TemporaryFailure, PermanentFailure

TABLE = [
    # the session
    (Phase.GREETING, "554 No SMTP service here", T, Fault.SENDER, "refused-connection"),
    (Phase.GREETING, "421 4.3.2 Service shutting down", T, Fault.PROVIDER, "service-unavailable"),
    (Phase.EHLO, "550 Access denied - Invalid HELO name", T, Fault.SENDER, "refused-connection"),
    (Phase.TLS, "454 4.7.0 TLS not available due to local problem", T, Fault.TLS, "tls-refused"),
    (Phase.TLS, "502 5.5.1 Error: command not implemented", T, Fault.TLS, "tls-refused"),
    (Phase.MAIL, "530 5.7.0 Must issue a STARTTLS command first", T, Fault.TLS, "tls-wanted"),
    (Phase.MAIL, "550 5.7.10 Encryption needed", T, Fault.TLS, "tls-wanted"),
    (Phase.AUTH, "535 5.7.8 Authentication credentials invalid", P, Fault.CREDENTIALS, "credentials"),
    (Phase.AUTH, "535 Authentication failed", P, Fault.CREDENTIALS, "credentials"),
    (Phase.AUTH, "534 5.7.9 Mechanism is too weak", P, Fault.CREDENTIALS, "credentials"),
    (Phase.AUTH, "504 5.5.4 Unrecognized authentication type", P, Fault.CREDENTIALS, "credentials"),
    (Phase.AUTH, "454 4.7.0 Temporary authentication failure", T, Fault.PROVIDER, "auth-unavailable"),
    (Phase.AUTH, "454 4.7.0 Too many login attempts, please try again later", T, Fault.RATE, "rate-limited"),
    (Phase.MAIL, "530 5.7.0 Authentication required", P, Fault.CREDENTIALS, "credentials"),
    (Phase.RCPT, "530 5.7.0 Authentication required", P, Fault.CREDENTIALS, "credentials"),
    (Phase.RCPT, "554 5.7.1 <bob@example.org>: Relay access denied", P, Fault.SENDER, "relay-denied"),
    (Phase.RCPT, "550 5.7.1 Unable to relay", P, Fault.SENDER, "relay-denied"),
    (Phase.MAIL, "550 5.7.13 User account disabled", P, Fault.CREDENTIALS, "credentials"),
    (Phase.RCPT, "550 5.7.13 User account disabled", P, Fault.SENDER, "policy"),
    (Phase.RCPT, "550 5.7.10 Encryption needed", P, Fault.TLS, "tls-wanted"),
    # too fast
    (Phase.DOT, "421 4.7.28 Gmail has detected an unusual rate of mail", T, Fault.RATE, "rate-limited"),
    (Phase.RCPT, "450 4.2.1 The user is receiving mail too quickly", T, Fault.RATE, "rate-limited"),
    (Phase.GREETING, "421 4.7.0 [TSS04] Messages temporarily deferred", T, Fault.RATE, "rate-limited"),
    (Phase.MAIL, "451 4.7.650 The server has been rate limited", T, Fault.RATE, "rate-limited"),
    (Phase.MAIL, "421 Too many connections from your host", T, Fault.RATE, "rate-limited"),
    (Phase.RCPT, "452 4.5.3 Too many recipients", T, Fault.RATE, "rate-limited"),
    (Phase.DOT, "550 5.4.5 Daily user sending limit exceeded", T, Fault.RATE, "daily-quota"),
    # greylisting and passing trouble
    (Phase.RCPT, "450 4.2.0 <bob@example.org>: Greylisted, see postgrey", T, Fault.PROVIDER, "greylisted"),
    (Phase.RCPT, "451 4.7.1 Please try again later", T, Fault.PROVIDER, "greylisted"),
    (Phase.RCPT, "450 Requested mail action not taken", T, Fault.PROVIDER, "transient"),
    (Phase.RCPT, "450 4.1.1 unverified address: unknown user", T, Fault.PROVIDER, "transient"),
    (Phase.DOT, "451 4.3.0 Error: queue file write error", T, Fault.PROVIDER, "transient"),
    (Phase.MAIL, "452 4.3.1 Insufficient system storage", T, Fault.PROVIDER, "transient"),
    (Phase.MAIL, "421 4.4.2 Idle timeout", T, Fault.PROVIDER, "service-unavailable"),
    (Phase.DOT, "451 4.7.26 DMARC check is temporarily impossible", T, Fault.SENDER, "authentication"),
    (Phase.DOT, "451 4.7.5 Cryptographic failure", T, Fault.SENDER, "policy-deferred"),
    (Phase.MAIL, "450 4.1.8 Sender address rejected: Domain not found", T, Fault.SENDER, "sender-address"),
    # the mailbox
    (Phase.DOT, "552 5.2.2 Mailbox full", T, Fault.MAILBOX, "mailbox-full"),
    (Phase.RCPT, "452 4.2.2 The email account is over quota", T, Fault.MAILBOX, "mailbox-full"),
    (Phase.RCPT, "552 Exceeded storage allocation", T, Fault.MAILBOX, "mailbox-full"),
    (Phase.RCPT, "550 The mailbox is full", T, Fault.MAILBOX, "mailbox-full"),
    # the content
    (Phase.MAIL, "552 5.3.4 Message size exceeds fixed limit", P, Fault.CONTENT, "too-large"),
    (Phase.MAIL, "552 Message exceeds fixed maximum", P, Fault.CONTENT, "too-large"),
    (Phase.DOT, "552 Message too big", P, Fault.CONTENT, "too-large"),
    (Phase.DOT, "552 5.7.0 Blocked: its content is a threat", P, Fault.CONTENT, "blocked-content"),
    (Phase.DOT, "550 5.7.1 Virus found", P, Fault.CONTENT, "blocked-content"),
    (Phase.DOT, "554 5.6.0 Message content rejected", P, Fault.CONTENT, "content"),
    (Phase.DOT, "554 Transaction failed", P, Fault.CONTENT, "content-refused"),
    (Phase.DATA, "554 Transaction failed", P, Fault.CONTENT, "content-refused"),
    # the sender
    (Phase.DOT, "550 5.7.26 Unauthenticated mail, DMARC", P, Fault.SENDER, "authentication"),
    (Phase.DOT, "550 5.7.515 Access denied, must pass DMARC", P, Fault.SENDER, "authentication"),
    (Phase.RCPT, "550 5.7.1 Service unavailable; client host blocked", P, Fault.SENDER, "policy"),
    (Phase.DOT, "554 5.7.1 Spam message rejected", P, Fault.SENDER, "policy"),
    (Phase.MAIL, "553 5.1.8 Sender address rejected", P, Fault.SENDER, "sender-address"),
    (Phase.RCPT, "550 5.1.7 Bad sender's mailbox address", P, Fault.SENDER, "sender-address"),
    (Phase.MAIL, "550 No", P, Fault.SENDER, "sender-refused"),
    # the recipient
    (Phase.RCPT, "550 5.1.1 <bob@example.org>: no such user", P, Fault.RECIPIENT, "unknown-recipient"),
    (Phase.RCPT, "550 5.7.1 User unknown", P, Fault.RECIPIENT, "unknown-recipient"),
    (Phase.DOT, "550 5.1.1 No such user", P, Fault.RECIPIENT, "unknown-recipient"),
    (Phase.RCPT, "550 5.1.2 Host unknown", P, Fault.RECIPIENT, "unknown-recipient"),
    (Phase.RCPT, "550 5.1.10 Recipient not found", P, Fault.RECIPIENT, "unknown-recipient"),
    (Phase.RCPT, "550 #5.1.0 Address rejected.", P, Fault.RECIPIENT, "recipient-refused"),
    (Phase.RCPT, "550 5.2.1 The email account is disabled", P, Fault.RECIPIENT, "mailbox-disabled"),
    (Phase.RCPT, "550 5.4.1 Recipient address rejected: Access denied", P, Fault.RECIPIENT, "unroutable"),
    (Phase.RCPT, "550 5.7.17 Mailbox owner has changed", P, Fault.RECIPIENT, "recipient-changed"),
    (Phase.RCPT, "550 5.5.0 Requested action not taken", P, Fault.RECIPIENT, "recipient-refused"),
    (Phase.RCPT, "501 5.1.3 Bad recipient address syntax", P, Fault.RECIPIENT, "unknown-recipient"),
    (Phase.RCPT, "550 No", P, Fault.RECIPIENT, "recipient-refused"),
    # the provider
    (Phase.DOT, "554 5.3.2 System not accepting network messages", P, Fault.PROVIDER, "provider"),
    (Phase.DOT, "554 5.4.6 Routing loop detected", P, Fault.PROVIDER, "provider"),
    (Phase.MAIL, "503 5.5.1 Error: nested MAIL command", T, Fault.PROVIDER, "protocol"),
    (Phase.DATA, "503 5.5.1 Bad sequence of commands", T, Fault.PROVIDER, "protocol"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("phase", "said", "kind", "fault", "reason"), TABLE, ids=lambda value: str(value)[:40]
)
def test_a_reply_means_what_the_table_says(
    phase: Phase, said: str, kind: type, fault: Fault, reason: str
) -> None:
    """Code, enhanced code, phase and text together decide; the text never enters the message."""
    code, _, text = said.partition(" ")

    failure = classify(Reply(phase=phase, code=int(code), text=text))

    assert type(failure) is kind
    assert failure is not None
    assert (failure.fault, failure.reason) == (fault, reason)
    assert failure.reply.text == text
    assert str(failure).startswith(f"the server answered {code}")
    assert "bob@example.org" not in str(failure)


@pytest.mark.parametrize("code", [200, 220, 250, 251, 334, 354])
def test_a_success_is_no_failure(code: int) -> None:
    """Positive and intermediate replies are not classified."""
    assert classify(Reply(phase=Phase.DOT, code=code, text="5.1.1 quota exceeded")) is None


@pytest.mark.parametrize("code", [None, 0, 99, 199, 600, 999])
def test_a_code_outside_the_protocol_is_the_providers_fault(code: int | None) -> None:
    """Garbage may be better the next time."""
    failure = classify(Reply(phase=Phase.MAIL, code=code))

    assert type(failure) is TemporaryFailure
    assert failure.fault is Fault.PROVIDER


def test_a_parsed_enhanced_code_wins_over_the_text() -> None:
    """The reply's own field is what the reader of the wire found."""
    failure = classify(Reply(phase=Phase.RCPT, code=550, enhanced="5.7.1", text="5.1.1 blocked"))

    assert failure is not None
    assert failure.fault is Fault.SENDER


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("4.7.1 Try again in 300 seconds", 300),
        ("Greylisted, please retry after 5 minutes", 300),
        ("Greylisting in action, please come back in 00:04:59", 299),
        ("Greylisted for 120 s", 120),
        ("please wait 1 hour", 3600),
        ("try again in 2m", 120),
        ("try again later", None),
        ("retry in 0 seconds", None),
        ("queue id 12345 in 5 parts", None),
        ("try again in 999999 hours", RETRY_AFTER_LIMIT.total_seconds()),
    ],
)
def test_a_wait_asked_for_in_words_is_understood(text: str, seconds: float | None) -> None:
    """Seconds, minutes, hours or a clock; never longer than the limit."""
    expected = None if seconds is None else timedelta(seconds=seconds)

    assert retry_after(text) == expected
    failure = classify(Reply(phase=Phase.RCPT, code=451, text=text))
    assert isinstance(failure, TemporaryFailure)
    assert failure.retry_after == expected
