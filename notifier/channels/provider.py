"""What every provider of the settings has in common, and what an adapter says of itself.

Values only: a kind of provider is one module that fills these in, and one line of the registry.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, Self, get_origin
from urllib.parse import SplitResult, urlsplit

import orjson
from pydantic import Field, SecretStr, model_validator

from notifier.channels.base import Channel
from notifier.channels.inquiry import Inquiry
from notifier.clock import Clock, SystemClock
from notifier.documents import Strict
from notifier.forms import wrong
from notifier.messages import ChannelName, Outgoing
from notifier.mime import Signer
from notifier.setting_tables import RateLimits, Wait
from notifier.tokens import reference_of

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_TABLES: Final = (tuple, Mapping)
_SLACK_SECONDS = 1.0


def is_private_to_us(url: str) -> bool:
    """Say whether nobody on the way to ``url`` can read along: TLS, or it never leaves this machine."""
    parts = split_url(url)
    return parts.scheme == "https" or parts.hostname in _LOOPBACK


class ProviderSettings(Strict):
    """What an operator sets for any provider that is reached over HTTP."""

    kind: str
    base_url: str = ""
    """Where its API is; a stand-in's, in tests."""
    connections: int = Field(default=8, ge=1, le=500)
    """Open at most this many connections from one process."""
    connect_timeout: Wait = timedelta(seconds=5)
    read_timeout: Wait = timedelta(seconds=20)
    """For each wait; with ``connect_timeout`` the deadline of a whole request."""
    plain_http_allowed: bool = False
    """For a stand-in within one's own network; this machine itself never needs it."""
    limits: RateLimits = RateLimits()
    """How fast it may be given messages."""

    @model_validator(mode="before")
    @classmethod
    def _read_tables(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Read lists and tables of variables, which are JSON there."""
        tables = {name for name, field in cls.model_fields.items() if get_origin(field.annotation) in _TABLES}
        return {key: _table(value) if key in tables else value for key, value in values.items()}

    @model_validator(mode="after")
    def _check_url(self) -> Self:
        if self.base_url:
            check_url(self.base_url, is_plain_allowed=self.plain_http_allowed)
        return self

    @property
    def is_encrypted(self) -> bool:
        """Say whether nobody on the way can read along."""
        return not self.base_url or is_private_to_us(self.base_url)

    @property
    def patience(self) -> "Patience":
        """How long one request may take."""
        return Patience(
            connect_seconds=self.connect_timeout.total_seconds(),
            read_seconds=self.read_timeout.total_seconds(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long one request may take."""

    connect_seconds: float
    """For the connection, and again for its TLS."""
    read_seconds: float
    """For each wait; with ``connect_seconds`` the deadline of a whole request, to its answer's last byte."""

    @property
    def seconds(self) -> float:
        """The deadline of a request."""
        return self.connect_seconds + self.read_seconds

    @property
    def phase_seconds(self) -> float:
        """The deadline, with what closing and judging take."""
        return self.seconds + _SLACK_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What one can have of a kind of provider; ``notifier provider list`` shows it."""

    channel: ChannelName
    receipts: tuple[str, ...] = ()
    """Which receipts it sends back (words of ``notifier.receipts.ReceiptKind``)."""
    has_idempotency_key: bool = False
    """The same message handed over twice is taken once."""
    has_raw_mime: bool = False
    """Our own MIME goes out, with our headers."""
    keeps_message_id: bool = False
    """The Message-ID is ours."""
    has_own_signature: bool = False
    """It signs with DKIM itself."""
    has_attachments: bool = False
    max_bytes: int | None = None
    """The largest message it takes, attachments as they are encoded."""
    cannot: tuple[str, ...] = ()
    """What else it cannot do, in words for people."""
    documentation: tuple[str, ...] = ()
    """The pages the mapping comes from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What an adapter may need besides its settings."""

    clock: Clock = field(default_factory=SystemClock)
    callbacks: str = ""
    """Below which URL callbacks are taken, each provider's by its name; empty = nobody could reach us."""
    signer: Signer | None = None
    """Signs with DKIM what goes out as our own MIME."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of provider: the form of its settings, its adapter, and what it can do."""

    settings: type[ProviderSettings]
    build: Callable[[str, Any, Surroundings], Channel]
    """Name, settings, surroundings → channel."""
    capabilities: Capabilities
    check: Callable[[str, Any], None] | None = None
    """Name, settings → nothing, or a ConfigError about what only this machine can tell; may ask over the network."""
    inquire: Callable[[Any], Inquiry] | None = None
    """Settings → what ``doctor`` asks about our account; None where only a message shows whether we are let in."""


def check_url(url: str, *, is_plain_allowed: bool) -> None:
    """Refuse what is no URL of an API, or would carry a secret in the clear.

    Raises:
        ValueError: as pydantic wants it from a validator.
    """
    parts = split_url(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.query:
        raise wrong("must be an http or https URL without user and query", "write https://api.example.com")
    if not is_plain_allowed and not is_private_to_us(url):
        raise wrong("a secret is never sent without TLS", "use https")


def _table(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        raise wrong("is not JSON", "lists and tables are JSON in a variable") from None


def reference(message: Outgoing) -> str:
    """Return what travels along and comes back in callbacks: our id with its MAC, in letters, digits and a dash."""
    return reference_of(message.message_id) or message.id.hex


def secret(value: SecretStr | None) -> str:
    """Return a secret's text, empty where there is none."""
    return value.get_secret_value() if value is not None else ""


def split_url(url: str) -> SplitResult:
    """Return the parts of a URL, all of them empty where it is none."""
    try:
        parts = urlsplit(url)
        _ = parts.port, parts.hostname
    except ValueError:
        return SplitResult("", "", "", "", "")
    return parts
