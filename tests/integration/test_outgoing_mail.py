"""The mail as it leaves the pipeline: signed, named by its class, with a way back of its own (O7, O8, C9)."""

from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from notifier.clock import SystemClock
from notifier.crypto.dkim_keys import new_key
from notifier.messages import MessageClass
from notifier.tokens import message_of_return_path
from tests.command import change_type
from tests.contracts.smtp_server import At, Say
from tests.dkim_verifier import records_of, verdicts
from tests.services import Flow, MakeFlow

pytestmark = pytest.mark.servers

MAIL = {
    "domain": "notifier.example",
    "sender": "no-reply@notifier.example",
    "reply_to": "help@notifier.example",
    "envelope_sender": "bounces@notifier.example",
    "feedback_id": "example-shop",
}


@pytest.fixture
def dkim(tmp_path: Path) -> dict[str, Any]:
    """Settings with a key of each kind for our domain."""
    (tmp_path / "rsa.pem").write_bytes(new_key())
    (tmp_path / "ed25519.pem").write_bytes(new_key("ed25519"))
    second = {"selector": "e1", "key_file": tmp_path / "ed25519.pem"}
    return {"notifier.example": {"selector": "r1", "key_file": tmp_path / "rsa.pem", "ed25519": second}}


def parsed(flow: Flow) -> EmailMessage:
    """Return the one mail the relay got."""
    (received,) = flow.smtp.received
    return message_from_bytes(received.data, policy=default)  # type: ignore[return-value]


def test_a_mail_leaves_signed_and_with_a_return_path_of_its_own(
    make_flow: MakeFlow, dkim: dict[str, Any]
) -> None:
    """From the event to the bytes the relay has; the bounce's address names the message."""
    flow = make_flow(mail=MAIL, dkim=dkim)
    flow.smtp.always(At.EHLO, Say("250-test.example\r\n250-DSN\r\n250 PIPELINING"))
    flow.ingest(flow.sample("order.shipped"))

    flow.deliver()

    (received,) = flow.smtp.received
    services, message = flow.services, flow.one_id()
    assert services.signer is not None
    keys = services.signer.keys_for("no-reply@notifier.example", SystemClock().now())
    assert verdicts(received.data, records_of(*keys)) == [True, True]
    assert received.sender.startswith("bounces+b")
    assert message_of_return_path(services.keyring.return_path_key, received.sender) == message
    commands = [line for _, line in flow.smtp.commands]
    assert f"MAIL FROM:<{received.sender}> RET=HDRS ENVID={message.hex}" in commands
    assert parsed(flow)["Feedback-ID"] == "order.shipped:default:transactional:example-shop"
    assert parsed(flow)["Precedence"] is None


def test_each_class_may_have_a_sender_of_its_own(make_flow: MakeFlow, dkim: dict[str, Any]) -> None:
    """What a class leaves out is as for all; mail to many is called bulk, and the parent domain signs for it."""
    senders = {"marketing": {"sender": "news@news.notifier.example", "sender_name": "News"}}
    flow = make_flow(mail={**MAIL, "senders": senders, "verp": False}, dkim=dkim)
    change_type(flow, "order.shipped", message_class=MessageClass.MARKETING)
    flow.ingest(flow.sample("order.shipped"))

    flow.deliver()

    (received,) = flow.smtp.received
    assert parsed(flow)["From"] == "News <news@news.notifier.example>"
    assert parsed(flow)["Reply-To"] == "help@notifier.example"
    assert parsed(flow)["Precedence"] == "bulk"
    assert received.sender == "bounces@notifier.example"
    assert b" d=notifier.example; s=r1;" in received.data


def test_the_key_signs_and_never_leaves(make_flow: MakeFlow, dkim: dict[str, Any]) -> None:
    """No part of the private key is in the mail."""
    flow = make_flow(mail=MAIL, dkim=dkim)
    flow.ingest(flow.sample("order.shipped"))

    flow.deliver()

    secret = dkim["notifier.example"]["key_file"].read_bytes()
    assert serialization.load_pem_private_key(secret, password=None)
    assert not any(line in flow.smtp.received[0].data for line in secret.split(b"\n")[1:-2])
