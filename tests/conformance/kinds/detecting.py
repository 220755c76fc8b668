"""Thresholds: how often a sequence of events and looks matches, for which key, and with which event."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from notifier.events import Json
from notifier.rules.alerting.counting import Count
from notifier.rules.alerting.detectors import Detector, Memory, Reading, Sighting
from notifier.rules.alerting.distinct import Distinct
from notifier.rules.alerting.flatline import Flatline
from notifier.rules.alerting.spikes import Direction, Spike
from tests.conformance.outcomes import PASSED, Outcome, failed
from tests.conformance.vectors import Vector


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """The threshold was met at ``t`` for ``key``; ``fields`` are those of the event that is shown for it."""

    t: float
    key: Json
    fields: Mapping[str, Json]


@dataclass(slots=True, kw_only=True)
class Watch:
    """One rule of a vector: its detector, and one memory per key."""

    detector: Detector
    start: datetime
    query_key: str | None = None
    value_field: str | None = None
    memories: dict[Json, Memory] = field(default_factory=dict)
    events: dict[Json, list[Json]] = field(default_factory=dict)
    matches: list[Match] = field(default_factory=list)
    is_warm: bool = False
    latest: float = 0
    looked: float = 0

    def add(self, events: list[Json]) -> None:
        """Take in the events given at once, one after the other."""
        self.latest = max([self.latest, *(event["t"] for event in events)])
        for event in self._as_seen(events):
            key = self.key_of(event["fields"])
            self.events.setdefault(key, []).append(event)
            self._note(self._observe(key, event), event["t"], key, event)
            if self._is_looked_after(event, key):
                self._look(key, event["t"], event)
        if events and isinstance(self.detector, Flatline) and "count" not in events[-1]:
            self._look(self.key_of(events[-1]["fields"]), events[-1]["t"], events[-1])

    def _as_seen(self, events: list[Json]) -> list[Json]:
        """Return the events in the order in which they are taken in.

        For too few, the source looks at a list of single events once, at its end: that is when it first sees a key.
        """
        is_list = isinstance(self.detector, Flatline) and not any("count" in event for event in events)
        return sorted(events, key=lambda event: event["t"], reverse=True) if is_list else events

    def tick(self, t: float) -> None:
        """Let time pass: look at every key, or at the one there is when the rule has no key."""
        self.looked = self.latest = max(self.latest, t)
        default = [] if self.query_key else [None]
        for key in list(self.memories) or default:
            self._look(key, t, None)

    def key_of(self, fields: Mapping[str, Json]) -> Json:
        """Return what tells this event's key from others."""
        value = lookup(fields, self.query_key) if self.query_key else None
        return value if value is None or isinstance(value, str | int | float) else repr(value)

    def _observe(self, key: Json, event: Json) -> Reading:
        sighting = Sighting(
            at=self._moment(event["t"]),
            value=lookup(event["fields"], self.value_field) if self.value_field else None,
            count=event.get("count", 1),
            is_rule_warm=self.is_warm,
        )
        return self.detector.observe(self.memories.get(key), sighting, self._moment(self.latest))

    def _look(self, key: Json, t: float, event: Json) -> None:
        reading = self.detector.tick(self.memories.get(key, {}), self._moment(t))
        self._note(reading, t, key, event)
        if event and reading.matches and isinstance(self.detector, Distinct):
            # Before it says "too few" of one key, the source looks at all of them.
            for other in [one for one in self.memories if one != key]:
                self._look(other, t, None)

    def _is_looked_after(self, event: Json, key: Json) -> bool:
        """Return whether the source looks for too few right after this event."""
        if key not in self.memories:
            return False
        if isinstance(self.detector, Flatline):
            return "count" in event
        if isinstance(self.detector, Distinct) and self.detector.fewer_than is not None:
            # It drops old values when time passes only; before that it sees no reason to look.
            return self._values_since_look(key) < self.detector.fewer_than
        return False

    def _values_since_look(self, key: Json) -> int:
        oldest = (
            self.looked - self.detector.within.total_seconds() if isinstance(self.detector, Distinct) else 0
        )
        values = (
            lookup(one["fields"], self.value_field or "") for one in self.events[key] if one["t"] >= oldest
        )
        return len({repr(value) for value in values if value is not None})

    def _note(self, reading: Reading, t: float, key: Json, event: Json) -> None:
        self.memories[key] = reading.memory
        if not reading.memory:
            del self.memories[key]
        self.is_warm = self.is_warm or bool(reading.facts.get("is_warm"))
        for _ in range(reading.matches):
            self.matches.append(Match(t=t, key=key, fields=self._shown(key, event)))
        if reading.matches and isinstance(self.detector, Count):
            self.events[key] = []

    def _shown(self, key: Json, event: Json) -> Mapping[str, Json]:
        """Return the fields of the event the source shows for a match."""
        seen = self.events.get(key, [])
        if isinstance(self.detector, Count):
            event = max(reversed(seen), key=lambda one: one["t"])
        if isinstance(self.detector, Spike):
            since = max([self.looked, *(one["t"] for one in seen)]) - self.detector.within.total_seconds()
            window = [one for one in seen if one["t"] > since and one.get("count", 1)]
            event = min(window, key=lambda one: one["t"]) if window else None
        return event["fields"] if event else {self.query_key: key} if self.query_key else {}

    def _moment(self, t: float) -> datetime:
        return self.start + timedelta(seconds=t)


def lookup(fields: Mapping[str, Json], name: str) -> Json:
    """Return the field of this name; a dotted name goes into nested fields, whose own names may have dots."""
    if name in fields:
        return fields[name]
    parts = name.split(".")
    for taken in range(1, len(parts)):
        inner = fields.get(".".join(parts[:taken]))
        if isinstance(inner, Mapping):
            found = lookup(inner, ".".join(parts[taken:]))
            if found is not None:
                return found
    return None


def frequency(rule: Mapping[str, Json]) -> Detector:
    """So many within the timeframe; the key then starts anew."""
    return Count(at_least=rule["num_events"], within=_timeframe(rule), is_restarting=True)


def flatline(rule: Mapping[str, Json]) -> Detector:
    """Fewer than the threshold within the timeframe."""
    return Flatline(
        fewer_than=rule["threshold"], within=_timeframe(rule), is_forgetting=rule.get("forget_keys", False)
    )


def spike(rule: Mapping[str, Json]) -> Detector:
    """The timeframe against the one before it."""
    return Spike(
        within=_timeframe(rule),
        height=rule["spike_height"],
        direction=Direction(rule["spike_type"]),
        min_now=rule.get("threshold_cur", 0),
        min_before=rule.get("threshold_ref", 0),
        is_new_key_told=bool(rule.get("query_key")) and rule.get("alert_on_new_data", False),
        is_pause_skipped=True,
    )


def cardinality(rule: Mapping[str, Json]) -> Detector:
    """More different values than the maximum, or fewer than the minimum."""
    return Distinct(
        within=_timeframe(rule),
        more_than=rule.get("max_cardinality"),
        fewer_than=rule.get("min_cardinality"),
    )


def _timeframe(rule: Mapping[str, Json]) -> timedelta:
    return timedelta(seconds=rule["timeframe"])


def _kind(detector_of: Callable[[Mapping[str, Json]], Detector]) -> Callable[[Vector], Outcome]:
    def run(vector: Vector) -> Outcome:
        rule = vector.given["rule"]
        watch = Watch(
            detector=detector_of(rule),
            start=datetime.fromisoformat(vector.given["start"]),
            query_key=rule.get("query_key"),
            value_field=rule.get("cardinality_field"),
        )
        totals = []
        for step in vector.when:
            watch.add(step["add"]) if "add" in step else watch.tick(step["tick"])
            totals.append(len(watch.matches))
        problems = list(_problems(vector.want, totals, watch.matches))
        return failed("; ".join(problems)) if problems else PASSED

    return run


def _problems(want: Mapping[str, Json], totals: list[int], matches: list[Match]) -> Iterator[str]:
    for one in want.get("totals", ()):
        if totals[one["after_step"]] != one["total"]:
            yield f"after step {one['after_step']}: want {one['total']} matches, got {totals[one['after_step']]}"
    for one in want.get("matches", ()):
        shown = matches[one["number"] - 1].fields if one["number"] <= len(matches) else None
        if shown is None or any(lookup(shown, name) != value for name, value in one["fields"].items()):
            yield f"match {one['number']}: want {one['fields']!r}, got {shown!r}"
    for one in want.get("keys", ()):
        keys = sorted({str(match.key) for match in matches if match.t == one["t"]})
        if keys != sorted(str(key) for key in one["keys"]):
            yield f"keys at {one['t']}: want {one['keys']!r}, got {keys!r}"


KINDS = {
    "frequency": _kind(frequency),
    "flatline": _kind(flatline),
    "spike": _kind(spike),
    "cardinality": _kind(cardinality),
}
