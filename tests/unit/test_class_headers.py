"""What the headers say of a mail by its class."""

import re

import pytest

from notifier.messages import MessageClass
from notifier.mime import class_headers


def made(message_class: MessageClass, **changes: str) -> dict[str, str]:
    """Return the headers of a mail."""
    values = {"type_name": "order.shipped", "tenant": "acme", "sender": "shop@mail.example.com"} | changes
    return class_headers(message_class, **values)


@pytest.mark.parametrize("message_class", MessageClass)
def test_only_mail_to_many_is_called_bulk(message_class: MessageClass) -> None:
    """An invoice with Precedence: bulk would be filed as bulk."""
    is_bulk = message_class in {MessageClass.SUBSCRIPTION, MessageClass.MARKETING}

    assert made(message_class).get("Precedence") == ("bulk" if is_bulk else None)


def test_feedback_id_names_type_tenant_class_and_sender() -> None:
    """From the narrow to the wide: Gmail counts its fields from the right."""
    headers = made(MessageClass.TRANSACTIONAL, sender_id="acme-shop")

    assert headers["Feedback-ID"] == "order.shipped:acme:transactional:acme-shop"


@pytest.mark.parametrize(
    "sender",
    ["a@example.com", "a@a-very-long-host.of-a-long-domain.example.com", "a@x.y", "a@bücher.example"],
)
def test_a_sender_id_has_5_to_15_letters_and_stays_the_same(sender: str) -> None:
    """The domain, where that fits, else a digest of it; never a part of the address before the @."""
    identity = made(MessageClass.MARKETING, sender=sender)["Feedback-ID"].rpartition(":")[2]
    other = made(MessageClass.MARKETING, sender="b" + sender[1:])["Feedback-ID"].rpartition(":")[2]

    assert re.fullmatch(r"[A-Za-z0-9._-]{5,15}", identity)
    assert identity == other


def test_no_part_can_end_its_field_or_the_header() -> None:
    """Colons, blanks and line ends are no part of a name."""
    value = made(MessageClass.MARKETING, type_name="a:b\r\nBcc: x", tenant="ü" * 99)["Feedback-ID"]

    assert value.count(":") == 3
    assert value.isascii()
    assert value.isprintable()
    assert " " not in value
