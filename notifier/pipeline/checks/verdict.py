"""What a look came to: one verdict per thing, with what was seen and how to mend it."""

from dataclasses import dataclass
from enum import StrEnum

from notifier.errors import NotifierError


class State(StrEnum):
    """What a check came to."""

    PASS = "pass"  # noqa: S105 - a verdict
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One verdict: on what, what was seen, and what to do about it."""

    name: str
    state: State
    detail: str
    mend: str = ""


def ok(name: str, detail: str) -> Check:
    """Return a verdict: as it must be."""
    return Check(name=name, state=State.PASS, detail=detail)


def warn(name: str, detail: str, mend: str) -> Check:
    """Return a verdict: it works, and should be looked at."""
    return Check(name=name, state=State.WARN, detail=detail, mend=mend)


def fail(name: str, detail: str, mend: str) -> Check:
    """Return a verdict: it does not work."""
    return Check(name=name, state=State.FAIL, detail=detail, mend=mend)


def said(error: Exception) -> str:
    """Return an error's first line; of the driver's only its kind, since it may quote values."""
    if isinstance(error, NotifierError):
        return str(error).partition("\n")[0]
    return type(error).__name__
