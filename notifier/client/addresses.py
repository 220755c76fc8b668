"""Read the URL a producer gives: which transport, which servers.

Opens nothing, and never repeats a password in an error.
"""

from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from notifier.errors import ConfigError

REDIS: Final = ("redis", "rediss", "sentinel")
POSTGRESQL: Final = ("postgresql", "postgresql+psycopg")

_SENTINEL_PORT: Final = 26379
_SENTINEL_FORM: Final = "sentinel://host:26379,host2:26379/service?db=0&password=..."
_SENTINEL_OPTIONS: Final = ("db", "username", "password", "sentinel_username", "sentinel_password", "ssl")


@dataclass(frozen=True, slots=True, kw_only=True)
class SentinelAddress:
    """Where the sentinels are, which service they watch, and how to log in."""

    sentinels: tuple[tuple[str, int], ...]
    service: str
    db: int = 0
    username: str | None = None
    password: str | None = None
    sentinel_username: str | None = None
    sentinel_password: str | None = None
    is_tls: bool = False


def scheme_of(url: str, *, allowed: tuple[str, ...] = REDIS + POSTGRESQL, field: str = "url") -> str:
    """Return the URL's scheme.

    Raises:
        ConfigError: listing the schemes there are.
    """
    scheme, separator, _rest = url.partition("://")
    if separator and scheme in allowed:
        return scheme
    said = f"unknown scheme {scheme!r}" if separator else "has no scheme"
    raise ConfigError(said, field=field, mend="use " + ", ".join(f"{name}://" for name in allowed))


def place(url: str) -> str:
    """Return the URL without credentials and options: fit for an error."""
    scheme, _, rest = url.partition("://")
    hosts = rest.partition("?")[0].rpartition("@")[2]
    return f"{scheme}://{hosts}"


def read_sentinel(url: str) -> SentinelAddress:
    """Read ``sentinel://host:port,host2:port2/service?db=0&password=...``.

    Raises:
        ConfigError: naming what is wrong.
    """
    parts = urlsplit(url)
    credentials, _, hosts = parts.netloc.rpartition("@")
    username, _, password = (unquote(part) for part in credentials.partition(":"))
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if unknown := sorted(set(options) - set(_SENTINEL_OPTIONS)):
        raise _wrong(f"unknown option {unknown[0]!r}, known: {', '.join(_SENTINEL_OPTIONS)}")
    service = unquote(parts.path.strip("/"))
    if not service or "/" in service:
        raise _wrong("names no service" if not service else "names more than one service")
    return SentinelAddress(
        sentinels=tuple(_host(item) for item in hosts.split(",")),
        service=service,
        db=_number(options.get("db", "0"), "db"),
        username=options.get("username") or username or None,
        password=options.get("password") or password or None,
        sentinel_username=options.get("sentinel_username"),
        sentinel_password=options.get("sentinel_password"),
        is_tls=options.get("ssl", "").lower() in {"1", "true", "yes"},
    )


def _host(text: str) -> tuple[str, int]:
    host, port = text, ""
    if not text.endswith("]") and ":" in text:  # [::1] without a port ends with a bracket
        host, _, port = text.rpartition(":")
    host = host.strip("[]")
    if not host:
        raise _wrong("has a sentinel without a host")
    return host, _number(port, "port") if port else _SENTINEL_PORT


def _number(text: str, what: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise _wrong(f"{what} is not a number")
    return int(text)


def _wrong(problem: str) -> ConfigError:
    return ConfigError(problem, field="url", mend=f"write {_SENTINEL_FORM}")
