"""Seal bytes with AES-256-GCM under a given key.

Layout: version byte 1, 12 bytes of nonce, ciphertext with its 16-byte tag. The ``aad`` binds a value to
its place, so that one row's ciphertext does not open in another.
"""

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from notifier.errors import CannotUnseal

KEY_BYTES = 32
_VERSION = b"\x01"
_NONCE_BYTES = 12


def seal(key: bytes, plaintext: bytes, aad: bytes) -> bytes:
    """Return the sealed bytes; a new nonce each time."""
    nonce = os.urandom(_NONCE_BYTES)
    return _VERSION + nonce + AESGCM(key).encrypt(nonce, plaintext, aad)


def unseal(key: bytes, sealed: bytes, aad: bytes) -> bytes:
    """Return what was sealed.

    Raises:
        CannotUnseal: another key, another place, or changed bytes.
    """
    if sealed[:1] != _VERSION:
        raise CannotUnseal("the sealed value has a version this release does not know")
    nonce, ciphertext = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
    try:
        return AESGCM(key).decrypt(nonce, ciphertext, aad)
    except (InvalidTag, ValueError):
        raise CannotUnseal from None


def new_key() -> bytes:
    """Return 32 fresh random bytes."""
    return os.urandom(KEY_BYTES)
