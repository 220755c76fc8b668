"""Keys for SMS that come in, from the secret web process and workers share already: the gateway's token.

The web process has no master key: with these it can hand a message over sealed, and nothing else.
"""

import hmac
from dataclasses import dataclass

from notifier.crypto import sealing
from notifier.crypto.blind_index import INDEX_BYTES, normalise

_PLACE = b"sms-in"


@dataclass(frozen=True, slots=True)
class SmsKeys:
    """The keys of one gateway's account."""

    seal_key: bytes
    index_key: bytes

    @classmethod
    def of(cls, auth_token: str) -> "SmsKeys":
        """Derive the keys; each purpose has its own."""
        secret = auth_token.encode()
        return cls(
            hmac.digest(secret, b"notifier sms-in seal", "sha256"),
            hmac.digest(secret, b"notifier sms-in index", "sha256"),
        )

    def seal(self, content: bytes) -> bytes:
        """Seal what came in."""
        return sealing.seal(self.seal_key, content, _PLACE)

    def unseal(self, sealed: bytes) -> bytes:
        """Open it.

        Raises:
            CannotUnseal: the token was changed since.
        """
        return sealing.unseal(self.seal_key, sealed, _PLACE)

    def phone_index(self, number: str) -> bytes:
        """Return the keyed hash of a number, the same for all tenants: one number of ours serves them all."""
        return hmac.digest(self.index_key, normalise(number).encode(), "sha256")[:INDEX_BYTES]
