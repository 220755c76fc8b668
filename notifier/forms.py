"""Tell whether a text of the settings has the form its reader needs, and if not, what to write instead.

Pure: never looks up a host, and never repeats a value, which may be a secret.
"""

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, SecretStr
from pydantic_core import ErrorDetails, PydanticCustomError

# What the templates' filters take: css_color and url.
_COLOR: Final = re.compile(r"#(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})")
_LINK: Final = re.compile(r"(?:https?://|mailto:|tel:)[^\s<>\"]+", re.IGNORECASE)
_PUBLIC: Final = re.compile(r"https?://[^\s<>\"/?#@]+(?:/[^\s<>\"?#]*)?", re.IGNORECASE)
# Gmail's page on the feedback loop: 5 to 15 characters, the same in all mails of a sender.
_FEEDBACK_ID: Final = re.compile(r"[A-Za-z0-9._-]{5,15}")
_LABEL_LIMIT: Final = 63
_LOCALE: Final = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*")
_HOST_LIMIT: Final = 253
_HOST: Final = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
)
# What the mail's headers take (RFC 5321 §4.1.2, dot-string or quoted string), in ASCII: no SMTPUTF8.
_LOCAL_LIMIT: Final = 64
_ADDRESS_LIMIT: Final = 254
_ATOM: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LOCAL: Final = re.compile(rf"{_ATOM}(?:\.{_ATOM})*|\"(?:[!#-\[\]-~]|\\[!-~])*\"")
# As SQLAlchemy and redis-py cut it; a password may hold what is no part of an URL elsewhere.
_URL: Final = re.compile(r"(?P<scheme>[A-Za-z][\w+.-]*)://(?:[^@]*@)?(?P<hosts>[^/?#]*)")
_PLACE: Final = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%\w]+\]|[^\s:\[\]]*)(?::(?P<port>[0-9]*))?")
_HIGHEST_PORT: Final = 65535
_WEB: Final = ("http", "https")
_POSTGRESQL: Final = ("postgresql", "postgres", "postgresql+psycopg")
_REDIS: Final = ("redis", "rediss", "sentinel")

_ZONELESS: Final = "timezone_aware"
# How pydantic writes the bound of a length of time, after validators of ours and without.
_NOTHING: Final = ("datetime.timedelta(0)", "0 seconds", timedelta(0))
# By the start of pydantic's type of error; its context fills the braces.
_MENDS: Final = {
    "int_": "write a whole number, without quotes or unit",
    "bool_": "write true or false",
    "greater_than_equal": "write {ge} or more",
    "less_than_equal": "write {le} or less",
    "greater_than": "write more than {gt}",
    "literal_error": "write one of {expected}",
    "enum": "write one of {expected}",
    "string_type": "write a text, in quotes where YAML takes it for something else",
    "tuple_": "write a list: one `- entry` a line",
    "mapping_": "write `name: value` lines below it",
    "dict_": "write `name: value` lines below it",
    "model_": "write `name: value` lines below it",
    _ZONELESS: "write it with Z for UTC, or the hours it differs: 2026-03-02T09:00:00+01:00",
    "path_": "write the path of a file or folder",
}
_DURATION: Final = "write a duration such as 500ms, 90s, 10m, 1h30m or 3d"


def wrong(problem: str, mend: str) -> PydanticCustomError:
    """Return what a validator raises: pydantic hands ``mend`` on in the error's context."""
    return PydanticCustomError("form", "{problem}", {"problem": problem, "mend": mend})


def _color(value: str) -> str:
    if not _COLOR.fullmatch(value):
        raise wrong("must be a colour in hexadecimal", "write it as '#1d4ed8', in quotes")
    return value


def _link(value: str) -> str:
    if value and not _LINK.fullmatch(value):
        raise wrong(
            "must be an http, https, mailto or tel address without spaces", "write https://www.example.com"
        )
    return value


def _public_url(value: str) -> str:
    if not _PUBLIC.fullmatch(value):
        raise wrong("must be an http or https address without query", "write https://notifier.example.com")
    return value


def _locale(value: str) -> str:
    if not _LOCALE.fullmatch(value):
        raise wrong("must be a language, or a language and a region", "write it as en, de or de-AT")
    return value


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (OSError, ValueError, ZoneInfoNotFoundError):  # a folder of zones is no zone, nor is ../x
        raise wrong("is no time zone of the IANA database", "write it as UTC or Europe/Berlin") from None
    return value


def _host(value: str) -> str:
    if len(value) > _HOST_LIMIT or not _HOST.fullmatch(value):
        raise wrong("must be a host name", "write it as mail.example.com")
    return value


def _address(value: str) -> str:
    local, _, domain = value.rpartition("@")
    if len(local) > _LOCAL_LIMIT or not _LOCAL.fullmatch(local) or not _is_domain(domain):
        raise wrong("must be a mail address alone, without a name", "write it as no-reply@example.com")
    if len(value) > _ADDRESS_LIMIT:
        raise wrong(f"must be no longer than {_ADDRESS_LIMIT} characters", "use a shorter address")
    return value


def is_host(value: str) -> bool:
    """Say whether a text is a host name in ASCII."""
    return len(value) <= _HOST_LIMIT and _HOST.fullmatch(value) is not None


def _selector(value: str) -> str:
    if len(value) > _LABEL_LIMIT or not _HOST.fullmatch(value):
        raise wrong("must be a name as DNS takes it", "write it as n2026a: letters, digits, - and dots")
    return value


def _feedback_id(value: str) -> str:
    if not _FEEDBACK_ID.fullmatch(value):
        raise wrong("must be 5 to 15 letters, digits, dots or dashes", "write it as example-shop")
    return value


def _is_domain(text: str) -> bool:
    try:
        wire = text.encode("idna").decode()
    except UnicodeError:
        return False
    return len(wire) <= _HOST_LIMIT and _HOST.fullmatch(wire) is not None


def _one_line(value: str) -> str:
    if not value.isprintable():
        raise wrong("must be one line without control characters", "write the name alone")
    return value


def _leading(schemes: tuple[str, ...], example: str) -> Callable[[SecretStr], SecretStr]:
    """Return the check of an address with one of these schemes."""
    mend = f"write {example}, with special characters of the password as %XX"

    def check(value: SecretStr) -> SecretStr:
        found = _URL.match(value.get_secret_value())
        scheme = found["scheme"].lower() if found else None
        if found is None or scheme not in schemes:
            raise wrong("must start with " + " or ".join(f"{one}://" for one in schemes), mend)
        has_many = scheme == "sentinel" or scheme in _POSTGRESQL  # libpq tries one after the other
        places = found["hosts"].split(",") if has_many else [found["hosts"]]
        for place in places:
            cut = _PLACE.fullmatch(place)
            if cut is None or (cut["port"] and not 0 < int(cut["port"]) <= _HIGHEST_PORT):
                raise wrong(f"must have a host, and a port from 1 to {_HIGHEST_PORT} or none", mend)
            if scheme in _WEB and not cut["host"]:
                raise wrong("must have a host", mend)
        return value

    return check


def problem_of(item: ErrorDetails) -> str:
    """Return what is wrong, in the words of the files rather than pydantic's."""
    if item["type"] == _ZONELESS:
        return "must name its time zone"
    if item["type"] == "greater_than" and (item.get("ctx") or {}).get("gt") in _NOTHING:
        return "must be more than 0s"
    return item["msg"].removeprefix("Value error, ")


def mend_of(item: ErrorDetails) -> str | None:
    """Return how to mend a mistake of one of pydantic's kinds, or of ours; None where its text says it all."""
    kind, context = item["type"], item.get("ctx") or {}
    if mend := context.get("mend"):
        return str(mend)
    if "duration" in item["msg"] or "longer than 0s" in item["msg"] or _is_span(context):
        return _DURATION
    form = next((form for known, form in _MENDS.items() if kind.startswith(known)), None)
    return form.format(**context) if form else None


def _is_span(context: Mapping[str, Any]) -> bool:
    return any(isinstance(value, timedelta) or value in _NOTHING for value in context.values())


Color = Annotated[str, AfterValidator(_color)]
"""A colour as templates take it."""

Link = Annotated[str, AfterValidator(_link)]
"""What a mail may link to; empty for none."""

PublicUrl = Annotated[str, AfterValidator(_public_url)]
"""Where others reach us."""

Locale = Annotated[str, AfterValidator(_locale)]
"""A language, or a language and a region."""

Zone = Annotated[str, AfterValidator(_zone)]
"""A time zone that this machine knows."""

Host = Annotated[str, AfterValidator(_host)]
"""A host name in ASCII."""

Address = Annotated[str, AfterValidator(_address)]
"""A mail address without a display name; its domain may be international."""

Selector = Annotated[str, AfterValidator(_selector)]
"""The selector of a DKIM key (RFC 6376 §3.1)."""

FeedbackId = Annotated[str, AfterValidator(_feedback_id)]
"""What Gmail knows a sender by in Feedback-ID."""

OneLine = Annotated[str, AfterValidator(_one_line)]
"""A text that can stand in a header."""

DatabaseUrl = Annotated[
    SecretStr, AfterValidator(_leading(_POSTGRESQL, "postgresql://user:password@host:5432/database"))
]
"""Where a PostgreSQL is."""

RedisUrl = Annotated[SecretStr, AfterValidator(_leading(_REDIS, "redis://:password@host:6379/0"))]
"""Where a Redis or Valkey is, directly or through sentinels."""

SourceUrl = Annotated[
    SecretStr,
    AfterValidator(_leading((*_POSTGRESQL, *_WEB), "postgresql://user@host/database or https://host")),
]
"""Where live data comes from."""
