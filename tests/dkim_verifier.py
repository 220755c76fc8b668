"""Verify DKIM signatures as a receiver does: dkimpy reads the mail, and DNS is a mapping.

dkimpy leaves Ed25519 to PyNaCl, which is not installed; its one call goes to ``cryptography`` here. Parsing and
canonicalisation, in which signers err, stay dkimpy's own.
"""

import base64
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import dkim
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from notifier.crypto.dkim_keys import record, record_name
from notifier.mime import DkimKey


class _BadSignature(Exception):
    """The signature does not fit."""


class _VerifyKey:
    def __init__(self, text: bytes, encoder: object) -> None:  # noqa: ARG002 - PyNaCl's signature
        self._key = Ed25519PublicKey.from_public_bytes(base64.b64decode(text))

    def verify(self, data: bytes, signature: bytes) -> None:
        try:
            self._key.verify(signature, data)
        except InvalidSignature as error:
            raise _BadSignature from error


_NACL: Any = SimpleNamespace(
    signing=SimpleNamespace(VerifyKey=_VerifyKey),
    encoding=SimpleNamespace(Base64Encoder=None),
    exceptions=SimpleNamespace(BadSignatureError=_BadSignature, ValueError=ValueError),
)
if not hasattr(dkim, "nacl"):
    dkim.nacl = _NACL


def records_of(*keys: DkimKey) -> dict[str, str]:
    """Return what DNS says of the keys."""
    return {record_name(key.selector, key.domain): record(key.key) for key in keys}


def verdicts(mail: bytes, records: Mapping[str, str]) -> list[bool]:
    """Return for each signature of the mail, from the top, whether it holds."""

    def ask(name: bytes, timeout: int = 5) -> bytes:
        return records.get(name.decode(), "").encode()

    count = len([line for line in _head(mail).split(b"\r\n") if line.lower().startswith(b"dkim-signature:")])
    return [_holds(mail, number, ask) for number in range(count)]


def _holds(mail: bytes, number: int, ask: Any) -> bool:
    try:
        return bool(dkim.DKIM(mail).verify(number, dnsfunc=ask))
    except dkim.DKIMException:
        return False


def _head(mail: bytes) -> bytes:
    return mail.partition(b"\r\n\r\n")[0]
