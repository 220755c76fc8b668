"""Read YAML of another product: every scalar as the text it was written as, every value with its place in the file.

Knows no product; keeps remarks about what has no equal, and refuses what cannot be read.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

import yaml

from notifier.documents import parse
from notifier.errors import ConfigError
from notifier.rules.checks import Place


class _TextLoader(yaml.CSafeLoader):
    """Reads every scalar as text: ``1.10`` and ``09:00`` must not become numbers."""


# Go's YAML gives fields of type text the words of the file; what is left are null and the merge key ``<<``.
_KEPT = frozenset({"tag:yaml.org,2002:null", "tag:yaml.org,2002:merge"})
_TextLoader.yaml_implicit_resolvers = {
    first: [entry for entry in entries if entry[0] in _KEPT]
    for first, entries in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}

_TRUE = frozenset({"y", "yes", "on", "true"})
_FALSE = frozenset({"n", "no", "off", "false"})
# Prometheus' durations: each unit once, from the longest to the shortest.
_SPAN = re.compile(
    r"(?:(\d{1,4})y)?(?:(\d{1,6})w)?(?:(\d{1,6})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?(?:(\d{1,12})ms)?"
)
_UNITS = (
    timedelta(days=365), timedelta(weeks=1), timedelta(days=1), timedelta(hours=1), timedelta(minutes=1),
    timedelta(seconds=1), timedelta(milliseconds=1),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """A value of the file and where it stands; what stands nowhere is null."""

    value: Any
    place: Place
    remarks: list[ConfigError]

    def at(self, key: str | int) -> "Spot":
        """Return what stands below; null where there is no such key."""
        found = self.value.get(key) if isinstance(self.value, Mapping) else None
        if isinstance(self.value, list) and isinstance(key, int):
            found = self.value[key]
        return replace(self, value=found, place=self.place.at(key))

    def fields(self) -> tuple[str, ...]:
        """Return the keys of a mapping; null has none."""
        if self.value is None:
            return ()
        if not isinstance(self.value, Mapping):
            self.refuse("must be a mapping", "write `key: value` lines below it")
        return tuple(map(str, self.value))

    def entries(self) -> Iterator["Spot"]:
        """Yield the entries of a list; null has none."""
        if self.value is None:
            return
        if not isinstance(self.value, list):
            self.refuse("must be a list", "start each entry with `- `")
        for index in range(len(self.value)):
            yield self.at(index)

    def text(self) -> str:
        """Return a text; null is the empty one."""
        if self.value is None:
            return ""
        if not isinstance(self.value, str):
            self.refuse("must be a text", "write one value")
        return self.value

    def texts(self) -> tuple[str, ...]:
        """Return the texts of a list."""
        return tuple(entry.text() for entry in self.entries())

    def span(self) -> timedelta | None:
        """Return a length of time in Prometheus' words; None where none is given."""
        text = self.text()
        found = _SPAN.fullmatch(text)
        if not text:
            return None
        if text != "0" and found is None:
            self.refuse(f"{text!r} is no length of time", "such as 30s, 5m, 1h30m or 3d")
        numbers = found.groups() if found is not None else ()
        try:
            return sum(
                (int(number or 0) * unit for number, unit in zip(numbers, _UNITS, strict=False)), timedelta()
            )
        except OverflowError:
            self.refuse(f"{text!r} is too long a time", "at most a few thousand years")

    def is_true(self, *, default: bool = False) -> bool:
        """Return a yes or no."""
        word = self.text().lower()
        if word not in _TRUE | _FALSE | {""}:
            self.refuse(f"{word!r} is neither true nor false", "write true or false")
        return word in _TRUE if word else default

    def unknown(self, known: frozenset[str]) -> Iterator["Spot"]:
        """Yield what stands under keys that are not known."""
        yield from (self.at(key) for key in self.fields() if key not in known)

    def remark(self, problem: str, mend: str) -> None:
        """Keep what has no equal, with its place."""
        self.remarks.append(self.place.error(problem, mend))

    def refuse(self, problem: str, mend: str) -> NoReturn:
        """Give up, with the place.

        Raises:
            ConfigError: always.
        """
        raise self.place.error(problem, mend)


def read(text: str, file: Path) -> Spot:
    """Return the whole document.

    Raises:
        ConfigError: no YAML, or a key that stands twice.
    """
    document = parse(text, file)
    # Not the safe loader's own class, and no less safe: it only makes fewer kinds of values.
    value = yaml.load(text, Loader=_TextLoader)  # noqa: S506
    place = Place(document=replace(document, value=value))
    return Spot(value=value, place=place, remarks=[])
