"""The tables of the settings: relays, mail, limits and all the others, as pydantic shapes.

Shapes only: where their values come from stands in ``settings``.
"""

import ipaddress
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    Field,
    IPvAnyAddress,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from notifier.documents import Duration, Strict
from notifier.events import Urgency
from notifier.forms import (
    Address,
    Color,
    FeedbackId,
    Host,
    Link,
    OneLine,
    Selector,
    SourceUrl,
    wrong,
)
from notifier.messages import ChannelName, MessageClass

_PHONE = r"^\+[1-9]\d{6,14}$"
_REMEMBERED = timedelta(days=29)


def _is_some(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise ValueError("must be longer than 0s")
    return value


def _is_remembered(value: timedelta) -> timedelta:
    if value > _REMEMBERED:
        raise ValueError(f"must be at most {_REMEMBERED.days}d: for so long is known what was told already")
    return value


def _dns_server(value: str) -> str:
    host, colon, port = value.rpartition(":") if value.count(":") == 1 else (value, "", "")
    try:
        ipaddress.ip_address(host)
    except ValueError:
        raise ValueError("must be an IP address, with :port behind it if need be") from None
    if colon and not (port.isdigit() and 0 < int(port) <= 65535):  # noqa: PLR2004
        raise ValueError("the port must be 1 to 65535")
    return value


DnsServer = Annotated[str, AfterValidator(_dns_server)]
Wait = Annotated[Duration, AfterValidator(_is_some)]
Remembered = Annotated[Wait, AfterValidator(_is_remembered)]
"""No longer than we know what was handed in already."""
Port = Annotated[int, Field(ge=1, le=65535)]
LogLevel = Annotated[
    Literal["DEBUG", "INFO", "WARNING", "ERROR"],
    BeforeValidator(lambda value: value.upper() if isinstance(value, str) else value),
]


_PER = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def _read_rate(value: Any) -> Any:
    """Read ``14/s``, ``600/m``, ``10000/h`` or ``50000/d`` as messages a second."""
    if isinstance(value, float):
        return value
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)/([smhd])", value) if isinstance(value, str) else None
    if found is None or float(found[1]) <= 0:
        raise ValueError("must be a rate such as 14/s, 600/m, 10000/h or 50000/d")
    return float(found[1]) / _PER[found[2]]


Rate = Annotated[float, BeforeValidator(_read_rate)]
"""Messages a second, written ``14/s``, ``600/m``, ``10000/h`` or ``50000/d``."""


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


class Sender(Strict):
    """Who the mails of one class come from; what is left out is as in ``mail``."""

    sender: Address | None = None
    sender_name: OneLine | None = None
    reply_to: Address | None = None


class Mail(Strict):
    """Who our mails come from."""

    domain: Host = "localhost"
    """The right-hand side of Message-IDs."""
    sender: Address = "notifier@localhost"
    sender_name: OneLine | None = None
    reply_to: Address | None = None
    envelope_sender: Address | None = None
    """Where bounces go; the sender where unset."""
    sending_addresses: tuple[IPvAnyAddress, ...] = ()
    """The addresses our mail reaches the world from, those of our relays: ``doctor`` looks at SPF and PTR for them."""
    verp: bool = True
    """Give each message a return path of its own below ``envelope_sender``, by which its bounce is known."""
    unsubscribe_domain: Host | None = None
    """Whose mails all reach the listener, so that a mail can unsubscribe; see ``Settings.unsubscribe_domain``."""
    senders: Mapping[MessageClass, Sender] = Field(default_factory=dict)
    """Gmail wants receipts and newsletters to come from different addresses."""
    feedback_id: FeedbackId | None = None
    """The last part of Feedback-ID; made of the sender's domain where unset."""


class DkimKey(Strict):
    """A private key, and the selector under which DNS has its public half."""

    selector: Selector
    key_file: Path | None = None
    key: SecretStr | None = None

    @model_validator(mode="after")
    def _has_one_key(self) -> Self:
        if (self.key_file is None) == (self.key is None):
            raise wrong("needs either key_file or key", "name the file of the private key: key_file")
        return self


class DkimPair(DkimKey):
    """An RSA key, and the Ed25519 key that signs beside it."""

    ed25519: DkimKey | None = None


class DkimTurn(DkimPair):
    """Keys that take over at a time."""

    active_from: AwareDatetime


class Dkim(DkimPair):
    """How the mails of a domain, and of those below it, are signed."""

    rotation: tuple[DkimTurn, ...] = ()
    """The keys that follow; the one whose time came last signs."""


class ServerTls(Strict):
    """The certificate a server of ours shows."""

    cert_file: Path
    """In PEM: our certificate first, then those between it and an authority."""
    key_file: Path | None = None
    """Its private key in PEM; in ``cert_file`` where unset."""


class MailIn(Strict):
    """The door for bounces, complaints and answers that come back by mail."""

    protocol: Literal["lmtp", "smtp"] = "lmtp"
    """LMTP answers for each recipient; your MTA speaks it by ``lmtp:``."""
    host: str = "127.0.0.1"
    port: Port = 2424
    socket: Path | None = None
    """A Unix socket to listen on instead of host and port."""
    key: SecretStr | None = None
    """What return paths are checked with: ``notifier keys return-path`` prints it."""
    tls: ServerTls | None = None
    """Offers STARTTLS; renewed files are taken over while it runs."""
    require_tls: bool = False
    """Take no mail from who does not use it."""
    complaints: tuple[Address, ...] = ()
    """Where mailbox providers send complaints (feedback loops); taken besides return paths."""
    max_bytes: int = Field(default=10_485_760, ge=65_536)
    connections: int = Field(default=20, ge=1, le=1000)
    recipients: int = Field(default=20, ge=1, le=1000)
    """Of one mail; the MTA brings the rest of them again."""
    idle_timeout: Wait = timedelta(seconds=60)
    """From one command to the next, and from DATA to the final dot."""
    readers: int = Field(default=2, ge=1, le=64)
    """Processes that read mails; each holds one at a time."""
    read_timeout: Wait = timedelta(seconds=10)
    """Processor's time for one mail; three times as long by the clock."""
    read_memory: int = Field(default=536_870_912, ge=134_217_728)
    """Bytes one reader may use."""

    @field_validator("require_tls")
    @classmethod
    def _has_certificate(cls, value: bool, info: ValidationInfo) -> bool:  # noqa: FBT001 - pydantic's way
        # A certificate that is wrong itself is told of by itself.
        if value and "tls" in info.data and info.data["tls"] is None:
            raise wrong(
                "nobody could bring a mail: there is no certificate", "name one: mail_in.tls.cert_file"
            )
        return value


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


class Brand(Strict):
    """What templates say about the sender."""

    name: str = "Notifier"
    color: Color = "#1f4e8c"
    url: Link = "https://example.com"
    support_email: str = "support@example.com"
    support_phone: str = ""
    address: str = ""


class SafeModeSettings(Strict):
    """For staging: nobody is written to but whom this names."""

    allow: tuple[OneLine, ...] = ()
    """Addresses, numbers in E.164, and whole domains as ``@example.com``."""
    redirect_email: Address | None = None
    """Gets the mails for all others; without it they are not sent."""
    redirect_phone: str | None = Field(default=None, pattern=_PHONE)
    """Gets the SMS for all others; without it they are not sent."""

    @field_validator("allow")
    @classmethod
    def _names_somebody(cls, allow: tuple[str, ...]) -> tuple[str, ...]:
        """Refuse what would match nobody: a number as people write it, a domain without its sign."""
        for one in allow:
            if one.startswith("+") and not re.fullmatch(_PHONE, one):
                raise wrong("holds a number that is not E.164", "write it as +4915112345678")
            if "@" not in one and "." in one:
                raise wrong(f"{one!r} is nobody's address", f"write a whole domain as '@{one}'")
        return allow


class Tracking(Strict):
    """Whether a tenant's mails tell when they are opened and followed; each asks the recipient's consent too."""

    opens: bool = False
    clicks: bool = False
    classes: tuple[MessageClass, ...] = (MessageClass.SUBSCRIPTION, MessageClass.MARKETING)


class LookupSource(Strict):
    """Where live data comes from: a database, or an HTTP service."""

    url: SourceUrl
    headers: Mapping[str, SecretStr] = Field(default_factory=dict)


class Limits(Strict):
    """What is too big."""

    event_bytes: int = Field(default=262_144, ge=1)
    attachment_bytes: int = Field(default=10_485_760, ge=1)
    message_bytes: int = Field(default=20_971_520, ge=1)
    intake_entries: int = Field(default=100_000, ge=1)
    """Of one lane; published for the producers, who may set their own."""
    attachment_urls: tuple[str, ...] = ()
    """URL prefixes attachments may be fetched from; none by default."""


class SuppressionPolicy(Strict):
    """Whom not to write to any more, and for how long."""

    complaint: Literal["refusable", "all", "category"] = "refusable"
    """What a complaint keeps back: all that may be refused, everything, or the category of the message."""
    soft_bounces: int = Field(default=5, ge=1, le=100)
    """So many bounces in a row that may pass, with no delivery between, and the address rests."""
    soft_window: Wait = timedelta(days=7)
    """Only bounces of so long count."""
    soft_rest: Wait = timedelta(days=14)
    """So long nothing is sent there then."""


class Suppression(SuppressionPolicy):
    """The same for all tenants but those that have their own."""

    tenants: Mapping[str, SuppressionPolicy] = Field(default_factory=dict)

    def of(self, tenant: str) -> SuppressionPolicy:
        """Return a tenant's policy."""
        return self.tenants.get(tenant, self)


class Tuning(Strict):
    """Sizes and times of the machinery; the defaults suit one to sixteen cores."""

    ingest_batch: int = Field(default=200, ge=1, le=5000)
    deliver_chunk: int = Field(default=120, ge=1, le=1000)
    claim_lease: Wait = timedelta(seconds=60)
    """After this long a claimed message whose worker died goes to another; longer than a chunk takes."""
    lease_margin: Wait = timedelta(seconds=15)
    """A try to send may overrun the sum of its deadlines by this much before its outcome counts as unknown.

    So long, too, the sweep waits after an outage of the database for those who know an outcome.
    """
    claim_idle: Wait = timedelta(seconds=30)
    """After this long a stream entry whose reader died goes to another."""
    database_timeout: Wait = timedelta(seconds=20)
    outbox_interval: Wait = timedelta(milliseconds=500)
