"""Which mails ask for nothing since no person sent them: by envelope and header, never by what a person wrote."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.inbound.machines import machine_sign

HOPS = "Received: from a by b; Mon, 4 May 2026 12:00:00 +0000\n"


def sign(header: str, *, path: str = "ann@example.org", body: str = "") -> str | None:
    """Return the sign of a mail as the listener has it."""
    mail = f"Return-Path: <{path}>\nFrom: Ann <ann@example.org>\n{header}\n\n{body}"
    return machine_sign(mail.replace("\n", "\r\n").encode())


@pytest.mark.parametrize(
    ("header", "body"),
    [
        ("Subject: unsubscribe", ""),
        ("Subject: ", "Undelivered Mail Returned to Sender"),
        ("Subject: Re: your mails", "I am out of office, and this is an automatic reply."),
        ("Subject: Delivery Status Notification (Failure)", "550 5.1.1 user unknown"),
        ("X-Mailer: Mail", "<html>"),
        ("Auto-Submitted: no", ""),
        ("Auto-Submitted: no; comment=typed", ""),
        ("X-Spam-Flag: NO\nX-Spam-Status: No, score=-1.9\nX-MS-Exchange-Organization-SCL: 1", ""),
        (f"Delivered-To: u1@x.example\nDelivered-To: u2@x.example\n{HOPS * 12}", ""),
        ("Content-Type: multipart/alternative; boundary=report", ""),
        ("Reply-To: Bouncers & Postmasters Ltd <sales@bouncers.example>", ""),
        ("Precedence: first-class", ""),
    ],
)
def test_a_persons_mail_asks_whatever_is_in_it(header: str, body: str) -> None:
    """Mail programs write any subject, people any body."""
    assert sign(header, body=body) is None


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("Auto-Submitted: auto-replied", "automatic"),
        ("Auto-Submitted: auto-generated (rule)", "automatic"),
        ("AUTO-SUBMITTED: Auto-Notified; owner-email=a@b", "automatic"),
        ("Auto-Submitted: notification", "automatic"),
        ("X-Autoreply: yes", "automatic"),
        ("Precedence: auto_reply", "automatic"),
        ("Subject: Out of office: your mail", "automatic"),
        ("Content-Type: multipart/report; report-type=delivery-status; boundary=b", "report"),
        ("Content-Type: multipart/report; report-type=disposition-notification", "report"),
        ("X-Failed-Recipients: bob@example.org", "report"),
        ("Precedence: bulk", "mailing list"),
        ("List-Id: <news.example.org>", "mailing list"),
        ("List-Unsubscribe: <https://example.org>", "mailing list"),
        ("X-Spam-Flag: YES", "spam"),
        ("X-Spam-Status: Yes, score=9.1 required=5.0", "spam"),
        ("X-Spam: Yes", "spam"),
        ("X-MS-Exchange-Organization-SCL: 6", "spam"),
        (HOPS * 50, "loop"),
        ("Delivered-To: u1@x.example\nDelivered-To: U1@x.example", "loop"),
        ("X-Loop: u1@x.example", "loop"),
    ],
)
def test_a_machines_mail_asks_for_nothing(header: str, reason: str) -> None:
    """Each sign alone is enough."""
    assert sign(header.rstrip("\n")) == reason


@pytest.mark.parametrize(
    "path", ["", "MAILER-DAEMON", "mailer-daemon@mx.example.org", "Mailerdaemon@example.org"]
)
def test_a_mail_that_wants_no_answer_asks_for_nothing(path: str) -> None:
    """Reports and machines' answers have an empty return path (RFC 5321 §4.5.5, RFC 3834 §3.3)."""
    assert sign("Subject: unsubscribe", path=path) == "no sender"


def test_a_mail_systems_own_mail_is_a_report() -> None:
    """By its From, where its envelope has a sender all the same."""
    mail = b"Return-Path: <bounces@example.org>\r\nFrom: Mail Delivery System <MAILER-DAEMON@mx.example.org>\r\n\r\n"

    assert machine_sign(mail) == "report"


def test_a_postmaster_is_a_person() -> None:
    """Who may have subscribed to something."""
    assert sign("Subject: unsubscribe", path="postmaster@example.org") is None


@settings(deadline=None, max_examples=100)
@given(mail=st.binary(max_size=300))
def test_no_bytes_raise(mail: bytes) -> None:
    """Anybody may send anything."""
    assert (
        machine_sign(b"Return-Path: <ann@example.org>\r\n" + mail) is None or machine_sign(mail) is not None
    )
