"""Make and open data keys: one per person, one per event.

Three levels: a master key wraps the keyring's few keys; the newest ``data`` key of the ring wraps each
data key; a data key seals one person's or one event's fields. So rotating the master rewraps a handful of
rows, and erasing a person is forgetting one wrapped key.
"""

import base64
import hashlib
import struct
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from notifier.crypto import sealing
from notifier.errors import CannotUnseal, KeyDestroyed, KeyMissing

_RELOAD_SECONDS = 2.0


class Purpose(StrEnum):
    """What a key of the ring is for."""

    DATA = "data"
    INDEX = "index"
    TOKEN = "token"  # noqa: S105 - the name of a purpose
    INTAKE = "intake"


@dataclass(frozen=True, slots=True, kw_only=True)
class RingKey:
    """One key of the ring, unwrapped."""

    id: int
    purpose: Purpose
    key: bytes


@dataclass(frozen=True, slots=True)
class DataKey:
    """A key that seals one person's or one event's fields, and its wrapped form for storage."""

    key: bytes
    wrapped: bytes

    def seal(self, plaintext: bytes, aad: bytes) -> bytes:
        """Seal a field."""
        return sealing.seal(self.key, plaintext, aad)

    def unseal(self, sealed: bytes, aad: bytes) -> bytes:
        """Open a field.

        Raises:
            CannotUnseal: another key or place.
        """
        return sealing.unseal(self.key, sealed, aad)


class Keyring:
    """The unwrapped keys of the ring; lives in memory only.

    Args:
        keys: What is there now.
        reload: Reads the ring again, when data turns up under a key that is not there.
    """

    def __init__(
        self, keys: Iterable[RingKey], reload: Callable[[], Iterable[RingKey]] | None = None
    ) -> None:
        self._reload, self._reloaded_at = reload, float("-inf")
        self._keys = {key.id: key for key in keys}
        newest = {key.purpose: key for key in sorted(self._keys.values(), key=lambda key: key.id)}
        missing = [purpose.value for purpose in Purpose if purpose not in newest]
        if missing:
            raise CannotUnseal(f"the keyring has no key for {', '.join(missing)}: run `notifier keys init`")
        self._newest = newest

    @property
    def index_key(self) -> bytes:
        """The key of the blind index."""
        return self._newest[Purpose.INDEX].key

    @property
    def token_key(self) -> bytes:
        """The key of signed ids and links."""
        return self._newest[Purpose.TOKEN].key

    @property
    def return_path_key(self) -> bytes:
        """The key of return paths: derived, so that who has it alone can make no other token."""
        return hashlib.blake2b(key=self.token_key, digest_size=32, person=b"return-path-key").digest()

    @property
    def intake_key(self) -> bytes:
        """The private X25519 key clients seal events to."""
        return self._newest[Purpose.INTAKE].key

    @property
    def sealing_key(self) -> str:
        """The public half of :attr:`intake_key`, base64 of 32 bytes."""
        return public_key(self.intake_key)

    def intake_keys(self) -> list[bytes]:
        """Return all private keys something may be sealed to, the newest first, and those made elsewhere since."""
        found = sorted(self._reloaded().values(), key=lambda key: key.id, reverse=True)
        return [key.key for key in found if key.purpose is Purpose.INTAKE]

    def new_data_key(self) -> DataKey:
        """Mint a data key, wrapped under the newest ``data`` key."""
        ring, key = self._newest[Purpose.DATA], sealing.new_key()
        return DataKey(key, struct.pack(">I", ring.id) + sealing.seal(ring.key, key, b"data-key"))

    def open_data_key(self, wrapped: bytes | None) -> DataKey:
        """Unwrap a stored data key.

        Raises:
            KeyDestroyed: there is none any more.
            KeyMissing: the ring lacks the key it is wrapped under, also after a second look.
        """
        if not wrapped:
            raise KeyDestroyed
        name = struct.unpack_from(">I", wrapped)[0]
        ring = self._keys.get(name) or self._reloaded().get(name)
        if ring is None:
            raise KeyMissing("the keyring lacks the key this data key is wrapped under")
        return DataKey(sealing.unseal(ring.key, wrapped[4:], b"data-key"), wrapped)

    def _reloaded(self) -> dict[int, RingKey]:
        """Look for keys made since, by a rotation elsewhere; at most every few seconds."""
        if self._reload is not None and time.monotonic() - self._reloaded_at > _RELOAD_SECONDS:
            self._reloaded_at = time.monotonic()
            self._keys = {**self._keys, **{key.id: key for key in self._reload()}}
        return self._keys


def public_key(private: bytes) -> str:
    """Return the public half of a raw X25519 key, base64 of 32 bytes."""
    key = X25519PrivateKey.from_private_bytes(private)
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()
