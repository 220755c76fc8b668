"""Make and read the private keys of DKIM, and write what DNS must say of them.

Pure: texts in, keys and texts out; opens no file and asks no DNS. Never repeats a key in an error.
"""

import base64
from collections.abc import Iterator
from typing import Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

Algorithm = Literal["rsa", "ed25519"]

# RFC 8301 §3.2: at least 1024 bits, should be 2048; verifiers need not take more than 4096.
LEAST_BITS = 1024
ADVISED_BITS = 2048
MOST_BITS = 4096
_EXPONENT = 65537
# RFC 1035 §3.3: a TXT record consists of strings of at most 255 octets, which verifiers join.
_STRING = 255


def new_key(algorithm: Algorithm = "rsa") -> bytes:
    """Return a new private key as PEM (PKCS #8)."""
    is_rsa = algorithm == "rsa"
    key = generate_private_key(_EXPONENT, ADVISED_BITS) if is_rsa else Ed25519PrivateKey.generate()
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def read_key(pem: bytes) -> RSAPrivateKey | Ed25519PrivateKey:
    """Return the private key in a PEM text.

    Raises:
        ValueError: saying what is wrong with it; RFC 8301 rules out RSA below 1024 bits.
    """
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except TypeError:
        raise ValueError("the key is locked with a passphrase") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("is no private key in PEM") from None
    if isinstance(key, Ed25519PrivateKey):
        return key
    if not isinstance(key, RSAPrivateKey):
        raise ValueError("DKIM knows RSA and Ed25519 keys only")  # noqa: TRY004 - the text is wrong, not a type
    if not LEAST_BITS <= key.key_size <= MOST_BITS:
        raise ValueError(
            f"an RSA key must have {LEAST_BITS} to {MOST_BITS} bits, this one has {key.key_size}"
        )
    return key


def record_name(selector: str, domain: str) -> str:
    """Return where the record stands, with the dot that ends an absolute name."""
    return f"{selector}._domainkey.{domain}."


def record(key: RSAPrivateKey | Ed25519PrivateKey) -> str:
    """Return the text of the DNS record (RFC 6376 §3.6.1, RFC 8463 §4)."""
    if isinstance(key, Ed25519PrivateKey):
        return f"v=DKIM1; k=ed25519; p={base64.b64encode(key.public_key().public_bytes_raw()).decode()}"
    return f"v=DKIM1; k=rsa; p={base64.b64encode(public_der(key)).decode()}"


def public_der(key: RSAPrivateKey | Ed25519PrivateKey) -> bytes:
    """Return the public half as DER (SubjectPublicKeyInfo)."""
    return key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def record_line(selector: str, domain: str, text: str) -> str:
    """Return the record as a zone file has it, its text cut into strings of 255 octets."""
    strings = " ".join(f'"{part}"' for part in _strings(text))
    return f"{record_name(selector, domain)} IN TXT {strings}"


def _strings(text: str) -> Iterator[str]:
    return (text[at : at + _STRING] for at in range(0, len(text), _STRING))
