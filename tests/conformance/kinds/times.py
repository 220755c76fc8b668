"""Windows of local time: how they are written, and what they contain."""

from datetime import datetime

from pydantic import TypeAdapter, ValidationError

from notifier.events import Json
from notifier.rules.alerting.window_model import WindowEntry
from notifier.rules.alerting.windows import Range, Window, is_inside
from tests.conformance.outcomes import Outcome, compared, failed
from tests.conformance.vectors import Vector

_ENTRIES = TypeAdapter(tuple[WindowEntry, ...])


def window(vector: Vector) -> Outcome:
    """Moments lie inside any of the windows, or not."""
    windows = _windows(vector.given["windows"])
    inside = [is_inside(windows, datetime.fromisoformat(at)) for at in vector.when["at"]]
    return compared(vector.want["inside"], inside, "inside")


def mute_window(vector: Vector) -> Outcome:
    """These of the named windows hold at a moment."""
    at = datetime.fromisoformat(vector.when["at"])
    named = vector.given["named_windows"]
    muted_by = sorted(name for name, entries in named.items() if is_inside(_windows(entries), at))
    return compared(vector.want["muted_by"], muted_by, "muted by")


def window_syntax(vector: Vector) -> Outcome:
    """Windows as a person writes them are read as these, or refused; the words of a refusal are our own."""
    try:
        entries = _ENTRIES.validate_python(vector.when["windows"])
    except ValidationError as error:
        told = "; ".join(problem["msg"] for problem in error.errors())
        return compared(vector.want["valid"], False, f"valid ({told})")
    windows = [entry.compiled() for entry in entries]
    if not vector.want["valid"]:
        return failed(f"accepted as {windows}")
    return compared(_windows(vector.want["windows"]), windows, "windows")


def _windows(entries: list[Json]) -> list[Window]:
    return [_window(entry) for entry in entries]


def _window(entry: Json) -> Window:
    fields = ("weekdays", "days_of_month", "months", "years")
    return Window(
        times=tuple((_minutes(first), _minutes(last)) for first, last in entry.get("times") or ()),
        **{field: _ranges(entry.get(field)) for field in fields},
        zone=entry.get("location") or "UTC",
    )


def _ranges(pairs: list[list[int]] | None) -> tuple[Range, ...]:
    return tuple((first, last) for first, last in pairs or ())


def _minutes(clock: str) -> int:
    hours, minutes = clock.split(":")
    return int(hours) * 60 + int(minutes)


KINDS = {"window": window, "mute_window": mute_window, "window_syntax": window_syntax}
