"""Tokens of acknowledge links: bound to what they stand for, and nothing else is one."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from notifier.tokens import ack_digest, mint_ack_token

KEY = b"k" * 32
BOUND = {
    "message": UUID(int=1),
    "person": UUID(int=2),
    "about": "alert:g:1",
    "expires_at": datetime(2026, 3, 1, tzinfo=UTC),
}


def test_a_token_is_the_same_each_time() -> None:
    """A message that is tried again has the same link."""
    token = mint_ack_token(KEY, **BOUND)  # type: ignore[arg-type]

    assert token == mint_ack_token(KEY, **BOUND)  # type: ignore[arg-type]
    assert ack_digest(token) is not None
    assert token.encode() not in (ack_digest(token) or b"")


@pytest.mark.parametrize(
    "other",
    [
        {"message": UUID(int=3)},
        {"person": UUID(int=3)},
        {"about": "alert:g:2"},
        {"expires_at": BOUND["expires_at"] + timedelta(seconds=1)},  # type: ignore[operator]
    ],
)
def test_another_recipient_message_or_end_is_another_token(other: dict[str, object]) -> None:
    """So is another key."""
    token = mint_ack_token(KEY, **BOUND)  # type: ignore[arg-type]

    assert mint_ack_token(KEY, **{**BOUND, **other}) != token  # type: ignore[arg-type]
    assert mint_ack_token(b"x" * 32, **BOUND) != token  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["", "x", "a" * 23, "a" * 25, "a" * 23 + "=", "a" * 23 + "\n", "ä" * 24])
def test_what_cannot_be_a_token_is_none(text: str) -> None:
    """The database is not asked."""
    assert ack_digest(text) is None
