"""Tell whether a request comes from the gateway: Twilio's X-Twilio-Signature.

https://www.twilio.com/docs/usage/security#validating-requests: HMAC-SHA1 with the account's token over the URL as
the gateway called it, followed by each POST parameter, sorted by name, name and value without anything between.
"""

import base64
import hmac
import re
from collections.abc import Sequence

_AUTHORITY = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[^\]]*\]|[^/:?#]*)(?::(?P<port>\d+))?", re.IGNORECASE
)
_PORTS = {"https": "443", "http": "80"}

Parameters = Sequence[tuple[str, str]]


def sign(token: str, url: str, parameters: Parameters) -> str:
    """Return the signature; what is there several times counts once per value, in order."""
    text = url + "".join(f"{name}{value}" for name, value in sorted(set(parameters)))
    return base64.b64encode(hmac.digest(token.encode(), text.encode(), "sha1")).decode()


def is_signed(token: str, url: str, parameters: Parameters, signature: str) -> bool:
    """Tell whether a signature is the gateway's, in constant time.

    The gateway is known to sign with and without the scheme's own port, whichever the URL has, and without any other
    (its own validators try both).
    """
    given = signature.encode(errors="replace")
    return any(hmac.compare_digest(sign(token, one, parameters).encode(), given) for one in _spellings(url))


def _spellings(url: str) -> list[str]:
    found = _AUTHORITY.match(url)
    if found is None:
        return [url]
    rest, usual = url[found.end() :], _PORTS[found["scheme"].lower()]
    bare = f"{found['scheme']}://{found['host']}"
    if found["port"] not in (None, usual):
        return [url, f"{bare}{rest}"]
    return [f"{bare}{rest}", f"{bare}:{usual}{rest}"]
