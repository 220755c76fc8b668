"""Turn an address into a keyed hash, so that sealed rows can be found by exact address.

Equal addresses give equal values (that much leaks to who reads the database); nothing else is searchable.
"""

import hmac
import unicodedata

INDEX_BYTES = 16


def blind_index(key: bytes, tenant: str, address: str) -> bytes:
    """Return 16 bytes of HMAC-SHA256 over the tenant and the normalised address."""
    message = f"{len(tenant)}:{tenant}{normalise(address)}".encode()
    return hmac.digest(key, message, "sha256")[:INDEX_BYTES]


def normalise(address: str) -> str:
    """Fold what people spell differently: letter case, Unicode forms, blanks and dashes in phone numbers."""
    folded = unicodedata.normalize("NFKC", address).strip().casefold()
    if "@" in folded:
        return folded
    digits = folded.translate(str.maketrans("", "", " -()/."))
    return digits if digits.removeprefix("+").isdigit() else folded
