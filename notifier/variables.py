"""Know which ``NOTIFIER_*`` variables set something, which name a secret's file, and which are mistyped.

Reads the shape of a settings model; never the values of variables.
"""

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Final, get_args, get_origin

from pydantic import BaseModel

from notifier.errors import ConfigError

PREFIX: Final = "NOTIFIER_"
_LEVEL: Final = "__"
# Tables whose form only their part knows, but none of whose fields ends in _file.
_CLOSED: Final = (["providers"],)
_FILE: Final = "_FILE"

# What other parts read: the client, the first provisioning, the logs, the SMS stand-in, Compose.
_OTHERS: Final = frozenset(
    {
        "NOTIFIER_URL", "NOTIFIER_RESULTS_URL", "NOTIFIER_SOURCE", "NOTIFIER_ADMIN_DATABASE_URL",
        "NOTIFIER_ADMIN_DATABASE_URL_FILE", "NOTIFIER_LIBRARY_LOG_LEVEL", "NOTIFIER_SMS_GATEWAY_TOKEN",
        "NOTIFIER_TAG",
    }
)  # fmt: skip
# Tests', and those that Kubernetes makes for a service of our name.
_FOREIGN: Final = re.compile(
    r"NOTIFIER_(TEST_.*|(?!.*__)(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_\w+)?))", re.ASCII
)


def unknown_variables(environ: Mapping[str, str], model: type[BaseModel]) -> list[ConfigError]:
    """Return an error for each of our variables that sets nothing, with the one that may be meant."""
    return [
        ConfigError("sets nothing", field=name, mend=_mend(name.upper(), model))
        for name in sorted(environ)
        if name.upper().startswith(PREFIX) and not _is_known(name.upper(), model)
    ]


def is_set_by(name: str, model: type[BaseModel]) -> bool:
    """Return whether the variable's value itself is a setting."""
    return secret_file_of(name, model) is None and bool(_places(_parts(name), model))


def secret_file_of(name: str, model: type[BaseModel]) -> str | None:
    """Return the variable whose value is in the file that ``name`` names; None where it names no file."""
    target = name.upper().removesuffix(_FILE)
    if target == name.upper() or not _places(_parts(target), model):
        return None
    *parents, last = _parts(name)
    # A field may itself end so, as ca_file does; a key of a table never does.
    is_open = parents[:1] not in _CLOSED
    is_field = any(last in _fields(place) or (place is Any and is_open) for place in _places(parents, model))
    return None if is_field else target


def variable_of(loc: tuple[str | int, ...], environ: Mapping[str, str]) -> str | None:
    """Return the variable that set, or should have set, what stands at ``loc``; None where none did."""
    names = {name.upper() for name in environ}
    whole = PREFIX + _LEVEL.join(str(key).upper() for key in loc)
    # A variable may set a whole table, as JSON.
    for end in range(len(loc), 0, -1):
        name = PREFIX + _LEVEL.join(str(key).upper() for key in loc[:end])
        for found in (name, name + _FILE):
            if found in names:
                return found
        if end == len(loc) - 1 and end > 1 and any(one.startswith(name + _LEVEL) for one in names):
            return whole
    return None


def _is_known(name: str, model: type[BaseModel]) -> bool:
    return (
        name in _OTHERS
        or secret_file_of(name, model) is not None
        or is_set_by(name, model)
        or _FOREIGN.fullmatch(name) is not None
    )


def _parts(name: str) -> list[str]:
    return name.upper().removeprefix(PREFIX).lower().split(_LEVEL)


def _places(parts: list[str], model: type[BaseModel]) -> list[Any]:
    """Return what stands at a path: the annotations of its fields."""
    places: list[Any] = [model]
    for part in parts:
        places = [found for place in places for found in _step(place, part)]
    return places


def _mend(name: str, model: type[BaseModel]) -> str:
    parts, suffix = _parts(name.removesuffix(_FILE)), _FILE if name.endswith(_FILE) else ""
    for depth, part in enumerate(parts):
        known = {field for place in _places(parts[:depth], model) for field in _fields(place)}
        for near in get_close_matches(part, known - {part}):
            meant = [*parts[:depth], near, *parts[depth + 1 :]]
            if _places(meant, model):
                return f"did you mean {PREFIX}{_LEVEL.join(meant).upper()}{suffix}?"
    return "remove it; docs/operations.md has the known ones"


def _step(place: Any, part: str) -> Iterator[Any]:
    """Return what stands below ``place`` under one part of a variable's name."""
    if isinstance(place, type) and issubclass(place, BaseModel):
        if part in place.model_fields:
            yield place.model_fields[part].annotation
    elif place is Any:
        yield Any
    elif get_origin(place) is Mapping:
        yield get_args(place)[1]
    else:
        for inner in get_args(place):
            yield from _step(inner, part)


def _fields(place: Any) -> Iterator[str]:
    if isinstance(place, type) and issubclass(place, BaseModel):
        yield from place.model_fields
    elif get_origin(place) is not Mapping:
        for inner in get_args(place):
            yield from _fields(inner)
