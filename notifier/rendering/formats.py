"""Write money, numbers and moments the way a locale's readers expect.

Pure functions over JSON values; English and German by name, every other language in a neutral ISO form.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, tzinfo
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

from notifier.events import Json

Length = Literal["long", "short"]

NO_BREAK = "\u00a0"

DIGITS_LIMIT = 30
"""An amount with more digits than this is an attack or a mistake."""

_EVERYDAY = 1000
_CURRENCY = re.compile("[A-Za-z]{3}")

# Wide enough for the digits allowed plus the minor unit, so that quantize never overflows.
_EXACT = Context(prec=80)

# ISO 4217: the currencies whose minor unit is not a hundredth.
_MINOR = {
    "BHD": 3, "BIF": 0, "CLP": 0, "DJF": 0, "GNF": 0, "IQD": 3, "ISK": 0, "JOD": 3, "JPY": 0, "KMF": 0,
    "KRW": 0, "KWD": 3, "LYD": 3, "OMR": 3, "PYG": 0, "RWF": 0, "TND": 3, "UGX": 0, "UYI": 0, "VND": 0,
    "VUV": 0, "XAF": 0, "XOF": 0, "XPF": 0,
}  # fmt: skip
_SYMBOLS = {"EUR": "€", "USD": "$", "GBP": "£", "JPY": "¥"}


class FormatError(ValueError):
    """A value cannot be written in the form that was asked for. Never quotes the value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Style:
    """How one locale writes; the patterns take day, month (a number), name, brief (its short form), year."""

    group: str = ","
    point: str = "."
    is_symbol_first: bool = True
    months: tuple[str, ...] = ()
    brief: tuple[str, ...] = ()
    long: str = "{year:04}-{month:02}-{day:02}"
    short: str = "{year:04}-{month:02}-{day:02}"
    clock: str = "%H:%M"
    zones: Mapping[str, str] = field(default_factory=dict)
    """What this language calls a zone, where it differs from the IANA abbreviation."""


_ENGLISH_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
    "November", "December",
)  # fmt: skip
_GERMAN_MONTHS = (
    "Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober", "November",
    "Dezember",
)  # fmt: skip
_ENGLISH_BRIEF = tuple(name[:3] for name in _ENGLISH_MONTHS)
_GERMAN = _Style(
    group=".",
    point=",",
    is_symbol_first=False,
    months=_GERMAN_MONTHS,
    long="{day}. {name} {year}",
    short="{day:02}.{month:02}.{year}",
    clock="%H:%M Uhr",
    zones={"CET": "MEZ", "CEST": "MESZ"},
)

_STYLES = {
    # British order is the default of English: with the month's name no reader mistakes it.
    "en": _Style(
        months=_ENGLISH_MONTHS, brief=_ENGLISH_BRIEF, long="{day} {name} {year}", short="{day} {brief} {year}"
    ),
    "en-US": _Style(
        months=_ENGLISH_MONTHS,
        brief=_ENGLISH_BRIEF,
        long="{name} {day}, {year}",
        short="{brief} {day}, {year}",
        clock="%I:%M %p",
    ),
    "de": _GERMAN,
    "de-CH": replace(_GERMAN, group="\u2019", point=".", is_symbol_first=True),
}
_NEUTRAL = _Style()


def money(amount: Json | Decimal, currency: str, locale: str) -> str:
    """Write an amount in the currency's main unit: ``€1,234.50``, ``1.234,50 €``. None is the empty text.

    Raises:
        FormatError: not a number, or not a three-letter currency.
    """
    if amount is None:
        return ""
    if not _CURRENCY.fullmatch(str(currency)):
        raise FormatError("the currency must be an ISO 4217 code such as EUR")
    currency = currency.upper()
    style = _style(locale)
    text = _grouped(_decimal(amount), _MINOR.get(currency, 2), style)
    sign, text = ("-", text[1:]) if text.startswith("-") else ("", text)
    symbol = _SYMBOLS.get(currency, currency)
    if not style.is_symbol_first:
        return f"{sign}{text}{NO_BREAK}{symbol}"
    return f"{sign}{symbol}{text}" if len(symbol) == 1 else f"{sign}{symbol}{NO_BREAK}{text}"


def number(value: Json | Decimal, locale: str, digits: int | None = None) -> str:
    """Write a number with its grouping; ``digits`` after the point, or as many as it has. None is "".

    Raises:
        FormatError: not a number.
    """
    if value is None:
        return ""
    if type(value) is int and not digits and -_EVERYDAY < value < _EVERYDAY:
        return str(value)  # most numbers in mails are quantities, and Decimal takes ten times as long
    exact = _decimal(value)
    if digits is None:
        exact = exact.normalize()
        digits = max(0, -int(exact.as_tuple().exponent))
    return _grouped(exact, digits, _style(locale))


def day(value: Json | date, locale: str, zone: str | None, length: Length = "long") -> str:
    """Write the day: ``30 November 2026``. A moment is first brought into the zone. None is "".

    Raises:
        FormatError: neither an ISO 8601 date nor a moment with an offset.
    """
    if value is None:
        return ""
    moment = _read(value)
    if isinstance(moment, datetime):
        moment = moment.astimezone(zone_of(zone)).date()
    return _written(moment, _style(locale), length)


def moment(value: Json | datetime, locale: str, zone: str | None, length: Length = "long") -> str:
    """Write day, time and zone: ``30 November 2026, 14:05 CET``. None is "".

    Raises:
        FormatError: not an ISO 8601 moment with an offset.
    """
    if value is None:
        return ""
    there, style = _in_zone(value, zone), _style(locale)
    return f"{_written(there.date(), style, length)}, {_clock(there, style)} {_zone_name(there, style)}"


def clock(value: Json | datetime, locale: str, zone: str | None) -> str:
    """Write the time and its zone: ``14:05 CET``. None is "".

    Raises:
        FormatError: not an ISO 8601 moment with an offset.
    """
    if value is None:
        return ""
    there, style = _in_zone(value, zone), _style(locale)
    return f"{_clock(there, style)} {_zone_name(there, style)}"


@lru_cache(maxsize=512)
def zone_of(name: str | None) -> tzinfo:
    """Return the IANA zone; an unknown or absent one is UTC, which the written time then says."""
    try:
        return ZoneInfo(name) if name else UTC
    except (KeyError, ValueError, OSError):
        return UTC


def _in_zone(value: Json | datetime, zone: str | None) -> datetime:
    there = _read(value)
    if not isinstance(there, datetime):
        raise FormatError("a day without a time cannot be written as a time; use the date filter")
    return there.astimezone(zone_of(zone))


def _style(locale: str) -> _Style:
    return _STYLES.get(locale) or _STYLES.get(locale.partition("-")[0], _NEUTRAL)


def _decimal(value: Json | Decimal) -> Decimal:
    # A bool is an int in Python, and "true items" is never what a template means.
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise FormatError("must be a number")
    try:
        exact = Decimal(str(value))
    except InvalidOperation:
        raise FormatError("must be a number") from None
    if not exact.is_finite() or abs(exact.adjusted()) > DIGITS_LIMIT:
        raise FormatError("must be a number of at most 30 digits")
    return exact


def _grouped(value: Decimal, digits: int, style: _Style) -> str:
    rounded = value.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP, _EXACT)
    text = f"{rounded + 0:,f}"  # + 0 turns -0 into 0
    return text.translate({ord(","): style.group, ord("."): style.point})


def _read(value: Json | date) -> date:
    """Return a date, or an aware datetime."""
    if isinstance(value, str):
        value = _parse(value)
    if isinstance(value, datetime) and value.tzinfo is None:
        raise FormatError("a time needs an offset, such as Z or +01:00")
    if not isinstance(value, date):
        raise FormatError("must be an ISO 8601 date or time")
    return value


def _parse(text: str) -> date:
    try:
        return date.fromisoformat(text) if len(text) == len("2026-11-30") else datetime.fromisoformat(text)
    except ValueError:
        raise FormatError("must be an ISO 8601 date or time") from None


def _written(value: date, style: _Style, length: Length) -> str:
    index = value.month - 1
    return (style.long if length == "long" else style.short).format(
        day=value.day,
        month=value.month,
        year=value.year,
        name=style.months[index] if style.months else "",
        brief=style.brief[index] if style.brief else "",
    )


def _clock(value: datetime, style: _Style) -> str:
    return (
        value.strftime(style.clock).removeprefix("0") if "%I" in style.clock else value.strftime(style.clock)
    )


def _zone_name(value: datetime, style: _Style) -> str:
    name = value.tzname() or "UTC"
    # Zones without letters of their own are named by their offset, such as "+03".
    return f"UTC{name}" if name[0] in "+-" else style.zones.get(name, name)
