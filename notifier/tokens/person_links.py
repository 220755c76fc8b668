"""Mint the secret part of the links by which people say what they want to be told.

Three parts of a URL: a MAC over tenant, person and category, of which the database keeps only the hash; the message
it stood in, with a MAC of its own, whose key only workers have; and a sum of both, by which the web process refuses
what was changed on the way. Nothing in it names anybody.
"""

import base64
import binascii
import hashlib
import hmac
import re
from uuid import UUID

_TOKEN_BYTES, _TAG_BYTES, _SUM_BYTES = 18, 5, 3
_FORM = re.compile(r"([A-Za-z0-9_-]{24})(?:([A-Za-z0-9_-]{28})([A-Za-z0-9_-]{4}))?")


def mint_person_token(key: bytes, *, tenant: str, person: UUID, category: str) -> str:
    """Return the 24 characters of a person's link for a category; the same each time."""
    bound = f"{len(tenant)}:{tenant}{category}".encode() + person.bytes
    digest = hashlib.blake2b(bound, digest_size=_TOKEN_BYTES, key=key, person=b"person-link").digest()
    return base64.urlsafe_b64encode(digest).decode()


def tag_message(key: bytes, token: str, message: UUID) -> str:
    """Return the 28 characters that say which message a link stands in."""
    return base64.urlsafe_b64encode(message.bytes + _tag_mac(key, token, message)).decode()


def join_person_link(token: str, tag: str) -> str:
    """Return the 56 characters that stand in a URL."""
    return token + tag + _sum(token, tag)


def split_person_link(text: str) -> tuple[str, str | None] | None:
    """Return token and tag of what stands in a URL; None for what cannot be one, or was changed.

    It may be the token alone.
    """
    match = _FORM.fullmatch(text)
    if match is None or (match[2] and not hmac.compare_digest(match[3], _sum(match[1], match[2]))):
        return None
    return match[1], match[2]


def message_of_tag(key: bytes, token: str, tag: str | None) -> UUID | None:
    """Return the message a link stood in, or None where nobody can say or the tag was forged."""
    try:
        raw = base64.urlsafe_b64decode(tag or "")
    except (binascii.Error, ValueError):
        return None
    if len(raw) != 16 + _TAG_BYTES:
        return None
    message = UUID(bytes=raw[:16])
    return message if hmac.compare_digest(raw[16:], _tag_mac(key, token, message)) else None


def link_digest(token: str) -> bytes:
    """Return what the database keeps of a token."""
    return hashlib.sha256(token.encode()).digest()


def link_seal_key(token: str) -> bytes:
    """Return the key of what goes between the page behind a link and the worker: only the token gives it."""
    return hashlib.blake2b(token.encode(), digest_size=32, person=b"link-seal").digest()


def _sum(token: str, tag: str) -> str:
    digest = hashlib.blake2b(
        (token + tag).encode(), digest_size=_SUM_BYTES, person=b"person-link-sum"
    ).digest()
    return base64.urlsafe_b64encode(digest).decode()


def _tag_mac(key: bytes, token: str, message: UUID) -> bytes:
    bound = token.encode() + message.bytes
    return hashlib.blake2b(bound, digest_size=_TAG_BYTES, key=key, person=b"person-link-tag").digest()
