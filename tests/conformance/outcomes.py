"""Say how a vector came out: as wanted, otherwise, or otherwise on purpose.

Differences on purpose are told by their meaning, never by a vector's id.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from notifier.events import Json
from tests.conformance.vectors import Vector


class Result(StrEnum):
    """How our behaviour relates to the source's."""

    PASS = "pass"
    FAIL = "fail"
    DIVERGENT = "divergent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The result of one vector; ``detail`` says what differs, or why on purpose."""

    result: Result
    detail: str = ""


Divergence = Callable[[Vector, Outcome], str | None]
"""Looks at a vector and its mismatch: the reason if we differ on purpose in what it is about, else None."""

PASSED = Outcome(result=Result.PASS)


def failed(detail: str) -> Outcome:
    """Return a mismatch that nobody has declared wanted."""
    return Outcome(result=Result.FAIL, detail=detail)


def divergent(reason: str) -> Outcome:
    """Return a difference on purpose."""
    return Outcome(result=Result.DIVERGENT, detail=reason)


def compared(want: Json, got: Json, what: str = "outcome") -> Outcome:
    """Return a pass when both are equal, else a failure that shows both."""
    return PASSED if want == got else failed(f"{what}: want {want!r}, got {got!r}")
