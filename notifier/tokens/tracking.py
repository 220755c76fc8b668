"""Mint the secret part of the addresses that tell when a mail is opened and its links are followed.

A MAC over the message: it names nobody, and where a link leads is kept sealed under what the token gives.
"""

import base64
import hashlib
import re
from uuid import UUID

_BYTES = 18
TRAP = "x"
"""Stands for the link no person can see."""
_LINK = re.compile(rf"([A-Za-z0-9_-]{{24}})\.(\d{{1,3}}|{TRAP})")


def mint_tracking_token(key: bytes, message: UUID) -> str:
    """Return the 24 characters of a message; the same each time."""
    digest = hashlib.blake2b(message.bytes, digest_size=_BYTES, key=key, person=b"tracking").digest()
    return base64.urlsafe_b64encode(digest).decode()


def split_tracked_link(text: str) -> tuple[str, str] | None:
    """Return token and number of a link, or of the trap; None for what cannot be one."""
    match = _LINK.fullmatch(text)
    return (match[1], match[2]) if match else None
