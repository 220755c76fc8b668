"""Bring a message's context into the shape every template can rely on.

Data stays data: control characters go, nothing is escaped here, and the caller's objects are not changed.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from notifier.events import Json

BRAND_KEYS: Final = ("name", "color", "url", "logo", "support_email", "support_phone", "address")
BRAND_COLOR: Final = "#1d4ed8"

_RIGHT_TO_LEFT = frozenset({"ar", "arc", "dv", "fa", "ha", "he", "khw", "ks", "ku", "ps", "ur", "yi"})
_LINE_BREAK = re.compile(r"\r\n?|\x0b|\x0c|\x85|\u2028|\u2029")
# C0 and C1 without tab and line feed, and the two overrides that make text read backwards (Unicode TR 36 §2).
_UNWANTED = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f\u202d\u202e]")
_PLAIN = frozenset({int, float, bool})
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def contract(context: Mapping[str, Json], defaults: Mapping[str, Json], locale: str) -> dict[str, Any]:
    """Return the context with every key of the contract there, clean defaults below what the message says."""
    # Nearly every context is clean: looking costs a third of copying, and nothing below changes what it gets.
    given: Mapping[str, Any] = context if is_clean(context) else clean(context)
    language = locale.partition("-")[0]
    base: dict[str, Any] = {"live": {}, "links": {}, "journey": None, "why": "", **defaults}
    base.update({name: value for name, value in given.items() if value is not None or name == "journey"})
    base["brand"] = {
        **dict.fromkeys(BRAND_KEYS, ""),
        "color": BRAND_COLOR,
        **_set(defaults.get("brand")),
        **_set(given.get("brand")),
    }
    base["recipient"] = {"name": "", "locale": locale, "zone": "UTC", **_set(given.get("recipient"))}
    direction = "rtl" if language in _RIGHT_TO_LEFT else "ltr"
    return {**base, "locale": locale, "language": language, "direction": direction}


def clean(value: Any) -> Any:
    """Return JSON without characters no message may hold; line breaks become line feeds."""
    if isinstance(value, str):
        return value if value.isprintable() else clean_text(value)
    if value is None or isinstance(value, int | float):
        return value
    if type(value) is dict or isinstance(value, Mapping):
        return {clean(key): clean(item) for key, item in value.items()}
    return [clean(item) for item in value] if isinstance(value, list | tuple) else value


def is_clean(value: Any) -> bool:
    """Tell whether :func:`clean` would change nothing but the types of containers."""
    kind = type(value)
    if kind is str:
        return bool(value.isprintable())
    if kind is dict:
        return all(map(is_clean, value)) and all(map(is_clean, value.values()))
    if kind is list:
        return all(map(is_clean, value))
    return value is None or kind in _PLAIN


def clean_text(text: str) -> str:
    """Return the text without control characters, direction overrides and half surrogate pairs."""
    return _SURROGATE.sub("\ufffd", _UNWANTED.sub("", _LINE_BREAK.sub("\n", text)))


def _set(value: Mapping[str, Json] | None) -> dict[str, Json]:
    """Keep what is set: a null never hides a default."""
    return {name: item for name, item in (value or {}).items() if item is not None}
