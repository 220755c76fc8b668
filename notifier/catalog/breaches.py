"""Say in plain words which rule of a schema some data breaks.

Never quotes the data, which may be personal: only what stands in the schema, and names of fields.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import jsonschema_rs

# A key of an open object may be anything, an address too.
_PLAIN_KEY = re.compile(r"[A-Za-z_][\w-]{0,59}", re.ASCII)


def _unknown(keys: list[str]) -> str:
    return f"unknown: {', '.join(sorted({_shown(key) for key in keys}))}"


def _shown(key: str) -> str:
    return key if _PLAIN_KEY.fullmatch(key) else "(a key not shown)"


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


_FORMATS: Final[Mapping[str, str]] = {
    "email": "an email address",
    "idn-email": "an email address",
    "uri": "a URL with its scheme, such as https://example.com/a",
    "iri": "a URL with its scheme, such as https://example.com/a",
    "date": "a date such as 2026-03-01",
    "date-time": "a time with its offset, such as 2026-03-01T12:00:00Z",
    "time": "a time of day with its offset, such as 12:00:00Z",
    "uuid": "a UUID",
    "hostname": "a host name",
    "idn-hostname": "a host name",
    "ipv4": "an IPv4 address",
    "ipv6": "an IPv6 address",
    "duration": "an ISO 8601 duration such as PT30M",
}

_RULES: Final[Mapping[str, Callable[[Any], str]]] = {
    "required": lambda name: f"{name!r} is required",
    "type": lambda types: f"must be of type {' or '.join(types)}",
    "enum": lambda options: f"must be one of {', '.join(map(str, options))}",
    "const": lambda value: f"must be {value}",
    "format": lambda name: f"must be {_FORMATS.get(name, f'of the form {name}')}",
    "pattern": lambda pattern: f"has not the form {pattern}",
    "minLength": lambda least: "must not be empty" if least == 1 else f"is shorter than {least} characters",
    "maxLength": lambda most: f"is longer than {_count(most, 'character')}",
    "minItems": lambda least: f"needs at least {_count(least, 'entry', 'entries')}",
    "maxItems": lambda most: f"has more than {_count(most, 'entry', 'entries')}",
    "uniqueItems": lambda _: "has an entry twice",
    "minProperties": lambda least: f"needs at least {_count(least, 'key')}",
    "maxProperties": lambda most: f"has more than {_count(most, 'key')}",
    "minimum": lambda least: f"must be at least {least}",
    "maximum": lambda most: f"must be at most {most}",
    "exclusiveMinimum": lambda limit: f"must be more than {limit}",
    "exclusiveMaximum": lambda limit: f"must be less than {limit}",
    "multipleOf": lambda step: f"must be a multiple of {step}",
    "additionalProperties": _unknown,
    "unevaluatedProperties": _unknown,
    "falseSchema": lambda _: "must not be there",
}


def place_of(error: jsonschema_rs.ValidationError) -> str:
    """Return where it is, such as ``data.items[0].price``."""
    return "data" + "".join(
        f"[{key}]" if isinstance(key, int) else f".{_shown(key)}" for key in error.instance_path
    )


def in_words(error: jsonschema_rs.ValidationError) -> str:
    """Return which rule is broken."""
    rule = _RULES.get(error.kind.name)
    if rule is not None:
        return rule(error.kind.value)
    return f"breaks the rule {'/'.join(str(key) for key in error.schema_path)}"
