"""Postmark's webhooks, after developer/webhooks/* and developer/api/bounce-api#bounce-types."""

from typing import Any
from uuid import uuid4

import pytest

from notifier.inbound.callbacks.base import Malformed, NoCredentials, Reading, Trust
from notifier.inbound.callbacks.postmark import PostmarkReader
from notifier.receipts import BounceClass, ReceiptKind
from notifier.tokens import message_id_of, mint_message_id, reference_of
from tests.callbacks import basic, callback, postmark

READER = PostmarkReader(Trust(source="pm", user="hook", password="s3cret"))
LOGIN = basic("hook", "s3cret")


def read(record: str, **fields: Any) -> Reading:
    """Read an event that is logged in well."""
    return READER.read(callback(postmark(record, **fields), authorization=LOGIN))


def bounce(kind: str, **fields: Any) -> Reading:
    """Read a bounce."""
    made = {
        "ID": 4323372036854775807, "Type": kind, "TypeCode": 1, "Name": "x", "Details": "", "Email": "john@example.com",
        "From": "sender@example.com", "BouncedAt": "2026-05-04T11:33:54.9070259Z", "DumpAvailable": True,
        "Inactive": True, "CanActivate": True, "Description": "The server was unable to deliver your message.",
    }  # fmt: skip
    return read("Bounce", **made | fields)


@pytest.mark.parametrize(
    ("kind", "details", "reason", "expected"),
    [
        ("HardBounce", "smtp;550 5.1.1 The email account does not exist", "userunknown", "hard"),
        ("HardBounce", "", "onhold", "hard"),
        ("HardBounce", "smtp;550 5.7.1 rejected by DMARC policy", "authfailure", "block"),
        ("HardBounce", "smtp;552 5.2.2 Over quota", "mailboxfull", "soft"),
        ("SoftBounce", "smtp;452 4.2.2 mailbox full", "mailboxfull", "soft"),
        ("SoftBounce", "", "onhold", "soft"),
        ("Unknown", "gibberish", "onhold", "soft"),
        ("BadEmailAddress", "", "userunknown", "hard"),
        ("SpamNotification", "", "spamdetected", "block"),
        ("SpamNotification", "550 user unknown or spam", "spamdetected", "block"),
        ("VirusNotification", "", "virusdetected", "block"),
        ("Blocked", "smtp;550 5.7.1 low reputation", "badreputation", "block"),
        ("DMARCPolicy", "", "authfailure", "block"),
    ],
)  # fmt: skip
def test_a_bounce_has_its_reason_and_class(kind: str, details: str, reason: str, expected: str) -> None:
    """By the server's words where Postmark passes them on."""
    (receipt,) = bounce(kind, Details=details).receipts

    assert receipt.kind is ReceiptKind.BOUNCED
    assert (receipt.reason, receipt.bounce) == (reason, BounceClass(expected))
    assert (receipt.recipient, receipt.remote_id) == (
        "john@example.com",
        "883953f4-6105-42a2-a16a-77a8eac79483",
    )
    assert receipt.at.isoformat() == "2026-05-04T11:33:54.907025+00:00"


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("Transient", ReceiptKind.DEFERRED),
        ("DnsError", ReceiptKind.DEFERRED),
        ("Unsubscribe", ReceiptKind.UNSUBSCRIBED),
        ("AutoResponder", ReceiptKind.AUTO_REPLIED),
        ("AddressChange", ReceiptKind.AUTO_REPLIED),
        ("ChallengeVerification", ReceiptKind.AUTO_REPLIED),
        ("SpamComplaint", ReceiptKind.COMPLAINED),
        ("ManuallyDeactivated", ReceiptKind.REJECTED),
        ("TemplateRenderingFailed", ReceiptKind.REJECTED),
    ],
)
def test_what_postmark_calls_a_bounce_may_be_something_else(kind: str, expected: ReceiptKind) -> None:
    """A delay, an answer of a machine, a complaint: never a bounce."""
    (receipt,) = bounce(kind).receipts

    assert (receipt.kind, receipt.bounce) == (expected, None)


@pytest.mark.parametrize(
    ("record", "fields", "kind", "detail"),
    [
        (
            "Delivery",
            {"Recipient": "john@example.com", "DeliveredAt": "2026-05-04T11:33:54.9Z", "Details": "250 OK"},
            ReceiptKind.DELIVERED, {},
        ),
        (
            "SpamComplaint",
            {"ID": 42, "Type": "SpamComplaint", "TypeCode": 512, "Email": "john@example.com",
             "BouncedAt": "2026-05-04T11:33:54.9070259Z"},
            ReceiptKind.COMPLAINED, {},
        ),
        (
            "Open",
            {"Recipient": "john@example.com", "ReceivedAt": "2026-05-04T11:33:54Z", "UserAgent": "Mozilla"},
            ReceiptKind.OPENED, {"user_agent": "Mozilla"},
        ),
        (
            "Click",
            {"Recipient": "john@example.com", "ReceivedAt": "2026-05-04T11:33:54Z", "OriginalLink": "https://a.example"},
            ReceiptKind.CLICKED, {"link": "https://a.example"},
        ),
        (
            "SubscriptionChange",
            {"Recipient": "john@example.com", "ChangedAt": "2026-05-04T11:33:54Z", "Origin": "Recipient",
             "SuppressSending": True, "SuppressionReason": "ManualSuppression"},
            ReceiptKind.UNSUBSCRIBED, {},
        ),
    ],
)  # fmt: skip
def test_every_event_has_its_word(
    record: str, fields: dict[str, Any], kind: ReceiptKind, detail: dict[str, str]
) -> None:
    """Of the one vocabulary."""
    (receipt,) = read(record, **fields).receipts

    assert (receipt.kind, dict(receipt.detail), receipt.recipient) == (kind, detail, "john@example.com")
    assert receipt.at.date().isoformat() == "2026-05-04"


@pytest.mark.parametrize(
    "fields",
    [
        {"SuppressSending": True, "SuppressionReason": "HardBounce", "Origin": "Recipient"},
        {"SuppressSending": True, "SuppressionReason": "ManualSuppression", "Origin": "Customer"},
        {"SuppressSending": False, "SuppressionReason": None, "Origin": "Recipient", "MessageID": None},
        {
            "SuppressSending": True,
            "SuppressionReason": "ManualSuppression",
            "Origin": "Recipient",
            "MessageID": None,
        },
    ],
)
def test_changes_nobody_wished_for_are_told_elsewhere(fields: dict[str, Any]) -> None:
    """Or are none of the recipient's."""
    assert read("SubscriptionChange", Recipient="john@example.com", **fields).receipts == ()


@pytest.mark.parametrize(("record", "fields"), [("Inbound", {}), ("Bounce", {"Type": "Subscribe"})])
def test_what_says_nothing_of_a_message_is_ignored(record: str, fields: dict[str, str]) -> None:
    """And is no mistake."""
    assert read(record, **fields).ignored.startswith(record)


def test_events_of_a_message_are_told_apart_and_known_again() -> None:
    """Two bounces by their ids, two opens by their times."""
    opens = [
        read("Open", Recipient="a@example.com", ReceivedAt=f"2026-05-04T11:33:5{second}Z")
        for second in (1, 2, 1)
    ]
    keys = [reading.receipts[0].key for reading in (bounce("SoftBounce"), bounce("SoftBounce", ID=7), *opens)]

    assert len(set(keys)) == 4
    assert keys[2] == keys[4]


def test_our_message_id_comes_back_in_the_metadata() -> None:
    """With its MAC."""
    message, key = uuid4(), b"k" * 32
    reference = reference_of(mint_message_id(key, message, "shop.example"))

    (receipt,) = bounce("HardBounce", Metadata={"notifier-message": reference}).receipts
    (forged,) = bounce("HardBounce", Metadata={"notifier-message": f"{message.hex}-{'a' * 16}"}).receipts

    assert message_id_of(key, receipt.message_id or "") == message
    assert message_id_of(key, forged.message_id or "") is None


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Basic",
        "Basic !!!",
        basic("hook", "s3cre"),
        basic("hook", ""),
        basic("", ""),
        basic("Hook", "s3cret"),
        LOGIN.replace("Basic", "Bearer"),
        LOGIN + "x",
    ],
)
def test_without_the_password_nothing_is_believed(header: str) -> None:
    """And 401 asks for it."""
    with pytest.raises(NoCredentials) as refused:
        READER.read(callback(postmark("Delivery"), authorization=header))

    assert refused.value.status == 401


def test_where_no_password_is_set_nobody_gets_in() -> None:
    """An empty one least of all."""
    with pytest.raises(NoCredentials):
        PostmarkReader(Trust(source="pm")).read(callback(postmark("Delivery"), authorization=basic("", "")))


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "body"),
        (b"[]", "body"),
        (b"\xff", "body"),
        (b"{}", "RecordType"),
        (postmark("Delivery", MessageID=None), "MessageID"),
        (postmark("Delivery", MessageID={"a": 1}), "MessageID"),
        (postmark("Delivery", MessageID="x" * 301), "MessageID"),
        (postmark("Delivery", Metadata=[1]), "Metadata"),
    ],
)
def test_what_is_wrong_names_the_field(body: bytes, field: str) -> None:
    """So that the log says where."""
    with pytest.raises(Malformed) as refused:
        READER.read(callback(body, authorization=LOGIN))

    assert refused.value.field == field
