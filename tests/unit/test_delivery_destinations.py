"""Which mailbox provider a recipient is with (O7)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.delivery.destinations import OTHER, Destination, Destinations
from notifier.messages import ChannelName

KEY = b"k" * 32
DESTINATIONS = Destinations()


def group(address: str, channel: ChannelName = ChannelName.EMAIL) -> str:
    """Return the group of an address."""
    return DESTINATIONS.of(channel, address, KEY).group


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("a@gmail.com", "gmail"), ("a@GoogleMail.com", "gmail"), ("a@outlook.com", "microsoft"),
        ("a@hotmail.co.uk", "microsoft"), ("a@live.nl", "microsoft"), ("a@msn.com", "microsoft"),
        ("a@yahoo.co.jp", "yahoo"), ("a@yahoo.com.br", "yahoo"), ("a@aol.com", "yahoo"),
        ("a@ymail.com", "yahoo"), ("a@rocketmail.com", "yahoo"), ("a@icloud.com", "icloud"), ("a@me.com", "icloud"),
        ("a@gmx.at", "gmx"), ("a@web.de", "gmx"), ("a@proton.me", "proton"), ("a@zoho.eu", "zoho"),
        ("a@yandex.com.tr", "yandex"), ("a@mail.ru", "mailru"), ("a@qq.com", "qq"), ("a@foxmail.com", "qq"),
        ("a@163.com", "163"), ("a@comcast.net", "comcast"), ("a@orange.fr", "orange"),
        ("a@gmail.com.", "gmail"), ("a@example.com", OTHER), ("a@gmail.example.com", OTHER),
        ("a@yahoo.shop.example.org", OTHER), ("a@notgmail.com", OTHER), ("a@yahoo.info", OTHER),
        ("a@münchen.de", OTHER),
    ],
)  # fmt: skip
def test_a_domain_is_in_its_providers_group(address: str, expected: str) -> None:
    """Country variants too; what only looks like one is not."""
    assert group(address) == expected


@pytest.mark.parametrize(
    ("number", "expected"),
    [("+1 555 0100", "+1"), ("+49 30 1234", "+49"), ("+380441234567", "+380"), ("+7 495 1", "+7")],
)
def test_a_phone_is_in_its_countrys_group(number: str, expected: str) -> None:
    """By E.164's country codes."""
    assert group(number, ChannelName.SMS) == expected


def test_settings_add_domains_and_groups() -> None:
    """A company with many domains meets one limit; a group of ours may grow."""
    more = Destinations({"acme": ("acme.example", "acme.*"), "gmail": ("company.example",)})

    assert more.group("acme.example") == more.group("acme.co.uk") == "acme"
    assert more.group("company.example") == more.group("gmail.com") == "gmail"


def test_small_domains_are_told_apart_without_being_named() -> None:
    """By a keyed hash; big providers need none."""
    small = DESTINATIONS.of(ChannelName.EMAIL, "a@shop.example", KEY)

    assert small == DESTINATIONS.of(ChannelName.EMAIL, "b@SHOP.example", KEY)
    assert small != DESTINATIONS.of(ChannelName.EMAIL, "a@shop.example", b"x" * 32)
    assert small.domain is not None
    assert len(small.domain) == 8
    assert DESTINATIONS.of(ChannelName.EMAIL, "a@gmail.com", KEY) == Destination(group="gmail")


@settings(deadline=None)
@given(st.text(), st.sampled_from(ChannelName))
def test_whatever_an_address_is_it_has_a_destination(address: str, channel: ChannelName) -> None:
    """Nothing written as an address stops a message here, and no group's name grows with it."""
    assert 0 < len(group(address, channel)) < 12
