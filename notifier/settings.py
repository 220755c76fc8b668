"""All settings: ``config/notifier.yaml``, then ``NOTIFIER_*`` variables, then ``NOTIFIER_*_FILE`` secrets.

A later source wins over an earlier one. Knows names, types and defaults; opens nothing.
"""

import ipaddress
import os
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    Field,
    IPvAnyAddress,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from notifier.documents import ConfigErrors, Document, Duration, Path_, Strict, dotted, load
from notifier.errors import ConfigError
from notifier.events import Urgency
from notifier.forms import (
    Address,
    Color,
    DatabaseUrl,
    FeedbackId,
    Host,
    Link,
    Locale,
    OneLine,
    PublicUrl,
    RedisUrl,
    Selector,
    SourceUrl,
    Zone,
    wrong,
)
from notifier.messages import ChannelName, MessageClass
from notifier.variables import PREFIX, is_set_by, secret_file_of, unknown_variables, variable_of

_REMEMBERED = timedelta(days=29)
_REFERENCE = "write it as docs/operations.md has it, under Settings"
SHIPPED = Path(__file__).parent / "_shipped"
ROOT = Path(__file__).parent.parent


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
    redirect_phone: str | None = Field(default=None, pattern=r"^\+[1-9]\d{6,14}$")
    """Gets the SMS for all others; without it they are not sent."""


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
    deliver_chunk: int = Field(default=40, ge=1, le=1000)
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


class Settings(BaseSettings):
    """Everything an operator can set."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True, env_ignore_empty=True
    )

    database_url: DatabaseUrl = SecretStr("postgresql://notifier_worker@127.0.0.1/notifier")
    """PostgreSQL as the worker role."""
    web_database_url: DatabaseUrl | None = None
    """PostgreSQL as the web role, under row-level security."""
    migrator_database_url: DatabaseUrl | None = None
    """PostgreSQL as the owner of the tables; only ``notifier migrate`` uses it."""
    redis_url: RedisUrl = SecretStr("redis://127.0.0.1:6379/0")
    result_url: SecretStr | None = None
    """Celery's result backend; ``redis_url`` where unset."""
    master_key: SecretStr | None = None
    config_dir: Path | None = None
    templates_dir: Path | None = None
    log_level: LogLevel = "INFO"
    health_dir: Path | None = None
    """Where each process keeps a small file that says how it is; none by default."""
    web_host: str = "127.0.0.1"
    web_port: Port = 8000
    public_url: PublicUrl | None = None
    """Where people and the SMS gateway reach the web process; without it there are no links to it."""
    callback_window: Annotated[Wait, AfterValidator(_is_remembered)] = timedelta(days=1)
    """How old the signature of a provider's callback may be: they repeat for hours what we could not take."""
    ack_lifetime: Wait = timedelta(days=1)
    """How long the link of an alert's message, and the code of its SMS, may be used."""
    link_lifetime: Wait = timedelta(days=400)
    """How long after its mail was made a link to unsubscribe may be used."""

    mail: Mail = Mail()
    mail_in: MailIn = MailIn()
    dkim: Mapping[Host, Dkim] = Field(default_factory=dict)
    """Sender domain → the keys that sign its mails."""
    relays: Mapping[str, Relay] = Field(default_factory=dict)
    relay: str = "default"
    """The relay that takes all mail, unless ``urgent_relay`` names another for urgent mail."""
    urgent_relay: str | None = None
    routes: tuple[Route, ...] = ()
    """Which relays and providers take what; ``relay`` and ``urgent_relay`` take what no route fits."""
    failover_after: Wait = timedelta(seconds=30)
    """A relay that failed for so long is left to others, where a route names others."""
    destinations: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    """Mailbox provider → domains, beyond those notifier knows; ``name.*`` stands for all countries' variants."""
    sms: Sms | None = None
    providers: Mapping[str, Mapping[str, Any]] = Field(default_factory=dict, repr=False)
    """Those we send through by their HTTP APIs, by name; checked by ``notifier.channels.registry``."""
    safe_mode: SafeModeSettings | None = None
    """Set it on staging systems only: nobody else is written to."""
    brand: Brand = Brand()
    tracking: Mapping[str, Tracking] = Field(default_factory=dict)
    """Per tenant; a tenant that is not here tracks nothing."""
    categories: Mapping[str, Mapping[str, OneLine]] = Field(default_factory=dict)
    """What people call a category, by language: ``news: {en: News, de: Neuigkeiten}``."""
    locale: Locale = "en"
    zone: Zone = "UTC"
    lists: Mapping[str, tuple[Mapping[str, str] | str, ...]] = Field(default_factory=dict)
    """Named lists and roles: each entry an address, or an object with email, phone, name, locale, zone."""
    delivery: Mapping[str, Any] = Field(default_factory=dict)
    """Retry schedule and deadline per urgency; checked by ``notifier.delivery``."""
    budgets: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    """Channel → how often a person is told on it at most, such as ``5 in 15m``; an empty list = any number."""
    dns_servers: tuple[DnsServer, ...] = ()
    """Whom ``doctor`` asks, as ``address`` or ``address:port``; this machine's own resolver where empty."""
    outboxes: tuple[DatabaseUrl, ...] = ()
    """Producers' databases that hold an outbox."""
    lookups: Mapping[str, LookupSource] = Field(default_factory=dict)
    limits: Limits = Limits()
    suppression: Suppression = Suppression()
    tuning: Tuning = Tuning()

    @property
    def callbacks_url(self) -> str:
        """Below which URL providers reach us with callbacks; empty where they cannot."""
        host = urlsplit(self.public_url or "").hostname
        # A gateway refuses a message whose callback would lead nowhere (https://www.twilio.com/docs/api/errors/21609).
        if self.public_url is None or host in {None, "localhost", "127.0.0.1", "::1"}:
            return ""
        return f"{self.public_url.rstrip('/')}/callbacks"

    @property
    def config_path(self) -> Path:
        """The folder with ``notifier.yaml``, ``events`` and ``rules``."""
        return self.config_dir or find_config()

    @property
    def templates_path(self) -> Path:
        """The folder with the templates."""
        return self.templates_dir or _first(Path("templates"), ROOT / "templates", SHIPPED / "templates")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the library's signature
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read variables ourselves, secrets' files among them; the YAML comes in through ``init``."""
        return (_Variables(settings_cls), init_settings)


class _Variables(EnvSettingsSource):
    """``NOTIFIER_X``, and ``NOTIFIER_X_FILE`` that names a file with the value of ``NOTIFIER_X``."""

    def _load_env_vars(self) -> Mapping[str, str | None]:
        plain: dict[str, str | None] = {}
        secret: dict[str, str | None] = {}
        for name, value in os.environ.items():
            if not value or not name.upper().startswith(PREFIX):
                continue
            target = secret_file_of(name, Settings)
            if target is None and is_set_by(name, Settings):
                plain[name.lower()] = value
            elif target is not None and (text := _read_secret(name, Path(value))):
                secret[target.lower()] = text
        return plain | secret


def _read_secret(name: str, file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except UnicodeDecodeError:
        raise ConfigError("the file is not text", file=file, field=name, mend="encode it as UTF-8") from None
    except OSError as error:
        raise ConfigError(
            f"the file cannot be read: {error.strerror}", file=file, field=name,
            mend="check the path and its permissions",
        ) from None  # fmt: skip


def load_settings(file: Path | None = None) -> Settings:
    """Read all settings.

    Raises:
        ConfigErrors: every wrong field, with file and line or the variable's name.
    """
    path = file or find_config() / "notifier.yaml"
    document = read_document(path)
    if not isinstance(document.value, dict):
        raise document.error("must be a mapping of settings", mend="write `name: value` lines")
    strangers = unknown_variables(os.environ, Settings)
    try:
        settings = Settings(**document.value)
    except SettingsError as error:
        raise ConfigErrors([*strangers, _no_json(error)]) from None
    except ValidationError as error:
        wrong = _explain(document, Settings, error)
        raise ConfigErrors([*strangers, *wrong]) from None
    if strangers:
        raise ConfigErrors(strangers)
    _check_relays(settings, document)
    _check_routes(settings, document)
    return settings if settings.config_dir else settings.model_copy(update={"config_dir": path.parent})


def placed(document: Document, path: Path_, problem: str, mend: str | None) -> ConfigError:
    """Return the error for a setting, naming the variable it came from, or else its line in the file."""
    variable = variable_of(path, os.environ)
    if variable is None:
        return document.error(problem, path, mend)
    # A variable may hold a whole table: say what in it.
    is_whole = variable.removesuffix("_FILE") == PREFIX + "__".join(str(key).upper() for key in path)
    return ConfigError(problem if is_whole else f"{dotted(path)}: {problem}", field=variable, mend=mend)


def read_document(file: Path) -> Document:
    """Return the file of settings; one that is not there says nothing."""
    return load(file) if file.exists() else Document(file=file, value={}, lines={})


def explained(file: Path, model: type[BaseModel], error: ValidationError, below: Path_) -> ConfigErrors:
    """Return what is wrong with a table of the settings that another part checks."""
    return ConfigErrors(_explain(read_document(file), model, error, below))


def defaults() -> Settings:
    """Return the settings where nobody set anything but the folders: for a check whose settings are wrong."""
    templates = os.environ.get("NOTIFIER_TEMPLATES_DIR")
    # Without validation: that reads the environment, and what is wrong may stand there.
    return Settings.model_construct(
        config_dir=find_config(), templates_dir=Path(templates) if templates else None
    )


def find_config() -> Path:
    """Return the folder of the configuration: the variable's, ``./config``, or the shipped one."""
    if named := os.environ.get("NOTIFIER_CONFIG_DIR"):
        return Path(named)
    return _first(Path("config"), ROOT / "config", SHIPPED / "config")


def _check_relays(settings: Settings, document: Document) -> None:
    # Which kinds of provider take mail, the channels know.
    known = [*settings.relays, *settings.providers]
    for field in ("relay", "urgent_relay"):
        name = getattr(settings, field)
        if settings.relays and name is not None and name not in known:
            mend = f"one of {', '.join(known)}"
            raise placed(document, (field,), f"no relay {name!r} under relays", mend)
    for name, relay in settings.relays.items():
        if relay.username and relay.security == "none":
            problem, mend = "a password must not travel without TLS", "set security to starttls or implicit"
            raise placed(document, ("relays", name), problem, mend)


def _check_routes(settings: Settings, document: Document) -> None:
    """Find relays that routes name and nobody configured; relays may also come from the environment alone."""
    known = {*settings.relays, *settings.providers, *(["sms"] if settings.sms else [])}
    for number, route in enumerate(settings.routes):
        for field in ("use", "failover"):
            for name in getattr(route, field):
                if known and name not in known:
                    path: Path_ = ("routes", number, field)
                    raise placed(document, path, f"nothing is called {name!r}", f"one of {', '.join(known)}")


def _explain(
    document: Document, model: type[BaseModel], error: ValidationError, below: Path_ = ()
) -> list[ConfigError]:
    return [_explain_one(document, model, item, below) for item in error.errors()]


def _explain_one(document: Document, model: type[BaseModel], item: ErrorDetails, below: Path_) -> ConfigError:
    path = (*below, *item["loc"])
    told = document.explain(model, item, below)
    mend = told.mend or _REFERENCE
    if item["type"] == "missing":
        variable = variable_of(path, os.environ) or _missing_beside(path)
        if variable is not None:
            return ConfigError("is required", field=variable, mend="set it, or remove those beside it")
    if variable_of(path, os.environ) is not None:
        return placed(document, path, told.problem, mend)
    return ConfigError(told.problem, file=told.file, line=told.line, field=told.field, mend=mend)


def _missing_beside(loc: tuple[str | int, ...]) -> str | None:
    """Return the variable that would set what is missing in a table that others of ours began."""
    parent, name = ("__".join(str(key).upper() for key in part) for part in (loc[:-1], loc))
    is_begun = any(one.upper().startswith(f"{PREFIX}{parent}__") for one in os.environ)
    return PREFIX + name if is_begun else None


def _no_json(error: SettingsError) -> ConfigError:
    field = re.search(r'field "(\w+)"', str(error))
    name = PREFIX + field[1].upper() if field else None
    return ConfigError("is not JSON", field=name, mend="lists and tables are JSON in a variable")


def _first(*folders: Path) -> Path:
    return next((folder for folder in folders if folder.is_dir()), folders[-1])
