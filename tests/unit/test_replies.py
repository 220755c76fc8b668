"""What each SMTP reply means: one table of replies as servers write them."""

import re
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.delivery.replies import RETRY_AFTER_LIMIT, classify, packaged_rules, retry_after
from notifier.errors import Fault, PermanentFailure, Phase, Reply, TemporaryFailure
from notifier.inbound import report as inbound
from notifier.inbound.reasons import Evidence, ordinary, rules

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
    (Phase.RCPT, "450 4.2.1 The user is receiving mail too quickly", T, Fault.RATE, "recipient-rate"),
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
    (Phase.RCPT, "550 Requested mail action aborted: exceeded storage allocation", T, Fault.MAILBOX, "mailbox-full"),
    (Phase.RCPT, "554 delivery error: dd This user has insufficient storage", T, Fault.MAILBOX, "mailbox-full"),
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
    (Phase.RCPT, "550 5.7.1 Service unavailable; client host blocked", P, Fault.SENDER, "reputation"),
    (Phase.DOT, "554 5.7.1 Spam message rejected", P, Fault.SENDER, "spam"),
    (Phase.MAIL, "553 5.1.8 Sender address rejected", P, Fault.SENDER, "sender-address"),
    (Phase.RCPT, "550 5.1.7 Bad sender's mailbox address", P, Fault.SENDER, "sender-address"),
    (Phase.MAIL, "550 No", P, Fault.SENDER, "sender-refused"),
    # the recipient
    (Phase.RCPT, "550 5.1.1 <bob@example.org>: no such user", P, Fault.RECIPIENT, "unknown-recipient"),
    (Phase.RCPT, "550 5.7.1 User unknown", P, Fault.RECIPIENT, "unknown-recipient"),
    (Phase.DOT, "550 5.1.1 No such user", P, Fault.RECIPIENT, "unknown-recipient"),
    (Phase.RCPT, "550 5.1.2 Host unknown", P, Fault.RECIPIENT, "unknown-domain"),
    (Phase.RCPT, "550 5.1.10 Recipient not found", P, Fault.RECIPIENT, "unknown-recipient"),
    (Phase.RCPT, "550 #5.1.0 Address rejected.", P, Fault.RECIPIENT, "recipient-refused"),
    (Phase.RCPT, "550 5.2.1 The email account is disabled", P, Fault.RECIPIENT, "mailbox-disabled"),
    (Phase.RCPT, "550 5.4.1 Recipient address rejected: Access denied", P, Fault.RECIPIENT, "unknown-recipient"),
    (Phase.RCPT, "550 5.7.17 Mailbox owner has changed", P, Fault.RECIPIENT, "recipient-changed"),
    (Phase.RCPT, "550 5.5.0 Requested action not taken", P, Fault.RECIPIENT, "recipient-refused"),
    (Phase.RCPT, "550 Requested action not taken: mailbox unavailable", P, Fault.RECIPIENT, "unknown-recipient"),
    (Phase.RCPT, "550 5.5.0 Requested action not taken: mailbox unavailable (S2017062302). [AM0 2026-11-22T10:00:00Z]",
     P, Fault.RECIPIENT, "unknown-recipient"),
    (Phase.RCPT, "550 Requested action not taken: mailbox unavailable\nFailure sending mail. Try again later", P,
     Fault.RECIPIENT, "recipient-refused"),
    (Phase.RCPT, "550 5.2.0 Mailbox unavailable", P, Fault.RECIPIENT, "recipient-refused"),
    (Phase.RCPT, "550 Mailbox temporarily unavailable", P, Fault.RECIPIENT, "recipient-refused"),
    (Phase.RCPT, "550 Mailbox unavailable or access denied - <bob@example.org>", P, Fault.RECIPIENT,
     "recipient-refused"),
    (Phase.RCPT, "450 Requested mail action not taken: mailbox unavailable", T, Fault.PROVIDER, "transient"),
    (Phase.RCPT, "550 Mailbox unavailable: 192.0.2.1 is blocked by our policy", P, Fault.SENDER, "reputation"),
    (Phase.RCPT, "550 5.7.1 Requested action not taken: mailbox unavailable", P, Fault.SENDER, "policy"),
    (Phase.DOT, "550 Request failed; Mailbox unavailable", P, Fault.CONTENT, "content-refused"),
    (Phase.RCPT, "501 5.1.3 Bad recipient address syntax", P, Fault.RECIPIENT, "address-syntax"),
    (Phase.RCPT, "550 No", P, Fault.RECIPIENT, "recipient-refused"),
    # the provider
    (Phase.DOT, "554 5.3.2 System not accepting network messages", P, Fault.PROVIDER, "provider"),
    (Phase.DOT, "554 5.4.6 Routing loop detected", P, Fault.PROVIDER, "provider"),
    (Phase.MAIL, "503 5.5.1 Error: nested MAIL command", T, Fault.PROVIDER, "protocol"),
    (Phase.DATA, "503 5.5.1 Bad sequence of commands", T, Fault.PROVIDER, "protocol"),
    # by words, where the code says little
    (Phase.RCPT, "421 4.7.0 TLS required for RCPT domain, closing connection", T, Fault.TLS, "tls-wanted"),
    (Phase.MAIL, "503 5.5.1 Error: authentication required", P, Fault.CREDENTIALS, "credentials"),
    (Phase.MAIL, "421 4.7.1 [TS03] All messages from 192.0.2.1 will be permanently deferred; Retrying will NOT succeed",
     P, Fault.SENDER, "reputation"),
    (Phase.DOT, "454 Throttling failure: Daily message quota exceeded.", T, Fault.RATE, "daily-quota"),
    (Phase.RCPT, "550 Domain example.com has exceeded the max emails per hour (60/50)", T, Fault.RATE, "daily-quota"),
    (Phase.RCPT, "550 5.2.1 The user you are trying to contact is receiving mail at a rate that prevents more",
     T, Fault.RATE, "recipient-rate"),
    (Phase.RCPT, "550 5.2.122 The recipient has exceeded their limit", T, Fault.RATE, "recipient-rate"),
    (Phase.DOT, "432 4.3.2 STOREDRV.Deliver; recipient thread limit exceeded", T, Fault.RATE, "recipient-rate"),
    (Phase.RCPT, "451 4.7.652 The mail server has exceeded the maximum number of connections", T, Fault.RATE,
     "rate-limited"),
    (Phase.MAIL, "421 Service not available", T, Fault.PROVIDER, "service-unavailable"),
    (Phase.RCPT, "451 4.4.1 Connection timed out", T, Fault.NETWORK, "unreachable"),
    (Phase.RCPT, "452 4.2.2 The recipient's inbox is out of storage space", T, Fault.MAILBOX, "mailbox-full"),
    (Phase.RCPT, "550 User's mailbox is over quota", T, Fault.MAILBOX, "mailbox-full"),
    (Phase.DOT, "550 5.2.3 RESOLVER.RST.RecipSizeLimit; message too large for this recipient", P, Fault.CONTENT,
     "too-large"),
    (Phase.DOT, "550 5.7.1 This type of attachment is not allowed: executable", P, Fault.CONTENT, "blocked-content"),
    (Phase.DOT, "550 5.7.30 DKIM authentication did not pass", P, Fault.SENDER, "authentication"),
    (Phase.RCPT, "550 5.7.27 Sender address has null MX", P, Fault.SENDER, "authentication"),
    (Phase.MAIL, "550 SPF check failed", P, Fault.SENDER, "authentication"),
    (Phase.RCPT, "450 4.7.1 Client host rejected: cannot find your hostname", T, Fault.SENDER, "reverse-dns"),
    (Phase.RCPT, "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org", P,
     Fault.SENDER, "reputation"),
    (Phase.MAIL, "550 5.7.1 Messages from [192.0.2.1] weren't sent. Part of their network is on our block list",
     P, Fault.SENDER, "reputation"),
    (Phase.RCPT, "550 5.7.606 Access denied, banned sending IP", P, Fault.SENDER, "reputation"),
    (Phase.DOT, "554 Message not allowed - [299] Delivery not attempted for policy reasons", P, Fault.SENDER, "policy"),
    (Phase.RCPT, "550 5.1.1 Sender address rejected: not known", P, Fault.SENDER, "sender-address"),
    (Phase.RCPT, "550 Sender verify failed", P, Fault.SENDER, "sender-address"),
    (Phase.RCPT, "550 5.2.1 The email account is no longer available", P, Fault.RECIPIENT, "mailbox-gone"),
    (Phase.RCPT, "554 This account has been deleted", P, Fault.RECIPIENT, "mailbox-gone"),
    (Phase.DOT, "554 delivery error: dd This user doesn't have a yahoo.com account (x@yahoo.com) [0]", P,
     Fault.RECIPIENT, "unknown-recipient"),
    (Phase.RCPT, "550 5.1.1 The email account that\n5.1.1 you tried to reach does not\n5.1.1 exist.", P,
     Fault.RECIPIENT, "unknown-recipient"),
    (Phase.RCPT, "550 sorry, no mailbox here by that name. (#5.1.1)", P, Fault.RECIPIENT, "unknown-recipient"),
    (Phase.RCPT, "550 5.7.1 <spam@example.org>: Recipient address rejected: User unknown", P, Fault.RECIPIENT,
     "unknown-recipient"),
    (Phase.RCPT, "550 <blocked.policy@dkim.example>: unknown user", P, Fault.RECIPIENT, "unknown-recipient"),
    (Phase.RCPT, "556 5.1.10 Domain does not accept mail (null MX)", P, Fault.RECIPIENT, "unknown-domain"),
    (Phase.RCPT, "556 No", P, Fault.RECIPIENT, "unknown-domain"),
    (Phase.RCPT, "550 5.4.310 DNS domain example.invalid does not exist", P, Fault.RECIPIENT, "unknown-domain"),
    (Phase.RCPT, "550 5.4.4 No route", P, Fault.RECIPIENT, "unroutable"),
    (Phase.RCPT, "551 User not local; please try <bob@example.net>", P, Fault.RECIPIENT, "moved"),
    (Phase.RCPT, "550 5.1.6 Mailbox has moved", P, Fault.RECIPIENT, "moved"),
    (Phase.RCPT, "550 Account suspended", P, Fault.RECIPIENT, "mailbox-disabled"),
    (Phase.RCPT, "550 Unrouteable address", P, Fault.RECIPIENT, "unknown-recipient"),
    (Phase.RCPT, "550 Der Empfänger ist unbekannt", P, Fault.RECIPIENT, "unknown-recipient"),
    (Phase.DOT, "552 1 Requested mail action aborted, mailbox not found", P, Fault.RECIPIENT, "unknown-recipient"),
    (Phase.RCPT, "554 5.4.4 Unable to route: no mail hosts for domain", P, Fault.RECIPIENT, "unknown-domain"),
    (Phase.RCPT, "550 bob@example.org is no longer with the company", P, Fault.RECIPIENT, "mailbox-gone"),
    (Phase.RCPT, "550 bob@example.org: inactive user", P, Fault.RECIPIENT, "mailbox-disabled"),
    (Phase.RCPT, "550 Mailbox for bob@example.org is full", T, Fault.MAILBOX, "mailbox-full"),
    (Phase.DOT, "554 Message rejected: Email address is not verified.", P, Fault.SENDER, "sender-address"),
    (Phase.RCPT, "550 Administrative prohibition", P, Fault.SENDER, "policy"),
    (Phase.RCPT, "503 5.5.1 Bad sequence of commands", T, Fault.PROVIDER, "protocol"),
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
        ("Greylisting in action, please come back in 00:05:00", 300),
        ("Server busy, closing the connection 2026-11-22 14:22:01", None),
        ("try again later; Sun, 22 Nov 2026 14:22:01 +0100", None),
        ("try again later; 14:22:01", None),
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


DEAD = [
    "550 5.1.1 no such user", "550 User unknown", "550 5.7.1 User unknown", "550 5.1.2 Host unknown",
    "550 5.1.10 RESOLVER.ADR.RecipientNotFound; not found", "556 5.1.10 null MX", "556 Domain takes no mail",
    "550 5.1.6 moved", "551 User not local", "550 5.2.1 This mailbox was permanently disabled",
    "550 5.4.1 Recipient address rejected: Access denied", "550 5.7.17 Mailbox owner has changed",
]  # fmt: skip
ALIVE = [
    "552 5.2.2 Mailbox full", "550 Mailbox is full", "550 5.2.1 disabled", "550 Account suspended", "550 No",
    "550 5.7.1 blocked", "550 5.7.26 DMARC", "550 5.7.27 Sender address has null MX", "550 5.1.3 Bad address syntax",
    "550 5.1.1 User unknown; your IP is listed at Spamhaus", "550 5.1.1 rejected for policy reasons",
    "550 5.1.8 Access denied, bad outbound sender", "450 5.1.1 User unknown", "450 4.1.1 User unknown",
    "550 Mailbox unavailable for now, try again later", "550 5.4.1 No answer from host", "554 Transaction failed",
    "550 5.1.1 Sender address rejected: User unknown", "550 5.4.6 Loop", "550 5.6.0 Content", "530 5.7.0 Log in",
]  # fmt: skip


@pytest.mark.parametrize("said", DEAD)
def test_an_address_that_is_dead_is_hard(said: str) -> None:
    """Once the recipient was named; before that, nobody was judged yet."""
    reply = {"code": int(said[:3]), "text": said[4:]}
    failures = [classify(Reply(phase=phase, **reply)) for phase in (Phase.RCPT, Phase.DOT, Phase.MAIL)]  # type: ignore[arg-type]

    assert [failure is not None and failure.is_hard for failure in failures] == [True, True, False]


@pytest.mark.parametrize("said", ALIVE)
@pytest.mark.parametrize("phase", [Phase.MAIL, Phase.RCPT, Phase.DOT])
def test_an_address_that_may_live_is_not(said: str, phase: Phase) -> None:
    """Full, disabled, blocked, or the code says for now: no reason never to write again."""
    failure = classify(Reply(phase=phase, code=int(said[:3]), text=said[4:]))

    assert failure is not None
    assert not failure.is_hard


@pytest.mark.parametrize(
    ("said", "is_hard"),
    [
        ("550 Requested action not taken: mailbox unavailable", True),
        ("550 5.5.0 Requested action not taken: mailbox unavailable (S2017062302)", True),
        ("550 <bob@example.org>: mailbox unavailable", True),
        ("550 Requested action not taken: mailbox unavailable Failure sending mail. Try again later", False),
        ("550 Mailbox temporarily unavailable", False),
        ("550 Mailbox unavailable: 192.0.2.1 is blocked by our policy", False),
        ("550 5.1.1 User unknown", True),
        ("550 5.7.27 Sender address has null MX", False),
        ("550 Account suspended", False),
    ],
)
def test_a_server_s_words_are_as_hard_in_a_reply_as_in_a_mail(said: str, *, is_hard: bool) -> None:
    """Whether a relay passes the refusal on at once, or sends it back later, the address fares alike."""
    code, text = int(said[:3]), said[4:]
    status = next(iter(re.findall(r"^5\.\d+\.\d+", text)), None)

    replied = classify(Reply(phase=Phase.RCPT, code=code, text=text))
    mailed = rules().reason(Evidence(said=ordinary(said), status=status, code=code, phase=inbound.Phase.RCPT))

    assert replied is not None
    assert (replied.is_hard, rules().is_hard(mailed, status, code)) == (is_hard, is_hard)


def test_every_reason_of_the_rules_has_its_example() -> None:
    """A rule nobody tried says what nobody knows."""
    assert {rule.reason for rule in packaged_rules()} == {row[4] for row in TABLE}


codes = st.integers(400, 599)
enhanced_codes = st.none() | st.from_regex(r"[245]\.[0-9]{1,3}\.[0-9]{1,3}", fullmatch=True)
phases = st.sampled_from(Phase)
WORDS = [
    "user unknown", "mailbox full", "quota", "blocked", "policy", "spamhaus", "rate limit", "greylisted", "sender",
    "recipient", "does not exist", "<bob@example.org>", "5.1.1", "4.7.0", "disabled", "closed", "null mx", "\n", "@",
    "é", "relay denied", "tls required", "retrying will not succeed", "\ud800", "\0", "try again in 5 minutes",
]  # fmt: skip
texts = st.text(max_size=80) | st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join)


@settings(deadline=None, max_examples=300)
@given(code=codes, enhanced=enhanced_codes, phase=phases, text=texts)
def test_any_reply_gives_one_verdict(code: int, enhanced: str | None, phase: Phase, text: str) -> None:
    """A 4 is never for good unless a rule says so; hard is for good, the recipient's, and said of a recipient."""
    reply = Reply(phase=phase, code=code, enhanced=enhanced, text=text)

    failure = classify(reply)

    assert type(failure) in {TemporaryFailure, PermanentFailure}
    assert failure is not None
    assert failure.reason in {rule.reason for rule in packaged_rules()}
    if code < 500 and isinstance(failure, PermanentFailure):
        assert "retrying will not succeed" in text.lower()
    if failure.is_hard:
        assert type(failure) is PermanentFailure
        assert failure.fault is Fault.RECIPIENT
        assert phase in {Phase.RCPT, Phase.DATA, Phase.DOT}
    again = classify(reply)
    assert (type(again), again and again.reason) == (type(failure), failure.reason)


@settings(deadline=None, max_examples=60)
@given(code=st.integers(200, 399), enhanced=enhanced_codes, phase=phases, text=texts)
def test_a_positive_reply_is_never_a_failure(
    code: int, enhanced: str | None, phase: Phase, text: str
) -> None:
    """Whatever it says."""
    assert classify(Reply(phase=phase, code=code, enhanced=enhanced, text=text)) is None


BLAME = [
    "blocked using zen.spamhaus.org", "your IP is on our block list", "poor reputation", "rejected for policy reasons",
    "local policy violation", "SPF check failed", "DMARC policy of example.com", "unsolicited mail", "spam detected",
    "administratively prohibited", "listed at dnsbl.example", "banned sending IP", "no reverse DNS", "user complaints",
]  # fmt: skip


@settings(deadline=None, max_examples=200)
@given(
    code=codes, enhanced=enhanced_codes, phase=phases, blame=st.sampled_from(BLAME),
    around=st.tuples(texts, texts),
)  # fmt: skip
def test_words_about_us_never_blame_the_recipient(
    code: int, enhanced: str | None, phase: Phase, blame: str, around: tuple[str, str]
) -> None:
    """Reputation and policy, whatever code and words stand around them."""
    text = f" {blame} ".join(around)

    failure = classify(Reply(phase=phase, code=code, enhanced=enhanced, text=text))

    assert failure is not None
    assert failure.fault is not Fault.RECIPIENT
    assert not failure.is_hard
