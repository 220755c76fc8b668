"""Hold the master keys: the only secret that lives outside the database.

The file has one key a line, ``id:base64 of 32 bytes``; the first is used for new data, the others only
open what was sealed under them before a rotation.
"""

import base64
import binascii
from collections.abc import Mapping

from notifier.crypto import sealing
from notifier.errors import ConfigError, KeyMissing


class MasterKeys:
    """The keys that wrap the keyring."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        if not keys:
            raise ConfigError(
                "no master key",
                field="NOTIFIER_MASTER_KEY",
                mend="`notifier keys new NAME` makes one: put its line into a file, set NOTIFIER_MASTER_KEY_FILE",
            )
        self._keys = dict(keys)
        self.active = next(iter(self._keys))

    @classmethod
    def parse(cls, text: str) -> "MasterKeys":
        """Read the lines of the key file.

        Raises:
            ConfigError: a line is no key; the key itself is never quoted.
        """
        keys: dict[str, bytes] = {}
        for number, line in enumerate(text.split(), start=1):
            name, _, encoded = line.partition(":")
            try:
                key = base64.b64decode(encoded, validate=True)
            except (binascii.Error, ValueError):
                key = b""
            if not name or len(key) != sealing.KEY_BYTES:
                raise ConfigError(
                    "must be `id:base64 of 32 bytes`",
                    field=f"master key {number}",
                    mend="`notifier keys new NAME` prints a valid line",
                )
            keys[name] = key
        return cls(keys)

    @staticmethod
    def new_line(name: str) -> str:
        """Return the line of a fresh master key."""
        return f"{name}:{base64.b64encode(sealing.new_key()).decode()}"

    def wrap(self, key: bytes) -> tuple[str, bytes]:
        """Return the active master key's id and ``key`` wrapped under it."""
        return self.active, sealing.seal(self._keys[self.active], key, b"keyring")

    def unwrap(self, name: str, wrapped: bytes) -> bytes:
        """Return the key wrapped under master key ``name``.

        Raises:
            CannotUnseal: that master key is not here, or is another one.
        """
        if name not in self._keys:
            raise KeyMissing(f"master key {name!r} is missing: add its line to the master key file again")
        return sealing.unseal(self._keys[name], wrapped, b"keyring")
