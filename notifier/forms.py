"""Tell whether a text of the settings has the form its reader needs, and if not, what to write instead.

Pure: never looks up a host, and never repeats a value, which may be a secret.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

# What the templates' filters take: css_color and url.
_COLOR: Final = re.compile(r"#(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})")
_LINK: Final = re.compile(r"(?:https?://|mailto:|tel:)[^\s<>\"]+", re.IGNORECASE)

# By the start of pydantic's type of error; its context fills the braces.
_MENDS: Final = {
    "int": "write a whole number, without quotes or unit",
    "bool": "write true or false",
    "greater_than_equal": "write {ge} or more",
    "less_than_equal": "write {le} or less",
    "greater_than": "write more than {gt}",
    "literal_error": "write one of {expected}",
    "string": "write a text, in quotes where YAML takes it for something else",
    "tuple": "write a list: one `- entry` a line",
    "mapping": "write `name: value` lines below it",
    "dict": "write `name: value` lines below it",
    "model": "write `name: value` lines below it",
    "path": "write the path of a file or folder",
    "value_error": "write a duration such as 500ms, 90s, 10m, 1h30m or 3d",
}


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


def mend_of(kind: str, context: Mapping[str, Any]) -> str:
    """Return how to mend a mistake of one of pydantic's kinds, or of ours."""
    if mend := context.get("mend"):
        return str(mend)
    form = next((form for known, form in _MENDS.items() if kind.startswith(known)), None)
    return form.format(**context) if form else "write it as docs/operations.md has it, under Settings"


Color = Annotated[str, AfterValidator(_color)]
"""A colour as templates take it."""

Link = Annotated[str, AfterValidator(_link)]
"""What a mail may link to; empty for none."""
