"""Mint the address of a mail that unsubscribes: the link's own secret, and the message it stood in.

In base32, since mail systems change the case of letters. It is 64 octets long, all that RFC 5321 §4.5.3.1.1 allows
before the @; so its domain must take any local part.
"""

import base64
import re
from uuid import UUID

from notifier.tokens.person_links import message_of_tag, tag_message

_FORM = re.compile(r"u([a-z2-7]{63})@[^@\s]+")
_TOKEN_LENGTH = 24


def mint_unsubscribe_address(key: bytes, token: str, message: UUID, domain: str) -> str:
    """Return the address to which a mail unsubscribes by the link with this token.

    Args:
        key: What whoever takes the mail checks it with (``Keyring.return_path_key``): it can mint no token.
        token: The link's, of :func:`~notifier.tokens.person_links.mint_person_token`.
        message: The message the address stands in.
        domain: Whose mails come to us, whatever their local part.
    """
    raw = base64.urlsafe_b64decode(token + tag_message(key, token, message))
    return f"u{base64.b32encode(raw).decode().rstrip('=').lower()}@{domain}"


def link_of_unsubscribe_address(key: bytes, address: str) -> tuple[str, str] | None:
    """Return token and tag of such an address; None for one that is not ours, or was forged.

    In any case of letters, with or without angle brackets.
    """
    match = _FORM.fullmatch(address.strip().removeprefix("<").removesuffix(">").lower())
    if match is None:
        return None
    raw = base64.b32decode(f"{match[1]}=".upper())
    text = base64.urlsafe_b64encode(raw).decode()
    token, tag = text[:_TOKEN_LENGTH], text[_TOKEN_LENGTH:]
    # 63 letters hold three bits more than the token and its tag: one spelling of them is ours.
    is_ours = base64.b32encode(raw).decode().rstrip("=").lower() == match[1]
    return (token, tag) if is_ours and message_of_tag(key, token, tag) is not None else None
