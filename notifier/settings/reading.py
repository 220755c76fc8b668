"""Read the settings, and say of each that is wrong where it stands: its line, or its variable.

Names only what is wrong; never a secret's value.
"""

import os
import re
from pathlib import Path

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import SettingsError

from notifier.documents import ConfigErrors, Document, Path_, dotted, load
from notifier.errors import ConfigError
from notifier.settings.folders import find_config
from notifier.settings.model import Settings
from notifier.variables import PREFIX, unknown_variables, variable_of

_REFERENCE = "write it as docs/operations.md has it, under Settings"


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
