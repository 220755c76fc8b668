"""The return path of one message: known again in any case, and by nobody else to be made."""

import re
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.ids import uuid7
from notifier.mime import validate_address
from notifier.tokens import message_of_return_path, mint_message_id, mint_return_path

KEY = bytes(range(32))
BASE = "bounces@mail.example.com"


@settings(deadline=None, max_examples=50)
@given(message=st.uuids())
def test_a_return_path_is_an_address_that_names_its_message(message: UUID) -> None:
    """Lower case, in a form every server takes, and the same each time."""
    path = mint_return_path(KEY, message, BASE)

    assert re.fullmatch(r"bounces\+b[a-z2-7]{42}@mail\.example\.com", path)
    assert validate_address(path) == path == mint_return_path(KEY, message, BASE)
    assert message_of_return_path(KEY, path) == message


@pytest.mark.parametrize(
    "change", [str.upper, str.title, lambda path: f"<{path}>", lambda path: f" {path}\n"]
)
def test_servers_may_change_case_and_brackets(change: object) -> None:
    """As some do on the way back."""
    message = uuid7()

    assert message_of_return_path(KEY, change(mint_return_path(KEY, message, BASE))) == message  # type: ignore[operator]


@pytest.mark.parametrize("base", ["a" * 21 + "@example.com", '"odd local"@example.com'])
def test_a_base_that_leaves_no_room_is_left_out(base: str) -> None:
    """RFC 5321 allows 64 octets before the @."""
    message = uuid7()

    path = mint_return_path(KEY, message, base)

    assert re.fullmatch(r"b[a-z2-7]{42}@example\.com", path)
    assert message_of_return_path(KEY, path) == message


@pytest.mark.parametrize("before", ["prvs=1234567890=", "SRS0=Hs4=Tt=example.com="])
@pytest.mark.parametrize("base", [BASE, "a" * 21 + "@example.com"])
def test_what_servers_put_in_front_is_no_part_of_it(before: str, base: str) -> None:
    """BATV and SRS both end theirs with an equals sign; some bounces come back to that."""
    message = uuid7()

    assert message_of_return_path(KEY, before + mint_return_path(KEY, message, base)) == message


def test_a_longest_base_keeps_its_place() -> None:
    """20 letters, a plus and the token are 64."""
    path = mint_return_path(KEY, uuid7(), "a" * 20 + "@example.com")

    assert path.startswith("a" * 20 + "+b")
    assert len(path.partition("@")[0]) == 64


def test_a_base_with_a_tag_of_its_own_works() -> None:
    """Split at the last plus."""
    message = uuid7()

    assert message_of_return_path(KEY, mint_return_path(KEY, message, "ops+b@example.com")) == message


def test_nobody_else_can_make_one() -> None:
    """Another key, another message, a letter changed, or the MAC of a Message-ID: not ours."""
    message = uuid7()
    path = mint_return_path(KEY, message, BASE)
    local, _, domain = path.partition("@")
    mac = mint_message_id(KEY, message, "x").partition(".")[2].partition("@")[0]

    assert message_of_return_path(bytes(32), path) is None
    assert message_of_return_path(KEY, f"{local[:-16]}{mac}@{domain}") is None
    for at in range(len("bounces+b"), len(local)):
        letter = "a" if local[at] != "a" else "b"
        assert message_of_return_path(KEY, f"{local[:at]}{letter}{local[at + 1 :]}@{domain}") is None, at


@pytest.mark.parametrize(
    "address",
    [
        "",
        "@",
        BASE,
        "b@example.com",
        "b" + "a" * 42,
        f"b{'1' * 42}@example.com",
        f"b{'a' * 42}@",
        "\0" * 60,
        "é" * 50,
    ],
)
def test_anything_else_is_nobodys(address: str) -> None:
    """And raises nothing."""
    assert message_of_return_path(KEY, address) is None


@settings(deadline=None, max_examples=100)
@given(address=st.text(max_size=120))
def test_no_text_raises(address: str) -> None:
    """It comes from outside."""
    assert message_of_return_path(KEY, address) is None


def test_two_messages_never_share_one() -> None:
    """Nor do two keys."""
    assert len({mint_return_path(KEY, uuid4(), BASE) for _ in range(50)}) == 50
