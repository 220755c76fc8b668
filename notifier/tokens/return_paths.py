"""Mint a return path of its own for each message (VERP), and know our own again in a bounce.

The MAC keeps anybody from bouncing what was never sent, and so from suppressing a stranger's address.
"""

import base64
import hashlib
import hmac
import re
from uuid import UUID

_LOCAL_LIMIT = 64
_PATH_LIMIT = 254
# BATV (prvs=…=) and SRS0=…= put words before a local part, which some servers bounce to.
_FORM = re.compile(r"(?:[^@]*[+=])?b([a-z2-7]{26})([a-z2-7]{16})@[^@\s]+")


def mint_return_path(key: bytes, message: UUID, envelope_sender: str) -> str:
    """Return ``local+b<id><mac>@domain`` below the address bounces go to.

    Where that is longer than RFC 5321 allows, ``b<id><mac>@domain``: the domain must then take any local part.
    """
    local, _, domain = envelope_sender.rpartition("@")
    token = f"b{_base32(message.bytes)}{_mac(key, message)}"
    tagged = f"{local}+{token}"
    fits = len(tagged) <= _LOCAL_LIMIT and len(tagged) + 1 + len(domain) <= _PATH_LIMIT
    # A quoted local part takes no tag outside its quotes.
    return f"{tagged}@{domain}" if fits and not local.startswith('"') else f"{token}@{domain}"


def message_of_return_path(key: bytes, address: str) -> UUID | None:
    """Return the message whose bounce came to this address, or None where it is not ours or was forged.

    In any case of letters, with or without angle brackets: servers on the way change both.
    """
    match = _FORM.fullmatch(address.strip().removeprefix("<").removesuffix(">").lower())
    if match is None:
        return None
    message = UUID(bytes=base64.b32decode(f"{match[1]}======".upper()))
    is_ours = hmac.compare_digest(match[2], _mac(key, message))
    # 26 letters hold two bits more than an id: one spelling of it is ours.
    return message if is_ours and _base32(message.bytes) == match[1] else None


def _mac(key: bytes, message: UUID) -> str:
    return _base32(hashlib.blake2b(message.bytes, digest_size=10, key=key, person=b"return-path").digest())


def _base32(data: bytes) -> str:
    return base64.b32encode(data).decode().rstrip("=").lower()
