"""Find what in a value is no JSON that can be stored, and where: for the message of a refusal.

Never on the fast path: it runs once an encoder has failed, or found something suspicious.
"""

import math
from collections.abc import Iterator
from typing import Final

from notifier.events import Json

MAX_DEPTH: Final = 100


def find_flaw(value: Json) -> tuple[str, str] | None:
    """Return the path of the first flaw and what is wrong with it, or None."""
    return next(_flaws(value, "", 0), None)


def _flaws(value: Json, path: str, depth: int) -> Iterator[tuple[str, str]]:
    if depth > MAX_DEPTH:
        yield path, f"is nested deeper than {MAX_DEPTH}, or holds itself"
    elif isinstance(value, dict):
        yield from _flaws_of_object(value, path, depth)
    elif isinstance(value, list | tuple):
        for n, item in enumerate(value):
            yield from _flaws(item, f"{path}[{n}]", depth + 1)
    elif problem := _problem(value):
        yield path, problem


def _flaws_of_object(value: dict[Json, Json], path: str, depth: int) -> Iterator[tuple[str, str]]:
    for key, item in value.items():
        if not isinstance(key, str | int | float):
            yield path, f"has a key that is a {type(key).__name__}: keys must be texts"
        elif problem := _problem_of_text(str(key)):
            yield path, f"has a key that {problem}"
        else:
            yield from _flaws(item, f"{path}.{key}" if path else str(key), depth + 1)


def _problem(value: Json) -> str | None:
    if isinstance(value, str):
        return _problem_of_text(value)
    if value is None or isinstance(value, int):
        return None
    if isinstance(value, float):
        return None if math.isfinite(value) else "is not a finite number"
    return f"is a {type(value).__name__}, which is no JSON: turn it into a text or a number"


def _problem_of_text(text: str) -> str | None:
    if "\0" in text:
        return "holds NUL, which cannot be stored"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "holds half a surrogate pair, which is no Unicode text"
    return None
