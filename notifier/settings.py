"""All settings: ``config/notifier.yaml``, then ``NOTIFIER_*`` variables, then ``NOTIFIER_*_FILE`` secrets.

A later source wins over an earlier one. Knows names, types and defaults; opens nothing.
"""

import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from notifier.documents import ConfigErrors, Document, Duration, Strict, dotted, load
from notifier.errors import ConfigError

SHIPPED = Path(__file__).parent / "_shipped"
ROOT = Path(__file__).parent.parent
_PREFIX = "NOTIFIER_"


class Relay(Strict):
    """An SMTP server that takes our mail."""

    host: str
    port: int = 587
    security: Literal["starttls", "implicit", "none"] = "starttls"
    username: str | None = None
    password: SecretStr | None = None
    ca_file: Path | None = None
    helo: str | None = None
    connections: int = Field(default=8, ge=1, le=500)
    """Open at most this many connections from one process."""
    connect_timeout: Duration = timedelta(seconds=10)
    command_timeout: Duration = timedelta(seconds=30)
    data_timeout: Duration = timedelta(seconds=60)
    dot_timeout: Duration = timedelta(seconds=120)
    """How long to wait for the answer to the final dot; RFC 5321 §4.5.3.2.6 allows servers 10 minutes."""


class Mail(Strict):
    """Who our mails come from."""

    domain: str = "localhost"
    """The right-hand side of Message-IDs."""
    sender: str = "notifier@localhost"
    sender_name: str | None = None
    reply_to: str | None = None
    envelope_sender: str | None = None
    """Where bounces go; the sender where unset."""


class Sms(Strict):
    """A gateway that speaks Twilio's Messages API."""

    base_url: str
    account_sid: str
    auth_token: SecretStr
    sender: str
    connections: int = Field(default=8, ge=1, le=500)
    connect_timeout: Duration = timedelta(seconds=5)
    read_timeout: Duration = timedelta(seconds=20)


class Brand(Strict):
    """What templates say about the sender."""

    name: str = "Notifier"
    color: str = "#1f4e8c"
    url: str = "https://example.com"
    support_email: str = "support@example.com"
    support_phone: str = ""
    address: str = ""


class LookupSource(Strict):
    """Where live data comes from: a database, or an HTTP service."""

    url: SecretStr
    headers: Mapping[str, SecretStr] = Field(default_factory=dict)


class Limits(Strict):
    """What is too big."""

    event_bytes: int = 262_144
    attachment_bytes: int = 10_485_760
    message_bytes: int = 20_971_520
    intake_entries: int = 200_000
    attachment_urls: tuple[str, ...] = ()
    """URL prefixes attachments may be fetched from; none by default."""


class Tuning(Strict):
    """Sizes and times of the machinery; the defaults suit one to sixteen cores."""

    ingest_batch: int = Field(default=200, ge=1, le=5000)
    deliver_chunk: int = Field(default=40, ge=1, le=1000)
    claim_lease: Duration = timedelta(seconds=60)
    """After this long a claimed message whose worker died goes to another; longer than a chunk takes."""
    lease_margin: Duration = timedelta(seconds=15)
    """A try to send may overrun the sum of its deadlines by this much before its outcome counts as unknown."""
    claim_idle: Duration = timedelta(seconds=30)
    """After this long a stream entry whose reader died goes to another."""
    database_timeout: Duration = timedelta(seconds=20)
    outbox_interval: Duration = timedelta(milliseconds=500)


class Settings(BaseSettings):
    """Everything an operator can set."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True, env_ignore_empty=True
    )

    database_url: SecretStr = SecretStr("postgresql://notifier_worker@127.0.0.1/notifier")
    """PostgreSQL as the worker role."""
    web_database_url: SecretStr | None = None
    """PostgreSQL as the web role, under row-level security."""
    migrator_database_url: SecretStr | None = None
    """PostgreSQL as the owner of the tables; only ``notifier migrate`` uses it."""
    redis_url: SecretStr = SecretStr("redis://127.0.0.1:6379/0")
    result_url: SecretStr | None = None
    """Celery's result backend; ``redis_url`` where unset."""
    master_key: SecretStr | None = None
    config_dir: Path | None = None
    templates_dir: Path | None = None
    log_level: str = "INFO"
    health_dir: Path | None = None
    """Where each process keeps a small file that says how it is; none by default."""
    web_host: str = "127.0.0.1"
    web_port: int = 8025

    mail: Mail = Mail()
    relays: Mapping[str, Relay] = Field(default_factory=dict)
    relay: str = "default"
    """The relay that takes all mail, unless ``urgent_relay`` names another for urgent mail."""
    urgent_relay: str | None = None
    sms: Sms | None = None
    brand: Brand = Brand()
    locale: str = "en"
    zone: str = "UTC"
    lists: Mapping[str, tuple[Mapping[str, str] | str, ...]] = Field(default_factory=dict)
    """Named lists and roles: each entry an address, or an object with email, phone, name, locale, zone."""
    delivery: Mapping[str, Any] = Field(default_factory=dict)
    """Retry schedule and deadline per urgency; checked by ``notifier.delivery``."""
    outboxes: tuple[SecretStr, ...] = ()
    """Producers' databases that hold an outbox."""
    lookups: Mapping[str, LookupSource] = Field(default_factory=dict)
    limits: Limits = Limits()
    tuning: Tuning = Tuning()

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
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource, dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read secrets' files as if they were variables; the YAML comes in through ``init``."""
        return (_SecretFiles(settings_cls), env_settings, init_settings)


class _SecretFiles(EnvSettingsSource):
    """``NOTIFIER_X_FILE`` names a file that holds the value of ``NOTIFIER_X``."""

    def _load_env_vars(self) -> Mapping[str, str | None]:
        found: dict[str, str | None] = {}
        for name, value in os.environ.items():
            if name.startswith(_PREFIX) and name.endswith("_FILE") and value and not _is_setting(name):
                try:
                    found[name.removesuffix("_FILE").lower()] = Path(value).read_text(encoding="utf-8").strip()
                except OSError as error:
                    raise ConfigError(
                        f"the file cannot be read: {error.strerror}", file=value, field=name,
                        mend="check the path and its permissions",
                    ) from None
        return found


def load_settings(file: Path | None = None) -> Settings:
    """Read all settings.

    Raises:
        ConfigErrors: every wrong field, with file and line or the variable's name.
    """
    path = file or find_config() / "notifier.yaml"
    document = load(path) if path.exists() else Document(file=path, value={}, lines={})
    if not isinstance(document.value, dict):
        raise document.error("must be a mapping of settings")
    try:
        settings = Settings(**document.value)
    except ValidationError as error:
        raise ConfigErrors([_explain(document, item) for item in error.errors()]) from None
    _check_relays(settings, document)
    return settings if settings.config_dir else settings.model_copy(update={"config_dir": path.parent})


def find_config() -> Path:
    """Return the folder of the configuration: the variable's, ``./config``, or the shipped one."""
    if named := os.environ.get("NOTIFIER_CONFIG_DIR"):
        return Path(named)
    return _first(Path("config"), ROOT / "config", SHIPPED / "config")


def _check_relays(settings: Settings, document: Document) -> None:
    for field in ("relay", "urgent_relay"):
        name = getattr(settings, field)
        if settings.relays and name is not None and name not in settings.relays:
            raise document.error(f"no relay {name!r} under relays", (field,), f"one of {', '.join(settings.relays)}")
    for name, relay in settings.relays.items():
        if relay.username and relay.security == "none":
            raise document.error(
                "a password must not travel without TLS", ("relays", name), "set security to starttls or implicit"
            )


def _explain(document: Document, item: Any) -> ConfigError:
    path = tuple(item["loc"])
    variable = _PREFIX + "__".join(str(key).upper() for key in path)
    if variable in os.environ or f"{variable}_FILE" in os.environ:
        return ConfigError(item["msg"], field=variable)
    if item["type"] == "extra_forbidden":
        return document.error("unknown setting", path, "see docs/operations.md for the known ones")
    problem = item["msg"].removeprefix("Value error, ")
    return document.error(problem, path) if path in document.lines else ConfigError(problem, field=dotted(path))


def _is_setting(name: str) -> bool:
    return any(part in name for part in ("CA_FILE",))


def _first(*folders: Path) -> Path:
    return next((folder for folder in folders if folder.is_dir()), folders[-1])
