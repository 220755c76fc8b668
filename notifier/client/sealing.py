"""Seal an event's private part so that only the server reads it: X25519, HKDF-SHA256, AES-256-GCM.

Both ends live here, sealer and opener; keys are passed in and never stored. The one module of the client
that needs ``cryptography``: import it only where something is sealed or opened.

Layout before base64: version 1 | fingerprint of the public key (8) | ephemeral public key (32) |
nonce (12) | ciphertext with its tag. The fingerprint lets the server pick the key after a rotation.
"""

import base64
import binascii
import hashlib
import json
import os
from collections.abc import Mapping
from typing import Final

from notifier.errors import CannotUnseal, ConfigError
from notifier.events import Json

try:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF
except ImportError:
    raise ConfigError(
        "sealing needs the package `cryptography`", field="seal_to", mend="pip install 'notifier[seal]'"
    ) from None

EventKey = tuple[str, str, str]
"""Tenant, source and id: bound to the ciphertext, so that it opens for this event only."""

VERSION: Final = 1
_FINGERPRINT, _PUBLIC, _NONCE, _TAG = 8, 32, 12, 16
_HEAD = 1 + _FINGERPRINT + _PUBLIC + _NONCE
_INFO = b"notifier intake seal v1"


def seal_private(private: Mapping[str, Json], public_key: str, event: EventKey) -> str:
    """Seal ``data``, ``to`` and ``attachments`` for the holder of the private key.

    Args:
        private: what ``Event.private_json`` returns.
        public_key: the server's X25519 key, base64 of 32 bytes.
        event: tenant, source and id of the event.

    Raises:
        ConfigError: the key is none.
    """
    recipient = read_public_key(public_key)
    ephemeral = X25519PrivateKey.generate()
    sender = ephemeral.public_key().public_bytes_raw()
    shared = ephemeral.exchange(X25519PublicKey.from_public_bytes(recipient))
    nonce = os.urandom(_NONCE)
    head = bytes([VERSION]) + fingerprint(recipient) + sender + nonce
    plain = json.dumps(private, ensure_ascii=False, separators=(",", ":")).encode()
    cipher = _cipher(shared, sender, recipient)
    return base64.b64encode(head + cipher.encrypt(nonce, plain, _bound(head, event))).decode()


def open_private(sealed: str, private_key: bytes, event: EventKey) -> dict[str, Json]:
    """Open what :func:`seal_private` made.

    Args:
        sealed: the event's ``sealed`` text.
        private_key: the raw X25519 private key, 32 bytes.
        event: tenant, source and id the event claims.

    Raises:
        CannotUnseal: another key, another event, or changed bytes.
    """
    raw = _decode(sealed)
    private = X25519PrivateKey.from_private_bytes(private_key)
    own = private.public_key().public_bytes_raw()
    if raw[1 : 1 + _FINGERPRINT] != fingerprint(own):
        raise CannotUnseal("the event is sealed for another key: give producers the current public key")
    head, sender, nonce = raw[:_HEAD], raw[1 + _FINGERPRINT : _HEAD - _NONCE], raw[_HEAD - _NONCE : _HEAD]
    try:
        shared = private.exchange(X25519PublicKey.from_public_bytes(sender))
        plain = _cipher(shared, sender, own).decrypt(nonce, raw[_HEAD:], _bound(head, event))
    except (InvalidTag, ValueError):
        raise CannotUnseal("the sealed part was changed, or belongs to another event") from None
    value: Json = json.loads(plain)
    if not isinstance(value, dict):
        raise CannotUnseal("the sealed part is not a JSON object")
    return value


def fingerprint(public_key: bytes) -> bytes:
    """Return the 8 bytes that name a public key."""
    return hashlib.sha256(public_key).digest()[:_FINGERPRINT]


def sealed_for(sealed: str) -> bytes:
    """Return the fingerprint of the key that opens ``sealed``.

    Raises:
        CannotUnseal: it is not of our making.
    """
    return _decode(sealed)[1 : 1 + _FINGERPRINT]


def read_public_key(text: str) -> bytes:
    """Return the 32 bytes of a public key.

    Raises:
        ConfigError: it is no base64 of 32 bytes.
    """
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != _PUBLIC:
        raise ConfigError(
            "must be the base64 of a 32-byte X25519 public key",
            field="seal_to",
            mend="copy what the server's `notifier keys` prints",
        )
    return raw


def _decode(sealed: str) -> bytes:
    try:
        raw = base64.b64decode(sealed, validate=True)
    except (binascii.Error, ValueError):
        raise CannotUnseal("the sealed part is not base64") from None
    if len(raw) < _HEAD + _TAG:
        raise CannotUnseal("the sealed part is cut short")
    if raw[0] != VERSION:
        raise CannotUnseal(f"the sealed part has version {raw[0]}, this server reads {VERSION}: upgrade it")
    return raw


def _bound(head: bytes, event: EventKey) -> bytes:
    # NUL cannot stand in tenant, source or id, so no two keys join to the same bytes.
    return head + "\0".join(event).encode()


def _cipher(shared: bytes, sender: bytes, recipient: bytes) -> AESGCM:
    key = HKDF(algorithm=SHA256(), length=32, salt=sender + recipient, info=_INFO).derive(shared)
    return AESGCM(key)
