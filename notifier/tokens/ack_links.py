"""Mint the secret part of a link by which one person takes charge of what one message told them.

A MAC over what it stands for, and nothing else: it names nobody, and can be neither guessed nor made by those
who read the database, where only its hash is kept.
"""

import base64
import hashlib
import re
from datetime import datetime
from uuid import UUID

_BYTES = 18
_FORM = re.compile(r"[A-Za-z0-9_-]{24}")


def mint_ack_token(key: bytes, *, message: UUID, person: UUID, about: str, expires_at: datetime) -> str:
    """Return the token of a message to a person about something; the same each time."""
    until = int(expires_at.timestamp()).to_bytes(8, "big")
    bound = message.bytes + person.bytes + until + about.encode()
    digest = hashlib.blake2b(bound, digest_size=_BYTES, key=key, person=b"ack-link").digest()
    return base64.urlsafe_b64encode(digest).decode()


def ack_digest(token: str) -> bytes | None:
    """Return what the database keeps of a token; None for what cannot be one."""
    return hashlib.sha256(token.encode()).digest() if _FORM.fullmatch(token) else None
