"""Whatever a request holds, reading it ends in receipts or in a refusal; and what it says can be kept."""

import ast
import inspect
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.channels.registry import KINDS
from notifier.inbound.callbacks import mailgun as mailgun_module
from notifier.inbound.callbacks import postmark as postmark_module
from notifier.inbound.callbacks import twilio_signature, vonage_signature
from notifier.inbound.callbacks.base import Callback, Reading, Refusal, Trust
from notifier.inbound.callbacks.registry import READERS
from notifier.receipts import BounceClass, Receipt, ReceiptKind
from tests.callbacks import (
    NOW,
    TOPIC,
    SnsSigner,
    basic,
    callback,
    mailgun,
    postmark,
    ses_event,
    twilio,
    vonage,
    vonage_token,
)

SIGNER = SnsSigner()
KEY = "0123456789abcdef" * 2
READ = {
    kind: reader(
        Trust(
            source=kind, secret=KEY, account="AC123", user="u", password=KEY, topics=frozenset({TOPIC}),
            certificate=lambda _url: SIGNER.certificate,
        )
    ).read
    for kind, reader in READERS.items()
}  # fmt: skip

leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20)
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner)
)
NAMES = (
    "eventType", "notificationType", "mail", "messageId", "destination", "bounce", "bounceType", "bouncedRecipients",
    "emailAddress", "timestamp", "tags", "headers", "RecordType", "MessageID", "Type", "Email", "Metadata", "Details",
    "BouncedAt", "event", "message", "message-id", "severity", "reason", "delivery-status", "code", "recipient",
    "user-variables", "complaint", "subscription", "newTopicPreferences", "error", "status", "message_uuid", "title",
)  # fmt: skip
FORM = (
    "MessageStatus", "MessageSid", "ErrorCode", "To", "status", "err-code", "messageId", "msisdn", "message-timestamp",
)  # fmt: skip
WORDS = (
    "Bounce",
    "Complaint",
    "Open",
    "Subscription",
    "Permanent",
    "failed",
    "delivered",
    "rejected",
    "HardBounce",
)
fields = st.dictionaries(
    st.sampled_from(NAMES),
    st.recursive(
        values | st.sampled_from(WORDS),
        lambda inner: (
            st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4)
        ),
        max_leaves=6,
    ),
    max_size=8,
)


def only_refuses(read: Callable[[Callback], Reading], request: Callback) -> tuple[Receipt, ...]:
    """Read, and return the receipts; anything but a refusal passes through."""
    try:
        receipts = read(request).receipts
    except Refusal:
        return ()
    for receipt in receipts:
        assert (receipt.bounce is None) is (receipt.kind is not ReceiptKind.BOUNCED)
        assert Receipt.from_json(json.loads(json.dumps(receipt.to_json()))) == receipt
        assert "\x00" not in json.dumps(receipt.to_json())
        assert "\\u0000" not in json.dumps(receipt.to_json())
    return receipts


@pytest.mark.parametrize("kind", sorted(READ))
@settings(deadline=None, max_examples=60)
@given(body=st.binary(max_size=200), header=st.text(max_size=60), query=st.text(max_size=20))
def test_any_bytes_are_refused_and_no_more(kind: str, body: bytes, header: str, query: str) -> None:
    """With any headers, to any URL."""
    headers = {"authorization": header, "x-twilio-signature": header, "content-type": header}
    request = Callback(
        url=f"https://notifier.example.com/callbacks/x?{query}", headers=headers, body=body, at=NOW
    )

    assert only_refuses(READ[kind], request) == ()


@settings(deadline=None, max_examples=50)
@given(said=fields)
def test_any_signed_json_is_read_or_refused(said: dict[str, Any]) -> None:
    """Of every provider that sends JSON."""
    body = json.dumps(said).encode()
    signed_for_mailgun = json.loads(mailgun(KEY, {})) | {"event-data": said}

    only_refuses(READ["ses"], callback(json.dumps(SIGNER.message(said))))
    only_refuses(READ["postmark"], callback(body, authorization=basic("u", KEY)))
    only_refuses(READ["mailgun"], callback(json.dumps(signed_for_mailgun)))
    only_refuses(READ["vonage"], callback(body, authorization=vonage_token(KEY, body)))


@settings(deadline=None, max_examples=80)
@given(said=st.dictionaries(st.sampled_from(FORM), st.text(max_size=30)))
def test_any_signed_form_is_read_or_refused(said: dict[str, str]) -> None:
    """Of both that send forms."""
    clean = {name: text.encode(errors="replace").decode() for name, text in said.items()}

    only_refuses(READ["twilio"], twilio(KEY, url="https://notifier.example.com/callbacks/x", **clean))
    only_refuses(
        READ["vonage"], callback(urlencode(vonage(KEY, **clean)), content_type="x-www-form-urlencoded")
    )


@pytest.mark.parametrize(
    "moment",
    ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "1e300", "-1", "20260504", "yesterday", "٣"],
)
def test_a_time_nobody_can_mean_is_now(moment: str) -> None:
    """The fact counts, not when."""
    receipt = READ["ses"](
        callback(json.dumps(SIGNER.message(ses_event("Send", {"timestamp": moment}))))
    ).receipts[0]

    assert receipt.to_json()["at"]


@pytest.mark.parametrize("module", [mailgun_module, postmark_module, twilio_signature, vonage_signature])
def test_secrets_are_compared_in_constant_time(module: Any) -> None:
    """By ``hmac.compare_digest``, and by no operator."""
    tree = ast.parse(inspect.getsource(module))
    secret = {"expected", "given", "found", "signature", "_expected", "given_hash"}

    calls = [node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    compared = {
        part.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Compare) and any(isinstance(op, ast.Eq | ast.NotEq) for op in node.ops)
        for part in ast.walk(node)
        if isinstance(part, ast.Name)
    }

    assert "compare_digest" in calls
    assert not compared & secret


def test_every_kind_of_provider_that_tells_is_heard() -> None:
    """And none that does not."""
    telling = {name for name, kind in KINDS.items() if kind.capabilities.receipts}

    assert set(READERS) == telling
    for name in telling:
        words = set(KINDS[name].capabilities.receipts)
        assert words <= {kind.value for kind in ReceiptKind}


def test_every_bounce_has_a_class_and_every_other_receipt_none() -> None:
    """Whatever the provider."""
    bounced = READ["postmark"](callback(postmark("Bounce", Type="HardBounce"), authorization=basic("u", KEY)))

    assert bounced.receipts[0].bounce is BounceClass.HARD
