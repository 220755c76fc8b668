"""Tell whether a request comes from Vonage: a signed token in a header, or the older hash among the fields.

https://developer.vonage.com/en/getting-started/concepts/webhooks#decoding-signed-webhooks (Messages API)
https://developer.vonage.com/en/getting-started/concepts/signing-messages (SMS API)
"""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import jwt

from notifier.inbound.callbacks.base import SKEW, NotBelieved

_ALGORITHMS = ("HS256",)
# By the length of the hash in hexadecimal: which of them an account uses is a choice of its dashboard.
_HMACS = {32: ("md5",), 40: ("sha1",), 64: ("sha256",), 128: ("sha512",)}


def check_token(header: str, secret: str, body: bytes, *, now: datetime, window: timedelta) -> None:
    """Let through a request whose ``Authorization: Bearer`` token was made for its body, and not long ago.

    Raises:
        NotBelieved: the token is not signed with the secret, is too old or from the future, or is another body's.
    """
    try:
        claims = jwt.decode(
            header.partition(" ")[2].strip(),
            secret,
            algorithms=list(_ALGORITHMS),
            # Times are judged below, by our clock; Vonage's tokens have no audience.
            options={
                "require": ["iat", "payload_hash"], "verify_iat": False, "verify_exp": False, "verify_nbf": False,
                "verify_aud": False, "verify_iss": False, "verify_sub": False, "verify_jti": False,
            },
        )  # fmt: skip
    except (jwt.PyJWTError, ValueError, TypeError):
        raise NotBelieved("signature") from None
    _check_time(claims["iat"], now, window)
    found = hashlib.sha256(body).hexdigest().encode()
    if not hmac.compare_digest(found, str(claims["payload_hash"]).lower().encode(errors="replace")):
        raise NotBelieved("signature")


def check_hash(fields: Mapping[str, str], secret: str, *, now: datetime, window: timedelta) -> None:
    """Let through fields whose ``sig`` was made of them with the secret, and whose ``timestamp`` is not long ago.

    Raises:
        NotBelieved: they are not.
    """
    given = fields.get("sig", "").lower().encode(errors="replace")
    expected = [value.encode() for value in hashes(fields, secret) if len(value) == len(given)]
    if not any(hmac.compare_digest(one, given) for one in expected):
        raise NotBelieved("signature")
    _check_time(fields.get("timestamp"), now, window)


def hashes(fields: Mapping[str, str], secret: str) -> list[str]:
    """Return each hash the fields could bear, in hexadecimal: HMACs, and MD5 with the secret at its end."""
    text = "".join(
        f"&{name}={_plain(value)}" for name, value in sorted(fields.items()) if name != "sig"
    ).encode(errors="replace")
    plain = hashlib.md5(text + secret.encode(), usedforsecurity=False).hexdigest()
    keyed = [hmac.digest(secret.encode(), text, name).hex() for names in _HMACS.values() for name in names]
    return [plain, *keyed]


def _plain(value: str) -> str:
    return value.replace("&", "_").replace("=", "_")


def _check_time(value: object, now: datetime, window: timedelta) -> None:
    try:
        at = datetime.fromtimestamp(float(str(value)), UTC)
    except (ValueError, OverflowError, OSError):
        raise NotBelieved("stale") from None
    if not now - window <= at <= now + SKEW:
        raise NotBelieved("stale")
