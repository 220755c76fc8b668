"""The address where a mail unsubscribes: says which link and message it is of, and nobody else can make one."""

from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.ids import uuid7
from notifier.mailin.doors import COMPLAINTS, Door, Doors
from notifier.mime import validate_address
from notifier.tokens import (
    link_of_unsubscribe_address,
    message_of_return_path,
    message_of_tag,
    mint_person_token,
    mint_return_path,
    mint_unsubscribe_address,
    tag_message,
)

KEY = bytes(range(32))
TOKEN = mint_person_token(KEY, tenant="acme", person=uuid7(), category="news")
DOMAIN = "mail.example.com"


@settings(deadline=None, max_examples=50)
@given(message=st.uuids(), person=st.uuids())
def test_an_address_gives_back_link_and_message(message: UUID, person: UUID) -> None:
    """In lower case, and as long as RFC 5321 allows."""
    token = mint_person_token(KEY, tenant="acme", person=person, category="news")
    address = mint_unsubscribe_address(KEY, token, message, DOMAIN)

    assert len(address.partition("@")[0]) == 64
    assert validate_address(address) == address == address.lower()
    assert link_of_unsubscribe_address(KEY, address) == (token, tag_message(KEY, token, message))
    assert message_of_tag(KEY, token, tag_message(KEY, token, message)) == message


@pytest.mark.parametrize("change", [str.upper, str.title, lambda one: f"<{one}>", lambda one: f" {one}\n"])
def test_mail_systems_may_change_case_and_brackets(change: object) -> None:
    """As some do on the way."""
    address = mint_unsubscribe_address(KEY, TOKEN, uuid7(), DOMAIN)

    assert link_of_unsubscribe_address(KEY, change(address)) is not None  # type: ignore[operator]


def test_every_changed_letter_is_refused() -> None:
    """No part of it is free, the spare bits of the last letter neither; nor is another key's ours."""
    address = mint_unsubscribe_address(KEY, TOKEN, uuid7(), DOMAIN)
    local, _, domain = address.partition("@")

    assert link_of_unsubscribe_address(bytes(32), address) is None
    for at in range(len(local)):
        for letter in "abcdefgh234567":
            if letter != local[at]:
                changed = f"{local[:at]}{letter}{local[at + 1 :]}@{domain}"
                assert link_of_unsubscribe_address(KEY, changed) is None, (at, letter)


@settings(deadline=None, max_examples=100)
@given(address=st.text(max_size=120) | st.from_regex(r"u[a-z2-7]{63}@x", fullmatch=True))
def test_no_text_raises(address: str) -> None:
    """It comes from outside."""
    assert link_of_unsubscribe_address(KEY, address) is None


def test_each_door_is_known_from_the_others() -> None:
    """A return path never unsubscribes, an address to unsubscribe is never a bounce's."""
    message = uuid7()
    path = mint_return_path(KEY, message, "bounces@mail.example.com")
    address = mint_unsubscribe_address(KEY, TOKEN, message, DOMAIN)
    doors = Doors(KEY, ["fbl@mail.example.com"])

    assert doors.door(path) == Door(message)
    assert doors.door(address) == Door(None, (TOKEN, tag_message(KEY, TOKEN, message)))
    assert doors.door("FBL@mail.example.com") is COMPLAINTS
    assert message_of_return_path(KEY, address) is None
    assert link_of_unsubscribe_address(KEY, path) is None
