"""Judge single fields of an event: texts, forms, base64.

Every refusal names the field; nothing here knows what the field is for.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any

from notifier.errors import EventRefused

Json = Any
"""A value of JSON: dict, list, str, int, float, bool or None."""

TEXT_LIMIT = 512
"""Characters of an attribute, or of a recipient's or attachment's field."""
URL_LIMIT = 2048

# NUL cannot be stored; line breaks would travel into headers and logs.
CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def check_text(text: Json, where: str, *, is_empty_allowed: bool = False, limit: int = TEXT_LIMIT) -> None:
    """Refuse what is no text of one line within the limit, in characters.

    Raises:
        EventRefused: naming ``where``.
    """
    if not isinstance(text, str):
        raise EventRefused("must be a text", field=where)
    if not text and not is_empty_allowed:
        raise EventRefused("must not be empty", field=where)
    if len(text) > limit:
        raise EventRefused(f"is longer than {limit} characters", field=where)
    if CONTROL.search(text):
        raise EventRefused("holds control characters", field=where)


def check_form(value: Mapping[str, Json], key: str, form: re.Pattern[str], wanted: str, where: str) -> None:
    """Refuse a text under ``key``, where there is one, that has not the form.

    Raises:
        EventRefused: with the path of the field, and ``wanted`` in words.
    """
    if key in value:
        check_text(value[key], f"{where}.{key}", limit=URL_LIMIT)
        if not form.fullmatch(value[key]):
            raise EventRefused(f"must be {wanted}", field=f"{where}.{key}")


def read_base64(value: Json, where: str) -> bytes:
    """Return the bytes a text stands for.

    Raises:
        EventRefused: it is no base64.
    """
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise EventRefused("must be base64", field=where) from None
