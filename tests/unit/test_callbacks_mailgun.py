"""Mailgun's webhooks, after user-manual/events/event-structure and user-manual/webhooks/securing-webhooks."""

import json
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from notifier.inbound.callbacks.base import Malformed, NotBelieved, Receipt, Trust
from notifier.inbound.callbacks.mailgun import MailgunReader
from notifier.receipts import BounceClass, ReceiptKind
from notifier.tokens import message_id_of, mint_message_id, reference_of
from tests.callbacks import NOW, callback, mailgun

KEY = "key-0123456789"
READER = MailgunReader(Trust(source="mg", secret=KEY))


def one(event: dict[str, Any], **options: Any) -> Receipt:
    """Read the one receipt of an event that is signed well."""
    (receipt,) = READER.read(callback(mailgun(KEY, event, **options))).receipts
    return receipt


def failed(severity: str, reason: str, code: int | None, message: str, **status: str) -> dict[str, Any]:
    """Return a failure."""
    delivery = {
        "attempt-no": 1,
        "code": code,
        "message": message,
        "description": "",
        "session-seconds": 0.4,
        **status,
    }
    return {"event": "failed", "severity": severity, "reason": reason, "delivery-status": delivery}


@pytest.mark.parametrize(
    ("event", "reason", "bounce"),
    [
        (failed("permanent", "bounce", 550, "5.1.1 The email account that you tried to reach does not exist."),
         "userunknown", "hard"),
        (failed("permanent", "bounce", 550, "5.4.1 Recipient address rejected", **{"enhanced-code": "5.1.1"}),
         "userunknown", "hard"),
        (failed("permanent", "bounce", 550, ""), "onhold", "hard"),
        (failed("permanent", "bounce", 550, "", **{"bounce-type": "soft"}), "onhold", "soft"),
        (failed("permanent", "bounce", 550, "", **{"bounce-type": "hard"}), "onhold", "hard"),
        (failed("permanent", "generic", 550, ""), "onhold", "soft"),
        (failed("permanent", "bounce", 552, "5.2.2 mailbox full"), "mailboxfull", "soft"),
        (failed("permanent", "espblock", 554, "5.7.1 service unavailable; client host [192.0.2.1] blocked"),
         "blocked", "block"),
        (failed("permanent", "espblock", 550, ""), "blocked", "block"),
        (failed("permanent", "old", 602, "Too old"), "expired", "soft"),
        (failed("permanent", "bounce", 550, "5.7.26 This mail is unauthenticated"), "authfailure", "block"),
        (failed("permanent", "bounce", 498, "No MX for nowhere.example"), "hostunknown", "hard"),
    ],
)  # fmt: skip
def test_a_permanent_failure_has_its_reason_and_class(
    event: dict[str, Any], reason: str, bounce: str
) -> None:
    """By the server's words, else by Mailgun's; only a bounce is of the address."""
    receipt = one(event)

    assert receipt.kind is ReceiptKind.BOUNCED
    assert (receipt.reason, receipt.bounce) == (reason, BounceClass(bounce))


def test_a_temporary_failure_is_no_bounce() -> None:
    """Mailgun goes on trying."""
    receipt = one(failed("temporary", "generic", 452, "4.2.2 The email account is over quota"))

    assert (receipt.kind, receipt.reason, receipt.bounce) == (ReceiptKind.DEFERRED, "mailboxfull", None)
    assert (receipt.code, receipt.status) == (452, "4.2.2")


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("suppress-bounce", "suppressed"),
        ("suppress-complaint", "suppressed"),
        ("suppress-unsubscribe", "unsubscribed"),
    ],
)
def test_what_mailgun_did_not_try_is_rejected(reason: str, expected: str) -> None:
    """Its own list had the address; 605 is its own code, no server's."""
    receipt = one(
        failed("permanent", reason, 605, "", description="Not delivering to previously bounced address")
    )

    assert (receipt.kind, receipt.reason, receipt.code) == (ReceiptKind.REJECTED, expected, None)


@pytest.mark.parametrize(
    ("event", "kind", "detail"),
    [
        ({"event": "accepted"}, ReceiptKind.SENT, {}),
        (
            {"event": "delivered", "delivery-status": {"code": 250, "message": "OK"}},
            ReceiptKind.DELIVERED,
            {},
        ),
        ({"event": "complained"}, ReceiptKind.COMPLAINED, {}),
        ({"event": "unsubscribed"}, ReceiptKind.UNSUBSCRIBED, {}),
        (
            {"event": "opened", "client-info": {"user-agent": "Mozilla", "bot": "apple"}},
            ReceiptKind.OPENED,
            {"user_agent": "Mozilla", "bot": "apple"},
        ),
        (
            {"event": "clicked", "url": "https://a.example"},
            ReceiptKind.CLICKED,
            {"link": "https://a.example"},
        ),
        (
            {"event": "rejected", "reject": {"reason": "Rejected", "description": "a virus"}},
            ReceiptKind.REJECTED,
            {},
        ),
    ],
)
def test_every_event_has_its_word(event: dict[str, Any], kind: ReceiptKind, detail: dict[str, str]) -> None:
    """Of the one vocabulary."""
    receipt = one(event)

    assert (receipt.kind, dict(receipt.detail)) == (kind, detail)
    assert (receipt.recipient, receipt.remote_id, receipt.source) == (
        "alice@example.com",
        "a.b@shop.example",
        "mg",
    )
    assert receipt.message_id == "<a.b@shop.example>"


def test_what_we_do_not_know_is_ignored() -> None:
    """And is no mistake."""
    assert READER.read(callback(mailgun(KEY, {"event": "stored"}))).ignored == "stored"


def test_our_reference_goes_before_the_header() -> None:
    """Both have a MAC; the variable is sure to be ours."""
    message, key = uuid4(), b"k" * 32
    reference = reference_of(mint_message_id(key, message, "shop.example"))

    receipt = one({"event": "delivered", "user-variables": {"notifier-message": reference}})

    assert message_id_of(key, receipt.message_id or "") == message


@pytest.mark.parametrize("ahead", [timedelta(minutes=-5), timedelta(hours=8), timedelta(0)])
def test_a_try_again_hours_later_is_believed(ahead: timedelta) -> None:
    """Mailgun repeats for eight hours, with the signature of the first try."""
    assert READER.read(callback(mailgun(KEY, {"event": "delivered"}), at=NOW + ahead)).receipts


@pytest.mark.parametrize("ahead", [timedelta(minutes=-6), timedelta(days=1, seconds=1)])
def test_an_old_signature_is_not_believed(ahead: timedelta) -> None:
    """Nor one of tomorrow."""
    with pytest.raises(NotBelieved, match="stale"):
        READER.read(callback(mailgun(KEY, {"event": "delivered"}), at=NOW + ahead))


def test_a_token_counts_once_whatever_comes_with_it() -> None:
    """The signature does not cover the event: another one with the same token is known already."""
    genuine = json.loads(mailgun(KEY, {"event": "delivered"}))
    changed = genuine | {"event-data": genuine["event-data"] | {"event": "complained", "id": "another"}}

    keys = {READER.read(callback(json.dumps(body))).receipts[0].key for body in (genuine, changed)}

    assert len(keys) == 1
    assert one({"event": "delivered"}, token="other").key not in keys


@pytest.mark.parametrize(
    "changed",
    [
        {"signature": "0" * 64},
        {"signature": ""},
        {"signature": "ä"},
        {"token": "other"},
        {"token": ""},
        {"timestamp": "1"},
        {"timestamp": ""},
    ],
)
def test_a_changed_signature_is_not_believed(changed: dict[str, str]) -> None:
    """Whichever part."""
    body = json.loads(mailgun(KEY, {"event": "delivered"}))
    body["signature"] |= changed

    with pytest.raises(NotBelieved) as refused:
        READER.read(callback(json.dumps(body)))

    assert (refused.value.reason, refused.value.status) == ("signature", 403)


def test_without_a_key_nothing_is_believed() -> None:
    """Not even what is signed with the empty one."""
    with pytest.raises(NotBelieved):
        MailgunReader(Trust(source="mg")).read(callback(mailgun("", {"event": "delivered"})))


@pytest.mark.parametrize(
    ("event", "field"),
    [
        ({"event": None}, "event-data.event"),
        ({"event": "delivered", "message": None}, "event-data.message.headers.message-id"),
        ({"event": "delivered", "message": []}, "event-data.message"),
        ({"event": "failed", "delivery-status": "x"}, "event-data.delivery-status"),
    ],
)
def test_what_is_wrong_names_the_field(event: dict[str, Any], field: str) -> None:
    """So that the log says where."""
    with pytest.raises(Malformed) as refused:
        READER.read(callback(mailgun(KEY, event)))

    assert refused.value.field == field
