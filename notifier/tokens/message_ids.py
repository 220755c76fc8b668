"""Mint Message-IDs from message ids (RFC 5322 §3.6.4), and know our own again.

The id is stable over retries of a message, new for a resend (which is a new message), and carries a MAC,
so that a bounce or reply cannot claim a message that was never sent.
"""

import base64
import hashlib
import hmac
import re
from uuid import UUID

_FORM = re.compile(r"<?([0-9a-f]{32})\.([a-z2-7]{16})@[^<>\s]+>?")


def mint_message_id(key: bytes, message: UUID, domain: str) -> str:
    """Return ``<id.mac@domain>``."""
    return f"<{message.hex}.{_mac(key, message)}@{domain}>"


def message_id_of(key: bytes, value: str) -> UUID | None:
    """Return the message a Message-ID names, or None where it is not one of ours or was forged."""
    match = _FORM.fullmatch(value.strip().lower())
    if match is None:
        return None
    message = UUID(match[1])
    return message if hmac.compare_digest(match[2], _mac(key, message)) else None


def _mac(key: bytes, message: UUID) -> str:
    # Keyed BLAKE2 (RFC 7693 §2.9) is a MAC as it is, and needs nothing set up for 26 bytes.
    digest = hashlib.blake2b(message.bytes, digest_size=10, key=key, person=b"message-id").digest()
    return base64.b32encode(digest).decode().lower()
