"""Read the key of return paths out of the settings.

It is derived from the ring's token key and opens nothing: whoever has it can forge return paths, and only those.
"""

import base64
import binascii
from typing import Final

from pydantic import SecretStr

from notifier.errors import ConfigError

_BYTES: Final = 32


def read_key(setting: SecretStr | None) -> bytes:
    """Return the key.

    Raises:
        ConfigError: it is missing, or none.
    """
    mend = "copy what `notifier keys return-path` prints where the master key is"
    if setting is None:
        raise ConfigError("is required", field="mail_in.key", mend=mend)
    try:
        key = base64.b64decode(setting.get_secret_value(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != _BYTES:
        raise ConfigError("is no key of return paths", field="mail_in.key", mend=mend)
    return key
