"""Turn Alertmanager's time intervals into windows, and its inhibit rules into ours.

Knows no routes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from notifier.events import Json
from notifier.rules.alerting.classic_matchers import read_with_fallback
from notifier.rules.alerting.matchers import Matcher, MatcherError
from notifier.rules.alerting.window_model import WindowEntry
from notifier.rules.imports.names import Names
from notifier.rules.imports.spots import Spot

# A day that never comes: Alertmanager knows names without any interval.
_NEVER: Mapping[str, Json] = {"months": ["february"], "days_of_month": ["30"]}
_INTERVAL = frozenset(WindowEntry.model_fields)
_SIDE_KEYS = ("_matchers", "_match", "_match_re")
_INHIBIT_KEYS = frozenset(
    {"name", "equal"} | {f"{side}{key}" for side in ("source", "target") for key in _SIDE_KEYS}
)


@dataclass(slots=True, kw_only=True)
class Windows:
    """The named times of a file."""

    rules: list[dict[str, Json]] = field(default_factory=list)
    _known: set[str] = field(default_factory=set)
    _names: Names = field(default_factory=Names)

    @classmethod
    def of(cls, *sections: Spot) -> "Windows":
        """Read ``time_intervals`` and the older ``mute_time_intervals``."""
        windows = cls()
        for section in sections:
            for entry in section.entries():
                windows._read(entry)
        return windows

    def named(self, names: Spot) -> list[Json]:
        """Return our names for those a route lists."""
        found: list[Json] = []
        for one in names.entries():
            if one.text() not in self._known:
                one.refuse(f"there is no time interval {one.text()!r}", "add it under `time_intervals:`")
            found.append(self._names.of(one.text(), "window"))
        return found

    def _read(self, entry: Spot) -> None:
        name = entry.at("name").text()
        if not name or name in self._known:
            entry.refuse("a time interval needs a name of its own", "Alertmanager refuses it as well")
        self._known.add(name)
        intervals: list[Json] = [_interval(one) for one in entry.at("time_intervals").entries()]
        if not intervals:
            entry.remark(f"{name!r} holds no interval: a day that never comes stands for it", "remove both")
        self.rules.append(
            {"window": self._names.of(name, "window"), "intervals": intervals or [dict(_NEVER)]}
        )


def _interval(spot: Spot) -> dict[str, Json]:
    for other in spot.unknown(_INTERVAL):
        other.refuse("no part of a time interval", f"known: {', '.join(sorted(_INTERVAL))}")
    value: dict[str, Any] = {key: spot.at(key).value for key in spot.fields() if spot.at(key).value}
    if value.get("location") == "Local":
        mend = "write the IANA name of the zone of Alertmanager's machine, such as Europe/Berlin"
        spot.at("location").remark("`Local` has no equal: the window is in UTC", mend)
        del value["location"]
    try:
        WindowEntry.model_validate(value)
    except ValidationError as wrong:
        item = wrong.errors()[0]
        place = spot.place.document.explain(WindowEntry, item, spot.place.path)
        raise place from None
    return value


def inhibits(section: Spot, name: str, seen: "Mentions") -> Iterator[dict[str, Json]]:
    """Yield our inhibit rules; they stay among the alerts of the rule ``name``."""
    names = Names()
    own = Matcher(name="rule", op="=", value=name)
    for number, entry in enumerate(section.entries(), start=1):
        for other in entry.unknown(_INHIBIT_KEYS):
            other.remark("not known to this import: left out", "see whether it matters to you")
        words = entry.at("name").text()
        equal = entry.at("equal").texts()
        seen.labels(entry.at("equal"), equal)
        sides = {side: _side(entry, side, seen) for side in ("source", "target")}
        yield {
            "inhibit": names.fresh(words or f"{name}-{number}", "inhibit"),
            **{side: [str(one) for one in (own, *found)] for side, found in sides.items()},
            **({"equal": list(equal)} if equal else {}),
            "missing_equal": True,
        }


def _side(entry: Spot, side: str, seen: "Mentions") -> tuple[Matcher, ...]:
    return matchers_of(
        entry.at(f"{side}_matchers"), entry.at(f"{side}_match"), entry.at(f"{side}_match_re"), seen
    )


def matchers_of(newer: Spot, match: Spot, match_re: Spot, seen: "Mentions") -> tuple[Matcher, ...]:
    """Return the matchers of all three ways to write them; all of them must hold."""
    found = [
        _matcher(spot.at(name), name, op)
        for spot, op in ((match, "="), (match_re, "=~"))
        for name in spot.fields()
    ]
    lines = [newer] if isinstance(newer.value, str) else list(newer.entries())
    for line in lines:
        found += _newer(line)
    for one in found:
        seen.matcher(newer if newer.value else match if match.value else match_re, one)
    return tuple(found)


def _matcher(spot: Spot, name: str, op: Any) -> Matcher:
    try:
        return Matcher(name=name, op=op, value=spot.text())
    except MatcherError as wrong:
        spot.refuse(str(wrong), "Alertmanager refuses it as well")


def _newer(line: Spot) -> tuple[Matcher, ...]:
    try:
        reading = read_with_fallback(line.text())
    except MatcherError as wrong:
        line.refuse(str(wrong), 'such as team="database"')
    if reading.is_classic:
        line.remark(
            "Alertmanager reads this by its classic syntax, and so does this import",
            f"see that it means {reading.suggestion}",
        )
    return reading.matchers


@dataclass(slots=True, kw_only=True)
class Mentions:
    """Which labels the file speaks of that every alert of ours has."""

    built_in: Mapping[str, str]
    """Name → what it is here for an alert that has no such label."""
    _told: set[str] = field(default_factory=set)

    def labels(self, spot: Spot, names: tuple[str, ...]) -> None:
        """Take note of labels that alerts are compared by."""
        for name in names:
            self._tell(spot, name)

    def matcher(self, spot: Spot, matcher: Matcher) -> None:
        """Take note of a matcher, if an alert without the label may answer otherwise than in Alertmanager."""
        ours = self.built_in.get(matcher.name)
        is_unsure = ours == "" or matcher.name == "rule"
        is_other = ours is not None and matcher.matches_value(ours) != matcher.matches_value("")
        if is_unsure or is_other:
            self._tell(spot, matcher.name)

    def _tell(self, spot: Spot, name: str) -> None:
        if name not in self.built_in or name in self._told:
            return
        self._told.add(name)
        what = self.built_in[name] or "one of ours"
        if name == "rule":
            problem = f"the label `rule` is always {what} here: one that alerts bring is not seen"
        else:
            problem = f"an alert without the label `{name}` has {what} here, not nothing"
        spot.remark(problem, f"rename `{name}` in Prometheus if that matters")
