"""Amazon SES's events over SNS, after the pages notification-contents and event-publishing-retrieving-sns-examples."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from notifier.inbound.callbacks import sns
from notifier.inbound.callbacks.base import Malformed, NotBelieved, Reading, Refusal, Trust
from notifier.inbound.callbacks.ses import SesReader
from notifier.receipts import BounceClass, Receipt, ReceiptKind
from notifier.tokens import message_id_of, mint_message_id, reference_of
from tests.callbacks import (
    CERTIFICATE_URL,
    NOW,
    SES_ID,
    SUBSCRIBE_URL,
    SnsSigner,
    callback,
    ses_bounce,
    ses_event,
)
from tests.callbacks import certificate as certificate_of

SIGNER = SnsSigner()
ASKED: list[str] = []


def certificate(url: str) -> Any:
    """Return the test's certificate wherever it is asked for, and remember where."""
    ASKED.append(url)
    return SIGNER.certificate


TRUST = Trust(
    source="ses",
    topics=frozenset({"arn:aws:sns:eu-central-1:123456789012:ses-events"}),
    certificate=certificate,
)
READER = SesReader(TRUST)


def read(event: Any, **fields: Any) -> Reading:
    """Read an event that is signed well."""
    return READER.read(callback(json.dumps(SIGNER.message(event, **fields))))


def one(event: Any) -> Receipt:
    """Read the one receipt of an event."""
    (receipt,) = read(event).receipts
    return receipt


@pytest.mark.parametrize(
    ("kind", "subtype", "status", "diagnostic", "reason", "bounce"),
    [
        (
            "Permanent",
            "General",
            "5.1.1",
            "smtp; 550 5.1.1 <x@example.com>... User unknown",
            "userunknown",
            "hard",
        ),
        ("Permanent", "NoEmail", "", "", "userunknown", "hard"),
        ("Permanent", "General", "", "", "onhold", "hard"),
        ("Permanent", "General", "5.7.1", "smtp; 550 5.7.1 blocked by SPF policy", "authfailure", "block"),
        ("Permanent", "General", "5.2.2", "smtp; 552 5.2.2 mailbox is full", "mailboxfull", "soft"),
        ("Permanent", "General", "5.1.2", "", "hostunknown", "hard"),
        ("Transient", "MailboxFull", "", "", "mailboxfull", "soft"),
        ("Transient", "General", "", "", "onhold", "soft"),
        ("Transient", "MessageTooLarge", "", "", "mesgtoobig", "soft"),
        ("Transient", "ContentRejected", "", "", "contenterror", "block"),
        ("Transient", "AttachmentRejected", "", "", "securityerror", "block"),
        ("Transient", "CustomTimeoutExceeded", "", "", "expired", "soft"),
        ("Undetermined", "Undetermined", "", "", "onhold", "soft"),
    ],
)
def test_a_bounce_has_its_reason_and_class(  # noqa: PLR0917 - a table's columns
    kind: str, subtype: str, status: str, diagnostic: str, reason: str, bounce: str
) -> None:
    """The server's words count first, then SES's; only what SES calls permanent is hard without a reason."""
    recipient = {"emailAddress": "x@example.com", "status": status, "diagnosticCode": diagnostic}

    receipt = one(ses_bounce(kind, subtype, recipient))

    assert receipt.kind is ReceiptKind.BOUNCED
    assert (receipt.reason, receipt.bounce) == (reason, BounceClass(bounce))
    assert (receipt.remote_id, receipt.recipient) == (SES_ID, "x@example.com")
    assert receipt.at == datetime(2026, 5, 4, 11, 59, 2, 669000, UTC)


def test_each_bounced_recipient_is_a_receipt() -> None:
    """With its own code, and a key of its own that is the same each time."""
    event = ses_bounce(
        "Permanent",
        "General",
        {"emailAddress": "Ann <ann@example.com>", "diagnosticCode": "smtp; 550 5.1.1 no such user"},
        {
            "emailAddress": "bob@example.com",
            "diagnosticCode": "smtp; 554-5.7.26 unauthenticated",
            "status": "5.7.26",
        },
    )

    first, again = read(event).receipts, read(event).receipts

    assert first == again
    assert len({receipt.key for receipt in first}) == 2
    assert [(receipt.recipient, receipt.code, receipt.status, receipt.bounce) for receipt in first] == [
        ("ann@example.com", 550, "5.1.1", BounceClass.HARD),
        ("bob@example.com", 554, "5.7.26", BounceClass.BLOCK),
    ]


@pytest.mark.parametrize("subtype", ["Suppressed", "OnAccountSuppressionList"])
def test_what_ses_did_not_try_is_rejected(subtype: str) -> None:
    """Its own list had the address: nothing new is known of it."""
    receipt = one(ses_bounce("Permanent", subtype))

    assert (receipt.kind, receipt.reason, receipt.bounce) == (ReceiptKind.REJECTED, "suppressed", None)


@pytest.mark.parametrize(
    ("event", "kind", "reason", "detail"),
    [
        (
            ses_event("Complaint", {"complainedRecipients": [{"emailAddress": "recipient@example.com"}],
                                    "complaintFeedbackType": "abuse", "timestamp": "2026-05-04T12:00:00Z"}),
            ReceiptKind.COMPLAINED, None, {"feedback_type": "abuse"},
        ),
        (
            ses_event("Delivery", {"recipients": ["recipient@example.com"], "smtpResponse": "250 2.6.0 Ok"}),
            ReceiptKind.DELIVERED, None, {},
        ),
        (ses_event("Send", {}), ReceiptKind.SENT, None, {}),
        (ses_event("Reject", {"reason": "Bad content"}), ReceiptKind.REJECTED, "virusdetected", {}),
        (
            ses_event("Rendering Failure", {"errorMessage": "missing"}, name="failure"),
            ReceiptKind.REJECTED, "contenterror", {},
        ),
        (
            ses_event("Open", {"ipAddress": "192.0.2.1", "userAgent": "Mozilla/5.0"}),
            ReceiptKind.OPENED, None, {"ip": "192.0.2.1", "user_agent": "Mozilla/5.0"},
        ),
        (ses_event("Click", {"link": "https://a.example/x"}), ReceiptKind.CLICKED, None, {"link": "https://a.example/x"}),
        (
            ses_event("DeliveryDelay", {"delayType": "MailboxFull", "timestamp": "2026-05-04T12:00:00Z",
                      "delayedRecipients": [{"emailAddress": "recipient@example.com", "status": "4.4.1",
                                             "diagnosticCode": "smtp; 421 4.4.1 Unable to connect"}]},
                      name="deliveryDelay"),
            ReceiptKind.DEFERRED, "mailboxfull", {},
        ),
        (
            ses_event("Subscription", {"contactList": "all", "newTopicPreferences": {"unsubscribeAll": True}}),
            ReceiptKind.UNSUBSCRIBED, None, {"list": "all"},
        ),
    ],
)  # fmt: skip
def test_every_event_has_its_word(
    event: dict[str, Any], kind: ReceiptKind, reason: str | None, detail: dict[str, str]
) -> None:
    """Of the one vocabulary."""
    receipt = one(event)

    assert (receipt.kind, receipt.reason, dict(receipt.detail)) == (kind, reason, detail)
    assert (receipt.recipient, receipt.source) == ("recipient@example.com", "ses")


def test_feedback_notifications_are_read_like_events() -> None:
    """They call the type another name."""
    event = ses_bounce("Permanent", "NoEmail")
    event["notificationType"] = event.pop("eventType")

    assert one(event).bounce is BounceClass.HARD


@pytest.mark.parametrize(
    "event",
    [
        "Successfully validated SNS topic for Amazon SES event publishing.",
        ses_event("Teleported", {}),
        ses_event("Complaint", {"complaintFeedbackType": "not-spam"}),
        ses_event("Subscription", {"newTopicPreferences": {"unsubscribeAll": False}}),
    ],
)
def test_what_says_nothing_of_a_message_is_no_receipt(event: Any) -> None:
    """And is no mistake."""
    assert read(event).receipts == ()


def preferences(*, all_: bool = False, **topics: str) -> dict[str, Any]:
    """Return a person's topics, as a Subscription event lists them before and after."""
    listed = [{"topicName": name, "subscriptionStatus": status} for name, status in topics.items()]
    return {"unsubscribeAll": all_, "topicSubscriptionStatus": listed}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (preferences(news="OptIn"), preferences(news="OptOut"), 1),
        (preferences(news="OptOut"), preferences(all_=True, news="OptOut"), 1),
        (preferences(news="OptOut", tips="OptIn"), preferences(news="OptOut", tips="OptOut"), 1),
        (preferences(news="OptOut", tips="OptOut"), preferences(news="OptIn", tips="OptOut"), 0),
        (preferences(all_=True, news="OptOut"), preferences(news="OptOut"), 0),
    ],
)
def test_only_who_leaves_unsubscribes(old: dict[str, Any], new: dict[str, Any], expected: int) -> None:
    """An event lists all topics: who comes back to one has not left the others a second time."""
    about = {"contactList": "shop", "oldTopicPreferences": old, "newTopicPreferences": new}

    assert len(read(ses_event("Subscription", about)).receipts) == expected


def test_an_event_without_the_providers_id_is_found_by_ours() -> None:
    """Only where neither is there it says nothing of any message."""
    event = ses_event("Send", {}, messageId=None)

    receipt = one(event)

    assert (receipt.remote_id, receipt.message_id) == (None, "<a.b@shop.example>")


def test_our_message_id_comes_back_by_tag_or_header() -> None:
    """With its MAC, so that it can be checked; a reference in a tag goes before the header."""
    message, key = uuid4(), b"k" * 32
    ours = mint_message_id(key, message, "shop.example")

    tagged = one(ses_event("Send", {}, tags={"notifier-message": [reference_of(ours)]}))
    headed = one(ses_event("Send", {}, headers=[{"name": "message-id", "value": ours}]))
    forged = one(ses_event("Send", {}, tags={"notifier-message": [message.hex]}))

    assert message_id_of(key, tagged.message_id or "") == message
    assert message_id_of(key, headed.message_id or "") == message
    assert message_id_of(key, forged.message_id or "") is None


@pytest.mark.parametrize("version", ["1", "2"])
def test_both_versions_of_the_signature_hold(version: str) -> None:
    """SHA-1 as topics have it, SHA-256 as they should."""
    assert read(ses_event("Send", {}), version=version, Subject="Amazon SES").receipts


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"Message": "{}"}, "signature"),
        ({"Subject": "new"}, "signature"),
        ({"MessageId": "another"}, "signature"),
        ({"Signature": "AAAA"}, "signature"),
        ({"Signature": "no base64!"}, "signature"),
        ({"SignatureVersion": "2"}, "signature"),
        ({"SignatureVersion": "3"}, "signature"),
        ({"TopicArn": "arn:aws:sns:eu-central-1:999999999999:ses-events"}, "topic"),
        ({"TopicArn": ""}, "topic"),
        ({"Timestamp": (NOW - timedelta(days=2)).isoformat()}, "stale"),
        ({"Timestamp": (NOW + timedelta(minutes=6)).isoformat()}, "stale"),
        ({"Timestamp": ""}, "stale"),
        ({"SigningCertURL": "https://evil.example/SimpleNotificationService-1.pem"}, "certificate_url"),
    ],
)
def test_a_changed_message_is_not_believed(changed: dict[str, str], reason: str) -> None:
    """Whatever was changed; of a stranger's topic not even the certificate is asked for."""
    ASKED.clear()
    message = SIGNER.message(ses_event("Send", {})) | changed

    with pytest.raises(NotBelieved) as refused:
        READER.read(callback(json.dumps(message)))

    assert (refused.value.reason, refused.value.status) == (reason, 403)
    assert bool(ASKED) is (reason == "signature")


def test_another_ones_signature_is_not_believed() -> None:
    """Of another key over the same text."""
    message = SnsSigner().message(ses_event("Send", {}))

    with pytest.raises(NotBelieved, match="signature"):
        READER.read(callback(json.dumps(message)))


@pytest.mark.parametrize(
    "url",
    [
        CERTIFICATE_URL,
        CERTIFICATE_URL.replace("eu-central-1", "us-gov-west-1"),
        CERTIFICATE_URL.replace("eu-central-1.amazonaws.com", "cn-north-1.amazonaws.com.cn"),
    ],
)
def test_certificates_come_from_where_sns_keeps_them(url: str) -> None:
    """Of any region, China among them."""
    sns.check_certificate_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        CERTIFICATE_URL.replace("https", "http"),
        CERTIFICATE_URL.replace("amazonaws.com", "amazonaws.com.evil.example"),
        CERTIFICATE_URL.replace("https://sns", "https://x@sns"),
        CERTIFICATE_URL.replace("amazonaws.com/", "amazonaws.com:8443/"),
        CERTIFICATE_URL.replace("amazonaws.com/", "amazonaws.com:@evil.example/"),
        CERTIFICATE_URL.replace("amazonaws.com/", "amazonaws.com\\@evil.example/"),
        CERTIFICATE_URL.replace("https://sns.", "https://evilsns."),
        CERTIFICATE_URL.replace("https://sns.", "https://bucket.s3."),
        CERTIFICATE_URL.replace("/Simple", "/x/../Simple"),
        CERTIFICATE_URL.replace(".pem", ".pem?x=1"),
        CERTIFICATE_URL.replace(".pem", ".pem/../x.pem"),
        CERTIFICATE_URL.replace("SimpleNotificationService-", ""),
        CERTIFICATE_URL + "\n",
        CERTIFICATE_URL.replace("sns", "\u0455ns"),
        "https://[::1/SimpleNotificationService-1.pem",
        "https://sns.eu-central-1.amazonaws.com:99999999/SimpleNotificationService-1.pem",
    ],
)
def test_certificates_from_elsewhere_are_not_even_fetched(url: str) -> None:
    """Another host, scheme, port, path, or a trick of spelling."""
    with pytest.raises(NotBelieved):
        sns.check_certificate_url(url)


def test_a_confirmation_is_for_our_topic_and_leads_to_sns() -> None:
    """Signed, too; otherwise nobody asks for that URL."""
    confirmed = READER.read(callback(json.dumps(SIGNER.confirmation())))
    elsewhere = SIGNER.confirmation(SubscribeURL="https://evil.example/?Action=ConfirmSubscription")
    unsigned = SIGNER.confirmation() | {"SubscribeURL": SUBSCRIBE_URL + "z"}
    strange = SIGNER.confirmation(TopicArn="arn:aws:sns:eu-central-1:999999999999:x")

    assert confirmed == Reading(confirm=SUBSCRIBE_URL)
    for message in (elsewhere, unsigned, strange):
        with pytest.raises(NotBelieved):
            READER.read(callback(json.dumps(message)))
    assert READER.read(callback(json.dumps(SIGNER.confirmation(Type="UnsubscribeConfirmation")))).ignored


def test_a_certificate_must_be_able_to_sign_now() -> None:
    """An RSA key of 2,048 bits or more, within its dates."""
    small = rsa.generate_private_key(65537, 1024)  # noqa: S505 - must be refused
    curve = ec.generate_private_key(ec.SECP256R1())
    old = certificate_of(SIGNER.key, start=NOW - timedelta(days=400))
    early = certificate_of(SIGNER.key, start=NOW + timedelta(days=2))

    assert sns.read_certificate(SIGNER.pem, NOW) == SIGNER.certificate
    for wrong in (certificate_of(small), certificate_of(curve), old, early):
        with pytest.raises(NotBelieved):
            sns.read_certificate(wrong.public_bytes(Encoding.PEM), NOW)
    with pytest.raises(NotBelieved):
        sns.read_certificate(b"<html>", NOW)


@pytest.mark.parametrize(
    ("event", "field"),
    [
        ("{", "Message"),
        ("{}", "Message.eventType"),
        ({"eventType": "Send", "send": {}, "mail": []}, "Message.mail"),
        ({"eventType": "Send", "send": {}, "mail": {}}, "mail.messageId"),
        (
            {"eventType": "Bounce", "bounce": {"bouncedRecipients": 5}, "mail": {"messageId": "x"}},
            "bouncedRecipients",
        ),
    ],
)
def test_what_is_signed_and_wrong_names_the_field(event: Any, field: str) -> None:
    """So that the log says where."""
    with pytest.raises(Malformed) as refused:
        read(event)

    assert field in (refused.value.field or "")
    assert refused.value.status == 422


def test_nothing_configured_believes_nothing() -> None:
    """No topic, no way to fetch a certificate."""
    message = callback(json.dumps(SIGNER.message(ses_event("Send", {}))))

    for trust in (Trust(source="ses"), Trust(source="ses", topics=TRUST.topics)):
        with pytest.raises(Refusal):
            SesReader(trust).read(message)
