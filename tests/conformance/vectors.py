"""Read folders of vectors: who is told, when, and when not.

A vector is data only: nothing here knows what its kind means.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from notifier.events import Json

SHARED_FOLDER = Path(__file__).parents[2].parent / "shared" / "data" / "alerting"
"""Where the vectors lie beside the repository; they are read in place, never copied."""


class VectorsUnreadableError(Exception):
    """A folder or file that is no list of vectors; the message says where."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vector:
    """One case: configuration (``given``), input (``when``) and outcome (``want``)."""

    id: str
    kind: str
    given: Mapping[str, Json] = field(default_factory=dict)
    when: Json = field(default_factory=dict)
    want: Mapping[str, Json] = field(default_factory=dict)
    name: str = ""
    source: str = ""


def read_vectors(folder: Path) -> tuple[Vector, ...]:
    """Return every vector of every ``*.json`` in ``folder``, files in the order of their names."""
    if not folder.is_dir():
        raise VectorsUnreadableError(f"{folder}: no such folder; name one that holds *.json files")
    files = sorted(folder.glob("*.json"))
    if not files:
        raise VectorsUnreadableError(f"{folder}: holds no *.json file")
    return tuple(vector for file in files for vector in _read_file(file))


def _read_file(file: Path) -> tuple[Vector, ...]:
    try:
        entries = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise VectorsUnreadableError(f"{file}: not readable as JSON ({error})") from error
    if not isinstance(entries, list):
        raise VectorsUnreadableError(f"{file}: must be a list of vectors")
    return tuple(_vector(entry, f"{file}: entry {number}") for number, entry in enumerate(entries, start=1))


def _vector(entry: Json, where: str) -> Vector:
    if not isinstance(entry, dict) or not {"id", "kind"} <= entry.keys():
        raise VectorsUnreadableError(f"{where}: a vector has at least `id` and `kind`")
    return Vector(**{key: entry[key] for key in Vector.__slots__ if key in entry})


ORIGIN = datetime(2026, 1, 5, 9, tzinfo=UTC)
"""The moment that second 0 of every vector stands for."""


def moment(seconds: float) -> datetime:
    """Return the instant so many seconds from the origin."""
    return ORIGIN + timedelta(seconds=seconds)


def moment_or_none(seconds: float | None) -> datetime | None:
    """Return the instant so many seconds from the origin; None was not set."""
    return None if seconds is None else moment(seconds)
