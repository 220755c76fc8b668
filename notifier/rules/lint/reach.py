"""Find what never comes to pass: routes that cannot match or are taken by others, conditions that are constant.

Reasons about labels one by one; what only several of them together make impossible is not seen.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from notifier.alerts import SEVERITIES
from notifier.rules.alerting.matchers import Matcher, MatcherError, parse_matchers
from notifier.rules.alerting.model import AlertEntry, RouteEntry
from notifier.rules.alerting.plan import BUILT_IN
from notifier.rules.checks import Place
from notifier.rules.conditions import ConditionError, compile_condition, context_of
from notifier.rules.lint.known import Known, Lint, finding, firing_patterns
from notifier.rules.lint.tellings import tellings
from notifier.rules.telling import matches

_EVERYTHING = frozenset({".*", "(?s).*", "(?s:.*)", "^.*$"})


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What is certain of the labels of a rule's alerts at one place of its tree."""

    values: Mapping[str, frozenset[str]]
    """The labels of which all possible values are known."""
    names: frozenset[str] | None
    """The labels an alert may have; None = any."""
    given: tuple[Matcher, ...] = field(default=())

    @classmethod
    def of(cls, entry: AlertEntry, known: Known) -> "World":
        """Return what is certain of all alerts of a rule."""
        is_open = "*" in entry.labels
        severities = {entry.severity} & {*SEVERITIES} or {*SEVERITIES}
        built_in = {"type": frozenset(firing_patterns(entry, known)), "severity": frozenset(severities)}
        own = {name: values for name, values in built_in.items() if values and name not in entry.labels}
        # A mapping of the data may bring any label but the rule's name.
        return cls(
            values={**({} if is_open else own), "rule": frozenset({entry.alert})},
            names=None if is_open else frozenset({*BUILT_IN, *entry.labels}),
        )

    def within(self, matchers: Sequence[Matcher]) -> "World":
        """Return what is certain where these hold as well."""
        return replace(self, given=(*self.given, *matchers))

    def possible(self, name: str) -> frozenset[str] | None:
        """Return the values a label may have; None = nobody knows."""
        own = [one for one in self.given if one.name == name]
        exact = frozenset({one.value for one in own if one.op == "="})
        known = self.values.get(name)
        if known is None and self.names is not None and name not in self.names:
            known = frozenset({""})
        if known is None and not exact:
            return None
        values = exact if known is None else known
        return frozenset(value for value in values if all(one.matches_value(value) for one in own))

    def impossible(self) -> str | None:
        """Return a label that can have no value at all."""
        names = dict.fromkeys(one.name for one in self.given)
        return next((name for name in names if self.possible(name) == frozenset()), None)

    def implies(self, matcher: Matcher) -> bool:
        """Tell whether a matcher holds for certain."""
        if matcher in self.given or (matcher.op == "=~" and matcher.value in _EVERYTHING):
            return True
        possible = self.possible(matcher.name)
        return possible is not None and all(map(matcher.matches_value, possible))


def reach(known: Known) -> Iterator[Lint]:
    """Yield what never answers, never fires, or always does."""
    for telling in tellings(known):
        source, place = telling.chosen.values["when"], telling.chosen.where["when"]
        if source:
            yield from _constant(place, source)
    for place, alert in known.entries(AlertEntry):
        yield from _states(place, alert, known)
        yield from _routes(place, alert, World.of(alert, known))


def read_matchers(texts: Sequence[str]) -> tuple[Matcher, ...]:
    """Return the matchers of a rule; what is wrong was told of by ``load``."""
    return _readable(texts) or ()


def _readable(texts: Sequence[str]) -> tuple[Matcher, ...] | None:
    try:
        return tuple(one for text in texts for one in parse_matchers(text))
    except MatcherError:
        return None


def _constant(place: Place, source: str) -> Iterator[Lint]:
    try:
        condition = compile_condition(source)
    except ConditionError:
        return
    if condition.variables:
        return
    answer = condition.answer(context_of({})).is_true
    if answer:
        yield finding("warning", place, "the condition is always true", "remove it")
    else:
        yield finding(
            "error", place, "the condition is never true", "write `enabled: false` if that is meant"
        )


def _states(place: Place, entry: AlertEntry, known: Known) -> Iterator[Lint]:
    strangers = [
        one for key in ("firing", "resolved", "acknowledged") for one in _strangers(place, entry, key, known)
    ]
    yield from strangers
    if not strangers and not firing_patterns(entry, known) and known.types_for(entry.on):
        yield finding("error", place.at("on"), "nothing ever fires it", "add a type that does to `on`")


def _strangers(place: Place, entry: AlertEntry, key: str, known: Known) -> Iterator[Lint]:
    patterns: Sequence[str] = getattr(entry, key) or ()
    is_list = isinstance(place.document.at(place.path).get(key), list)
    for index, pattern in enumerate(patterns):
        names = [one.type for one in known.types_for((pattern,))]
        if names and not any(matches(entry.on, name) for name in names):
            where = place.at(key, index) if is_list else place.at(key)
            yield finding("error", where, f"{pattern} never comes here", "add it to `on`")


def _routes(place: Place, entry: AlertEntry | RouteEntry, world: World) -> Iterator[Lint]:
    earlier: list[tuple[RouteEntry, tuple[Matcher, ...]]] = []
    for index, route in enumerate(entry.routes):
        here = place.at("routes", index)
        matchers = _readable(route.match)
        if matchers is None:  # as load says; nobody knows what it takes from those after it
            continue
        inner = world.within(matchers)
        found = [*_unset(here, matchers, world), *_unreachable(here, inner, earlier)]
        yield from found[:1]
        if not found:
            yield from _routes(here, route, inner)
        if not route.go_on:
            earlier.append((route, matchers))


def _unset(place: Place, matchers: Sequence[Matcher], world: World) -> Iterator[Lint]:
    for one in matchers:
        if world.names is not None and one.name not in world.names:
            known = ", ".join(sorted(world.names))
            problem = f"no alert of the rule has the label {one.name!r}"
            yield finding("error", place.at("match"), problem, f"add it to `labels`; known: {known}")


def _unreachable(
    place: Place, world: World, earlier: Sequence[tuple[RouteEntry, tuple[Matcher, ...]]]
) -> Iterator[Lint]:
    if (name := world.impossible()) is not None:
        problem = f"it never answers: no value of {name!r} does for it, its parents and its rule"
        yield finding("error", place.at("match"), problem, "correct the matchers, or remove the route")
        return
    for other, matchers in earlier:
        if all(map(world.implies, matchers)):
            problem = f"it never answers: {other.route!r} before it takes all it could have"
            mend = f"put it before {other.route!r}, or write `continue: true` there"
            yield finding("error", place.at("route"), problem, mend)
            return
