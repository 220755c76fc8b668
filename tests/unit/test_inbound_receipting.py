"""A report becomes receipts: one for each recipient, the same for the same report."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from notifier.inbound.reading import read_report
from notifier.inbound.reasons import REASONS, bounce_class, rules
from notifier.inbound.receipting import receipts_of
from notifier.inbound.report import MailReport, Original, RecipientReport, ReportKind
from notifier.receipts import BounceClass, ReceiptKind

NOW = datetime(2026, 11, 22, tzinfo=UTC)
MESSAGE = UUID("01a201d1-ccce-78e6-a474-899c8b11d596")
BOUNCE = b"""\
From: MAILER-DAEMON@mx.example (Mail Delivery System)
To: bounces+b1@sender.example
Message-ID: <report-1@mx.example>
Subject: Undelivered Mail Returned to Sender
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="p"

--p
Content-Type: text/plain

<jo@receiver.example>: host mx.receiver.example[192.0.2.1] said: 550 5.1.1
    <jo@receiver.example>: Recipient address rejected: User unknown (in reply to
    RCPT TO command)

<mo@receiver.example>: connect to mx.receiver.example[192.0.2.1]:25: Connection timed out

--p
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example

Final-Recipient: rfc822; jo@receiver.example
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 <jo@receiver.example>: Recipient address
    rejected: User unknown

Final-Recipient: rfc822; mo@receiver.example
Action: delayed
Status: 4.4.1
Diagnostic-Code: X-Postfix; connect to mx.receiver.example[192.0.2.1]:25: Connection timed out

--p
Content-Type: text/rfc822-headers

Return-Path: <bounces@sender.example>
Message-ID: <ours@sender.example>
Subject: Your order

--p--
"""


def test_a_bounce_says_who_why_and_of_which_message() -> None:
    """A failure is a bounce, a delay is not yet one."""
    failed, late = receipts_of(read_report(BOUNCE, received_at=NOW), message=MESSAGE)

    assert (failed.kind, failed.bounce, failed.reason) == (
        ReceiptKind.BOUNCED,
        BounceClass.HARD,
        "userunknown",
    )
    assert (failed.recipient, failed.status, failed.code) == ("jo@receiver.example", "5.1.1", 550)
    assert (failed.message, failed.message_id, failed.at) == (MESSAGE, "<ours@sender.example>", NOW)
    assert failed.source == "mail"
    assert (late.kind, late.bounce, late.reason) == (ReceiptKind.DEFERRED, None, "expired")


def test_the_same_report_again_has_the_same_keys() -> None:
    """However often and by whatever way it comes; other recipients have others."""
    first = receipts_of(read_report(BOUNCE, received_at=NOW))
    again = receipts_of(read_report(b"Received: by relay.example\n" + BOUNCE, received_at=datetime.now(UTC)))

    assert [one.key for one in first] == [one.key for one in again]
    assert len({one.key for one in first}) == 2


def test_the_report_tells_to_whom_it_was_sent() -> None:
    """So the return path's token can be read."""
    assert read_report(BOUNCE, received_at=NOW).sent_to == ("bounces+b1@sender.example",)


@pytest.mark.parametrize(
    ("feedback_type", "kind"),
    [
        ("abuse", ReceiptKind.COMPLAINED),
        ("fraud", ReceiptKind.COMPLAINED),
        ("opt-out", ReceiptKind.UNSUBSCRIBED),
        ("not-spam", None),
        ("auth-failure", None),
    ],
)
def test_only_a_recipients_own_verdict_is_a_complaint(feedback_type: str, kind: ReceiptKind | None) -> None:
    """A report about our DNS, or that a mail was no spam, silences nobody."""
    report = MailReport(
        kind=ReportKind.COMPLAINT,
        received_at=NOW,
        feedback_type=feedback_type,
        recipients=(RecipientReport(address="jo@receiver.example", reason="feedback"),),
    )

    assert [one.kind for one in receipts_of(report)] == ([kind] if kind else [])


@pytest.mark.parametrize(
    ("kind", "action", "expected"),
    [
        (ReportKind.AUTO_REPLY, "replied", [ReceiptKind.AUTO_REPLIED]),
        (ReportKind.OTHER, "delivered", [ReceiptKind.DELIVERED]),
        (ReportKind.OTHER, "relayed", []),
        (ReportKind.OTHER, "expanded", []),
    ],
)
def test_other_reports(kind: ReportKind, action: str, expected: list[ReceiptKind]) -> None:
    """Relayed and expanded promise nothing."""
    report = MailReport(
        kind=kind,
        received_at=NOW,
        original=Original(message_id="<ours@sender.example>"),
        recipients=(RecipientReport(address="jo@receiver.example", action=action),),
    )

    assert [one.kind for one in receipts_of(report)] == expected


@pytest.mark.parametrize(
    ("reason", "status", "code", "expected"),
    [
        ("userunknown", "4.1.1", 450, BounceClass.HARD),
        ("hostunknown", None, None, BounceClass.HARD),
        ("hasmoved", "5.1.6", 551, BounceClass.HARD),
        ("notaccept", "5.7.27", 550, BounceClass.HARD),
        ("notaccept", "4.0.0", None, BounceClass.SOFT),
        ("notaccept", None, 421, BounceClass.SOFT),
        ("mailboxfull", "5.2.2", 552, BounceClass.SOFT),
        ("suspend", "5.2.1", 550, BounceClass.SOFT),
        ("expired", "4.4.7", None, BounceClass.SOFT),
        ("blocked", "5.7.1", 550, BounceClass.BLOCK),
        ("authfailure", "5.7.26", 550, BounceClass.BLOCK),
        ("spamdetected", "5.7.1", 554, BounceClass.BLOCK),
        ("speeding", "4.7.28", 421, BounceClass.BLOCK),
    ],
)
def test_hard_follows_from_the_reason(
    reason: str, status: str | None, code: int | None, expected: BounceClass
) -> None:
    """Never from a 5.x status alone."""
    assert bounce_class(reason, hard=rules().is_hard(reason, status, code)) is expected


def test_every_rule_has_a_reason_of_the_list_and_says_its_source() -> None:
    """The packaged rules load, and every reason but those of silence can be reached."""
    reached = {rule.reason for rules_ in rules().lists.values() for rule in rules_}

    assert reached == REASONS - {"undefined"}
