"""All settings: ``config/notifier.yaml``, then ``NOTIFIER_*`` variables, then ``NOTIFIER_*_FILE`` secrets.

A later source wins over an earlier one. Knows names, types and defaults; opens nothing.
"""

import os
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    Field,
    SecretStr,
    ValidationError,
)
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from notifier.documents import ConfigErrors, Document, Path_, dotted, load
from notifier.errors import ConfigError
from notifier.forms import (
    DatabaseUrl,
    Host,
    Locale,
    OneLine,
    PublicUrl,
    RedisUrl,
    Zone,
)
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
from notifier.variables import PREFIX, is_set_by, secret_file_of, unknown_variables, variable_of

_REFERENCE = "write it as docs/operations.md has it, under Settings"
SHIPPED = Path(__file__).parent / "_shipped"
ROOT = Path(__file__).parent.parent


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
