"""Know the words by which mails show what they are; reads ``signs.yaml`` once. Decides nothing from one sign."""

import re
from functools import cache
from importlib import resources
from typing import Any

import re2
import yaml

from notifier.inbound.spelling import without_accents

_LENGTH = 6000
_LETTER = r"[0-9A-Za-z_\x{80}-\x{10ffff}]"
"""A letter, or whatever is not ASCII: all patterns compile in half the time that the exact class takes."""
_WORD = re.compile(r"(\[[^\]]*\])|\\w")
_OTHER = re.compile(r"(\[[^\]]*\])|\\W")
_MEMORY = 16 << 20
"""Bytes RE2 may use for one pattern; it takes what it needs."""


def has_sign(name: str, text: str) -> bool:
    """Say whether the beginning of a text has a sign of a list of ``signs.yaml``."""
    return bool(_signs(name).Match(without_accents(text[:_LENGTH].lower())))


@cache
def pattern(*names: str, before: str = "", behind: str = "") -> Any:
    """Return the RE2 pattern of lists of ``signs.yaml``, letter case aside, between two others."""
    ones = "|".join(f"(?:{worded(one)})" for name in names for one in _lists()[name])
    return re2.compile(f"(?im){_of_any_script(before)}(?:{ones}){_of_any_script(behind)}", _options())


def _of_any_script(edge: str) -> str:
    r"""Return a pattern whose ``\W`` is no letter of any script; RE2's takes all but ASCII for none."""
    return _OTHER.sub(lambda found: found[1] or r"[^\pL\pM\pN_]", edge)


def worded(one: str) -> str:
    r"""Return a pattern whose ``\w`` is a letter of any script where it has others than ASCII; RE2's is ASCII alone.

    A long one stands on several lines.
    """
    one = one.replace("\n", "")
    return one if one.isascii() else _WORD.sub(lambda found: found[1] or _LETTER, one)


@cache
def _signs(name: str) -> Any:
    # Literals first, then only the patterns that may hold, as in reasons.py.
    signs = re2.Filter()
    for one in _lists()[name]:
        signs.Add(f"(?m){worded(without_accents(one))}", _options())
    signs.Compile()
    return signs


def _options() -> Any:
    options = re2.Options()
    options.max_mem = _MEMORY
    options.log_errors = False
    return options


@cache
def _lists() -> dict[str, list[str]]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    source = resources.files("notifier.inbound").joinpath("signs.yaml").read_text("utf-8")
    lists: dict[str, list[str]] = yaml.load(source, Loader=loader)  # noqa: S506 - both loaders are safe ones
    return lists
