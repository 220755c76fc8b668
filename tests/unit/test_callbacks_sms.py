"""Twilio's and Vonage's callbacks of SMS, after track-outbound-message-status, delivery-receipts, messages-olympus."""

import hashlib
import json
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import pytest

from notifier.inbound.callbacks import twilio_signature
from notifier.inbound.callbacks.base import Callback, Malformed, NotBelieved, Receipt, Trust
from notifier.inbound.callbacks.twilio import TwilioReader
from notifier.inbound.callbacks.vonage import VonageReader
from notifier.inbound.callbacks.vonage_signature import METHODS
from notifier.receipts import BounceClass, ReceiptKind
from notifier.tokens import message_id_of, mint_message_id, reference_of
from tests.callbacks import NOW, callback, twilio, vonage, vonage_token

TOKEN, SECRET = "12345", "abcdefghijklmnopqrstuvwxyz012345"
TWILIO = TwilioReader(Trust(source="sms", secret=TOKEN, account="AC123"))
VONAGE = VonageReader(Trust(source="vo", secret=SECRET))
FORM = {"content_type": "application/x-www-form-urlencoded"}


def test_twilio_says_what_became_of_an_sms() -> None:
    """By its id at Twilio."""
    (receipt,) = TWILIO.read(twilio(TOKEN, MessageStatus="delivered")).receipts

    assert (receipt.kind, receipt.source) == (ReceiptKind.DELIVERED, "sms")
    assert (receipt.remote_id, receipt.recipient) == ("SM1234567890abcdef1234567890abcdef", "+4915550001")


@pytest.mark.parametrize(
    ("status", "code", "kind", "reason", "bounce"),
    [
        ("sent", "", ReceiptKind.SENT, None, None),
        ("undelivered", "30005", ReceiptKind.BOUNCED, "userunknown", "hard"),
        ("undelivered", "30006", ReceiptKind.BOUNCED, "notaccept", "hard"),
        ("undelivered", "30003", ReceiptKind.BOUNCED, "networkerror", "soft"),
        ("undelivered", "30007", ReceiptKind.BOUNCED, "spamdetected", "block"),
        ("undelivered", "", ReceiptKind.BOUNCED, "undefined", "soft"),
        ("undelivered", "99999", ReceiptKind.BOUNCED, "undefined", "soft"),
        ("failed", "30001", ReceiptKind.REJECTED, "speeding", None),
        ("failed", "21211", ReceiptKind.BOUNCED, "userunknown", "hard"),
        ("canceled", "", ReceiptKind.REJECTED, None, None),
        ("read", "", ReceiptKind.OPENED, None, None),
    ],
)
def test_twilio_s_codes_have_our_words(
    status: str, code: str, kind: ReceiptKind, reason: str | None, bounce: str | None
) -> None:
    """A number nobody has is final, whichever status says so."""
    (receipt,) = TWILIO.read(twilio(TOKEN, MessageStatus=status, ErrorCode=code)).receipts

    assert (receipt.kind, receipt.reason) == (kind, reason)
    assert receipt.bounce == (BounceClass(bounce) if bounce else None)


def test_twilio_s_statuses_before_sent_say_nothing() -> None:
    """Nor one nobody documented; neither is a mistake."""
    ignored = [
        TWILIO.read(twilio(TOKEN, MessageStatus=status)).ignored
        for status in ("queued", "sending", "teleported")
    ]

    assert ignored == ["queued", "sending", "unknown:teleported"]


def test_twilio_s_body_may_be_signed_by_its_hash() -> None:
    """A body that is no form: its SHA-256 stands in the URL, which is signed."""
    body = json.dumps({"MessageSid": "SM1", "MessageStatus": "delivered", "AccountSid": "AC123"})
    url = f"https://notifier.example.com/callbacks/sms?bodySHA256={hashlib.sha256(body.encode()).hexdigest()}"
    signature = twilio_signature.sign(TOKEN, url, [])

    reading = TWILIO.read(callback(body, url=url, x_twilio_signature=signature))

    assert reading.receipts[0].remote_id == "SM1"
    with pytest.raises(NotBelieved, match="signature"):
        TWILIO.read(callback(body + " ", url=url, x_twilio_signature=signature))


@pytest.mark.parametrize(
    "request_",
    [
        twilio("54321", MessageStatus="delivered"),
        twilio("", MessageStatus="delivered"),
        twilio(TOKEN, MessageStatus="delivered", AccountSid="AC999"),
        twilio(TOKEN, url="https://other.example.com/callbacks/sms", MessageStatus="sent"),
        callback(b"MessageSid=SM1&MessageStatus=delivered"),
        callback(b"\xff\xfe", x_twilio_signature="x"),
        callback(b"&".join(b"a=1" for _ in range(300)), x_twilio_signature="x"),
    ],
)
def test_what_twilio_did_not_sign_is_not_believed(request_: Callback) -> None:
    """Another token, account or URL, nothing at all, too many fields."""
    at_ours = Callback(
        url="https://notifier.example.com/callbacks/sms", headers=request_.headers, body=request_.body, at=NOW
    )

    with pytest.raises(NotBelieved):
        TWILIO.read(at_ours)


def test_a_twilio_request_without_a_message_names_the_field() -> None:
    """Though it is signed."""
    with pytest.raises(Malformed) as refused:
        TWILIO.read(twilio(TOKEN, MessageStatus=""))

    assert refused.value.field == "MessageStatus"


def read(fields: dict[str, str], **headers: Any) -> Receipt:
    """Read a receipt of Vonage's as a form."""
    (receipt,) = VONAGE.read(callback(urlencode(fields), **FORM | headers)).receipts
    return receipt


def test_vonage_says_what_became_of_an_sms() -> None:
    """By its id at Vonage, and by our reference with its MAC."""
    message, key = uuid4(), b"k" * 32
    reference = reference_of(mint_message_id(key, message, "shop.example"))

    receipt = read(vonage(SECRET, client_ref=reference))

    assert (receipt.kind, receipt.source) == (ReceiptKind.DELIVERED, "vo")
    assert (receipt.remote_id, receipt.recipient) == ("0A0000001234567B", "+447700900000")
    assert receipt.at.isoformat() == "2026-05-04T11:59:30+00:00"
    assert message_id_of(key, receipt.message_id or "") == message
    assert read(vonage(SECRET, client_ref=message.hex)).message_id is None


@pytest.mark.parametrize(
    ("status", "code", "kind", "reason", "bounce"),
    [
        ("accepted", "0", ReceiptKind.SENT, None, None),
        ("buffered", "0", ReceiptKind.DEFERRED, None, None),
        ("expired", "2", ReceiptKind.BOUNCED, "networkerror", "soft"),
        ("expired", "", ReceiptKind.BOUNCED, "expired", "soft"),
        ("failed", "3", ReceiptKind.BOUNCED, "userunknown", "hard"),
        ("failed", "6", ReceiptKind.BOUNCED, "spamdetected", "block"),
        ("failed", "1", ReceiptKind.BOUNCED, "undefined", "soft"),
        ("rejected", "50", ReceiptKind.REJECTED, "rejected", None),
        ("rejected", "4", ReceiptKind.BOUNCED, "notaccept", "hard"),
        ("unknown", "99", ReceiptKind.BOUNCED, "undefined", "soft"),
    ],
)
def test_vonage_s_codes_have_our_words(
    status: str, code: str, kind: ReceiptKind, reason: str | None, bounce: str | None
) -> None:
    """A number nobody has is final, whichever status says so."""
    receipt = read(vonage(SECRET, status=status, err_code=code))

    assert (receipt.kind, receipt.reason) == (kind, reason)
    assert receipt.bounce == (BounceClass(bounce) if bounce else None)


@pytest.mark.parametrize("method", METHODS)
def test_each_of_vonage_s_hashes_holds(method: str) -> None:
    """As a form or as JSON; where the account's is known, no other does."""
    fields = vonage(SECRET, method)
    chosen = VonageReader(Trust(source="vo", secret=SECRET, method=method))
    other = VonageReader(
        Trust(source="vo", secret=SECRET, method="sha512" if method != "sha512" else "sha256")
    )

    assert chosen.read(callback(urlencode(fields), **FORM)).receipts
    assert VONAGE.read(callback(json.dumps(fields), content_type="application/json")).receipts
    with pytest.raises(NotBelieved):
        other.read(callback(urlencode(fields), **FORM))


@pytest.mark.parametrize(
    "changed",
    [
        {"status": "failed"},
        {"sig": ""},
        {"sig": "0" * 64},
        {"sig": "ä"},
        {"messageId": "x"},
        {"new": "1"},
        {"nonce": ""},
    ],
)
def test_a_changed_hash_is_not_believed(changed: dict[str, str]) -> None:
    """Every field is signed."""
    with pytest.raises(NotBelieved, match="signature"):
        read(vonage(SECRET) | changed)


def test_vonage_s_older_signature_may_repeat_for_a_day() -> None:
    """No longer; and never without a secret."""
    fields, late = vonage(SECRET), NOW + timedelta(days=1, seconds=1)

    assert VONAGE.read(callback(urlencode(fields), at=late - timedelta(seconds=2), **FORM)).receipts
    with pytest.raises(NotBelieved, match="stale"):
        VONAGE.read(callback(urlencode(fields), at=late, **FORM))
    with pytest.raises(NotBelieved):
        VonageReader(Trust(source="vo")).read(callback(urlencode(vonage("")), **FORM))


STATUS = {
    "message_uuid": "aaaaaaaa-bbbb-4ccc-8ddd-0123456789ab",
    "to": "447700900000",
    "from": "447700900001",
    "timestamp": "2026-05-04T11:59:30Z",
    "status": "undeliverable",
    "channel": "sms",
    "error": {
        "type": "https://developer.vonage.com/api-errors/messages#1320",
        "title": "1320",
        "detail": "x",
    },
}


def test_vonage_s_messages_api_signs_with_a_token() -> None:
    """Over the hash of the body."""
    body = json.dumps(STATUS).encode()

    (receipt,) = VONAGE.read(callback(body, authorization=vonage_token(SECRET, body))).receipts

    assert (receipt.kind, receipt.reason, receipt.bounce) == (
        ReceiptKind.BOUNCED,
        "userunknown",
        BounceClass.HARD,
    )
    assert (receipt.remote_id, receipt.at.isoformat()) == (
        STATUS["message_uuid"],
        "2026-05-04T11:59:30+00:00",
    )


@pytest.mark.parametrize(
    "header",
    [
        "Bearer ",
        "Bearer x.y.z",
        vonage_token("another-secret-of-32-bytes-or-more", json.dumps(STATUS).encode()),
        vonage_token(SECRET, b"another body"),
        vonage_token(SECRET * 2, json.dumps(STATUS).encode(), algorithm="HS512"),
        vonage_token("", json.dumps(STATUS).encode(), algorithm="none"),
        vonage_token(SECRET, json.dumps(STATUS).encode(), at=NOW - timedelta(days=2)),
        vonage_token(SECRET, json.dumps(STATUS).encode(), at=NOW + timedelta(minutes=6)),
        vonage_token(SECRET, json.dumps(STATUS).encode(), payload_hash=None),
        vonage_token(SECRET, json.dumps(STATUS).encode(), iat="soon"),
    ],
)
def test_another_token_is_not_believed(header: str) -> None:
    """Of another secret, body, algorithm or time."""
    with pytest.raises(NotBelieved):
        VONAGE.read(callback(json.dumps(STATUS), authorization=header))


@pytest.mark.parametrize(
    ("changed", "field"),
    [({"status": None}, "status"), ({"message_uuid": ""}, "messageId"), ({"error": []}, "error")],
)
def test_a_vonage_status_that_is_wrong_names_the_field(changed: dict[str, Any], field: str) -> None:
    """Though it is signed."""
    body = json.dumps(STATUS | changed).encode()

    with pytest.raises(Malformed) as refused:
        VONAGE.read(callback(body, authorization=vonage_token(SECRET, body)))

    assert refused.value.field == field
