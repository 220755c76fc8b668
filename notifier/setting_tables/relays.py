"""The relays and gateways that take our messages, how fast, and which of them takes which.

Shapes only; the providers with APIs of their own are shaped in ``notifier.channels``.
"""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SecretStr

from notifier.documents import Strict
from notifier.events import Urgency
from notifier.messages import ChannelName
from notifier.setting_tables.values import Port, Rate, Wait


class RateLimits(Strict):
    """How fast a relay or provider may be given messages, by all processes together."""

    rate: Rate | None = None
    """Over all destinations."""
    per_destination: Mapping[str, Rate] = Field(default_factory=dict)
    """Mailbox provider → rate."""


class Relay(Strict):
    """An SMTP server that takes our mail."""

    host: str
    port: Port = 587
    security: Literal["starttls", "implicit", "none"] = "starttls"
    username: str | None = None
    password: SecretStr | None = None
    ca_file: Path | None = None
    helo: str | None = None
    connections: int = Field(default=8, ge=1, le=500)
    """Open at most this many connections from one process."""
    verify: bool = True
    """Check the server's certificate; only a test or a lab has reason not to."""
    max_messages_per_connection: int = Field(default=100, ge=1)
    idle_timeout: Wait = timedelta(seconds=60)
    """A connection that was not used for so long is closed."""
    connect_timeout: Wait = timedelta(seconds=10)
    login_timeout: Wait = timedelta(seconds=30)
    """From greeting to login, TLS included."""
    command_timeout: Wait = timedelta(seconds=30)
    data_timeout: Wait = timedelta(seconds=60)
    dot_timeout: Wait = timedelta(seconds=120)
    """How long to wait for the answer to the final dot; RFC 5321 §4.5.3.2.6 allows servers 10 minutes."""
    limits: RateLimits = RateLimits()
    """How fast it may be given mails."""


def _weights(value: Any) -> Any:
    """Read a list of relays as one of equal weights."""
    is_list = isinstance(value, list | tuple) and all(isinstance(name, str) for name in value)
    return dict.fromkeys(value, 1) if is_list else value


class Route(Strict):
    """Which relays take the messages it fits; the first route that fits a message holds."""

    channel: ChannelName
    tenants: tuple[str, ...] = ()
    """All tenants where empty."""
    urgency: tuple[Urgency, ...] = ()
    """Any urgency where empty."""
    use: Annotated[Mapping[str, Annotated[int, Field(ge=1)]], BeforeValidator(_weights), Field(min_length=1)]
    """Relay or provider → weight: of all messages it gets its weight's share."""
    failover: tuple[str, ...] = ()
    """Who stands in, the first that works, while none of ``use`` does."""


class Sms(Strict):
    """A gateway that speaks Twilio's Messages API."""

    base_url: str
    account_sid: str
    auth_token: SecretStr
    sender: str
    connections: int = Field(default=8, ge=1, le=500)
    connect_timeout: Wait = timedelta(seconds=5)
    read_timeout: Wait = timedelta(seconds=20)
    plain_http_allowed: bool = False
    """For a stand-in within one's own network; this machine itself never needs it."""
    limits: RateLimits = RateLimits()
    """How fast it may be given SMS."""
