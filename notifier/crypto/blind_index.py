"""Turn an address into a keyed hash, so that sealed rows can be found by exact address.

Equal addresses give equal values (that much leaks to who reads the database); nothing else is searchable.
"""

import hmac
import unicodedata

import idna

INDEX_BYTES = 16


def blind_index(key: bytes, tenant: str, address: str) -> bytes:
    """Return 16 bytes of HMAC-SHA256 over the tenant and the normalised address."""
    message = f"{len(tenant)}:{tenant}{normalise(address)}".encode()
    return hmac.digest(key, message, "sha256")[:INDEX_BYTES]


def normalise(address: str) -> str:
    """Fold what people spell differently: letter case, Unicode forms, blanks and dashes in phone numbers.

    And what machines do: a domain in A-labels (RFC 5890), as bounces name it, is the one people write.
    """
    folded = _folded(address)
    if "@" in folded:
        local, _, domain = folded.rpartition("@")
        return f"{local}@{_unicode(domain)}" if "xn--" in domain else folded
    digits = folded.translate(str.maketrans("", "", " -()/."))
    return digits if digits.removeprefix("+").isdigit() else folded


def spellings(address: str) -> frozenset[str]:
    """Return an address normalised, and with its domain as it stands on the wire (RFC 5890)."""
    known = normalise(address)
    local, at, domain = known.rpartition("@")
    try:
        return frozenset({known, f"{local}@{idna.encode(domain, uts46=True).decode()}" if at else known})
    except (idna.IDNAError, UnicodeError):
        return frozenset({known})


def _unicode(domain: str) -> str:
    try:
        return _folded(idna.decode(domain))
    except (idna.IDNAError, UnicodeError):
        return domain


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).strip().casefold()
