"""Tell whether a request comes from Vonage: a signed token in a header, or the older hash among the fields.

https://developer.vonage.com/en/getting-started/concepts/webhooks#decoding-signed-webhooks (Messages API)
https://developer.vonage.com/en/getting-started/concepts/signing-messages (SMS API)
"""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import jwt

from notifier.inbound.callbacks.base import SKEW, NotBelieved, Trust

_ALGORITHMS = ("HS256",)
METHODS = ("md5hash", "md5", "sha1", "sha256", "sha512")
"""Which of them an account uses is a choice of its dashboard; the first where nobody chose."""


def check_token(header: str, trust: Trust, body: bytes, *, now: datetime) -> None:
    """Let through a request whose ``Authorization: Bearer`` token was made for its body, and not long ago.

    Raises:
        NotBelieved: the token is not signed with the secret, is too old or from the future, or is another body's.
    """
    try:
        claims = jwt.decode(
            header.partition(" ")[2].strip(),
            trust.secret,
            algorithms=list(_ALGORITHMS),
            # Times are judged below, by our clock; Vonage's tokens have no audience.
            options={
                "require": ["iat", "payload_hash"], "verify_iat": False, "verify_exp": False, "verify_nbf": False,
                "verify_aud": False, "verify_iss": False, "verify_sub": False, "verify_jti": False,
            },
        )  # fmt: skip
    except (jwt.PyJWTError, ValueError, TypeError):
        raise NotBelieved("signature") from None
    _check_time(claims["iat"], now, trust.window)
    found = hashlib.sha256(body).hexdigest().encode()
    if not hmac.compare_digest(found, str(claims["payload_hash"]).lower().encode(errors="replace")):
        raise NotBelieved("signature")


def check_hash(fields: Mapping[str, str], trust: Trust, *, now: datetime) -> None:
    """Let through fields whose ``sig`` was made of them with the secret, and whose ``timestamp`` is not long ago.

    Raises:
        NotBelieved: they are not.
    """
    given = fields.get("sig", "").lower().encode(errors="replace")
    offered = [trust.method] if trust.method else list(METHODS)
    if not any(hmac.compare_digest(sign(fields, trust.secret, one).encode(), given) for one in offered):
        raise NotBelieved("signature")
    _check_time(fields.get("timestamp"), now, trust.window)


def sign(fields: Mapping[str, str], secret: str, method: str) -> str:
    """Return the hash of fields in hexadecimal: an HMAC, or MD5 with the secret at its end."""
    text = "".join(
        f"&{name}={_plain(value)}" for name, value in sorted(fields.items()) if name != "sig"
    ).encode(errors="replace")
    if method == "md5hash":
        return hashlib.md5(text + secret.encode(), usedforsecurity=False).hexdigest()
    return hmac.digest(secret.encode(), text, method).hex()


def _plain(value: str) -> str:
    return value.replace("&", "_").replace("=", "_")


def _check_time(value: object, now: datetime, window: timedelta) -> None:
    try:
        at = datetime.fromtimestamp(float(str(value)), UTC)
    except (ValueError, OverflowError, OSError):
        raise NotBelieved("stale") from None
    if not now - window <= at <= now + SKEW:
        raise NotBelieved("stale")
