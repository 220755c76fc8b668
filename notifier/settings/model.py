"""Everything an operator can set, with its default; ``NOTIFIER_*`` variables, and ``NOTIFIER_*_FILE`` secrets.

Knows names, types and defaults; opens nothing but files of secrets.
"""

import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from notifier.errors import ConfigError
from notifier.forms import DatabaseUrl, Host, Locale, OneLine, PublicUrl, RedisUrl, Zone
from notifier.setting_tables import (
    Brand,
    Dkim,
    DnsServer,
    Limits,
    LogLevel,
    LookupSource,
    Mail,
    MailIn,
    Port,
    Relay,
    Remembered,
    Route,
    SafeModeSettings,
    Sms,
    Suppression,
    Tracking,
    Tuning,
    Wait,
)
from notifier.settings.folders import ROOT, SHIPPED, find_config, first_folder
from notifier.variables import PREFIX, is_set_by, secret_file_of


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
    callback_window: Remembered = timedelta(days=1)
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
    def unsubscribe_domain(self) -> str | None:
        """The domain of addresses where a mail unsubscribes; None where no listener takes it.

        Where none is named, the return path's, as long as this process knows of a listener by its key.
        """
        if self.mail.unsubscribe_domain is not None:
            return self.mail.unsubscribe_domain
        if self.mail_in.key is None or self.mail.envelope_sender is None:
            return None
        return self.mail.envelope_sender.rpartition("@")[2]

    @property
    def config_path(self) -> Path:
        """The folder with ``notifier.yaml``, ``events`` and ``rules``."""
        return self.config_dir or find_config()

    @property
    def templates_path(self) -> Path:
        """The folder with the templates."""
        return self.templates_dir or first_folder(
            Path("templates"), ROOT / "templates", SHIPPED / "templates"
        )

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
