"""Make an alert rule of its entry: what it goes by, and the tree of who is told.

Collects errors with file and line; what it names is looked up by ``compile``, when all is known.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from notifier.alerts import SEVERITIES
from notifier.rules.alerting.cadence import Cadence, Remind
from notifier.rules.alerting.detectors import detector_of, flapping_of
from notifier.rules.alerting.matchers import Matcher, MatcherError, parse_matchers, takes_everything
from notifier.rules.alerting.model import (
    AlertEntry,
    RemindEntry,
    RouteEntry,
)
from notifier.rules.alerting.plan import (
    BUILT_IN,
    DEFAULT_GROUP_TEMPLATE,
    EVERY_LABEL,
    AlertPlan,
    AlertRule,
    FieldStates,
)
from notifier.rules.alerting.routes import Node
from notifier.rules.checks import Checks, Place
from notifier.rules.conditions import ROOTS
from notifier.rules.read_telling import Chosen, read_telling

_FIRST_AFTER, _BATCH_EVERY = timedelta(seconds=30), timedelta(minutes=5)


@dataclass(slots=True, kw_only=True)
class Named:
    """What entries name, and where they do."""

    windows: list[tuple[str, Place]] = field(default_factory=list)
    escalations: list[tuple[str, Place]] = field(default_factory=list)

    def add_windows(self, place: Place, names: Sequence[str]) -> None:
        """Note the windows that stand at a place."""
        self.windows += [(name, place) for name in names]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleCompiler:
    """Compiles alert rules, one after the other."""

    checks: Checks
    named: Named

    def alert(self, place: Place, entry: AlertEntry) -> AlertRule:
        """Compile an alert rule."""
        self.checks.patterns(place.at("on"), entry.on)
        for name in ("firing", "resolved", "acknowledged"):
            self.checks.patterns(place.at(name), getattr(entry, name) or ())
        self._labels_known(place, entry)
        severity, path = self._severity(place, entry)
        detector = detector_of(entry.detect) if entry.detect is not None else None
        return AlertRule(
            name=entry.alert,
            # What ends it concerns the rule, whether or not `on` says so.
            patterns=tuple(dict.fromkeys((*entry.on, *(entry.resolved or ()), *(entry.acknowledged or ())))),
            condition=self.checks.condition(place.at("when"), entry.when, ROOTS - {"journey"}),
            labels=tuple(entry.labels.items()),
            key=entry.key,
            root=self._root(place, entry),
            firing=entry.firing or (),
            resolved=entry.resolved or (),
            acknowledged=entry.acknowledged or (),
            states=_states(entry),
            ttl=entry.ttl,
            begins=entry.begins,
            ends=entry.ends,
            severity=severity,
            severity_path=path,
            detector=detector,
            detect_path=entry.detect.path if entry.detect is not None else None,
            flapping=flapping_of(entry.flap) if entry.flap is not None else None,
            is_enabled=entry.enabled,
        )

    def _root(self, place: Place, entry: AlertEntry) -> Node[AlertPlan]:
        chosen = Chosen.of(entry, place)
        if not (entry.recipients or entry.routes or entry.escalate):
            self.checks.wrong(place.error("'recipients' is required", "say who is told, or `escalate`"))
        branch = _Branch(root=entry, entry=entry, place=place, chosen=chosen)
        return Node(path=(), plan=self._plan(branch), children=self._children(branch))

    def _children(self, parent: "_Branch") -> tuple[Node[AlertPlan], ...]:
        nodes = []
        routes = parent.entry.routes
        for index, entry in enumerate(routes):
            place = parent.place.at("routes", index)
            self._alone(place.at("group_by"), entry.group_by or ())
            if entry.route in [one.route for one in routes[:index]]:
                problem = f"the route {entry.route!r} stands twice"
                self.checks.wrong(place.at("route").error(problem, "rename one"))
            branch = parent.below(entry, place)
            nodes.append(
                Node(
                    path=branch.path,
                    plan=self._plan(branch),
                    matchers=read_matchers(self.checks, place.at("match"), entry.match),
                    is_continue=entry.go_on,
                    children=self._children(branch),
                    labels=branch.labels,
                )
            )
        return tuple(nodes)

    def _plan(self, branch: "_Branch") -> AlertPlan:
        values, where = branch.chosen.values, branch.chosen.where
        entry, place, root = branch.entry, branch.place, branch.root
        self.named.add_windows(place.at("active"), entry.active)
        self.named.add_windows(place.at("mute"), entry.mute)
        telling = read_telling(
            self.checks,
            branch.chosen,
            roots=ROOTS - {"journey"},
            patterns=root.on,
            at=where.get("on", place),
        )
        group_template = values["group_template"] or DEFAULT_GROUP_TEMPLATE
        if telling.sources:
            self.checks.named_template(where["group_template"], group_template)
        if entry.escalate is not None:
            self.named.escalations.append((entry.escalate, place.at("escalate")))
        group_by = values["group_by"]
        return AlertPlan(
            group_by=root.key if group_by is None else tuple(sorted(group_by)),
            cadence=Cadence(
                first_after=_or(values["first_after"], _FIRST_AFTER),
                batch_every=_or(values["batch_every"], _BATCH_EVERY),
                remind=_remind(values["remind_after"]),
                send_resolved=values["send_resolved"] is not False,
            ),
            telling=telling,
            group_template=group_template,
            active=entry.active,
            mute=entry.mute,
            escalate=values["escalate"],
        )

    def _labels_known(self, place: Place, entry: AlertEntry) -> None:
        """A label no event can have is a slip; with ``*`` nobody knows."""
        known = {*BUILT_IN, *entry.labels, *EVERY_LABEL}
        is_severity_ours = not {"severity", "*"} & entry.labels.keys()
        if "severity" in entry.key and is_severity_ours:
            mend = "leave it out: an alert that gets worse is still the same alert"
            self.checks.wrong(place.at("key").error("the severity cannot be part of the key", mend))
        for name in ("key", "group_by"):
            labels = getattr(entry, name) or ()
            self._alone(place.at(name), labels)
            for index, label in enumerate(labels):
                if label not in known and "*" not in entry.labels:
                    mend = f"known: {', '.join(sorted(known - {*EVERY_LABEL}))}; add it to `labels`"
                    self.checks.wrong(place.at(name, index).error(f"unknown label {label!r}", mend))

    def _alone(self, place: Place, labels: Sequence[str]) -> None:
        if EVERY_LABEL[0] in labels and tuple(labels) != EVERY_LABEL:
            self.checks.wrong(
                place.error("`...` stands for every label, beside others", "keep it alone, or not")
            )

    def _severity(self, place: Place, entry: AlertEntry) -> tuple[int | None, str | None]:
        if entry.severity in SEVERITIES:
            return SEVERITIES.index(entry.severity), None
        if entry.severity.startswith(("data.", "event.")):
            return None, entry.severity
        mend = f"one of {', '.join(SEVERITIES)}, or a path such as data.severity"
        self.checks.wrong(place.at("severity").error(f"unknown severity {entry.severity!r}", mend))
        return 0, None


def read_choosing(checks: Checks, place: Place, texts: Sequence[str]) -> tuple[Matcher, ...]:
    """Read matchers of what mutes: with none that chooses it would mute everything, as with silences."""
    before = len(checks.errors)
    matchers = read_matchers(checks, place, texts)
    if len(checks.errors) == before and takes_everything(matchers):
        mend = 'name a value, such as team="database"; rule=~".+" stands for every alert'
        checks.wrong(place.error("matches every alert", mend))
    return matchers


def read_matchers(checks: Checks, place: Place, texts: Sequence[str]) -> tuple[Matcher, ...]:
    """Read matchers; what is wrong with one is told with its place."""
    found: list[Matcher] = []
    for text in texts:
        try:
            found += parse_matchers(text)
        except MatcherError as wrong:
            checks.wrong(place.error(str(wrong), 'such as team="database", severity=~"error|critical"'))
    return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Branch:
    """A node of the tree while it is compiled, with what it inherited."""

    root: AlertEntry
    entry: AlertEntry | RouteEntry
    place: Place
    chosen: Chosen
    path: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)

    def below(self, entry: RouteEntry, place: Place) -> "_Branch":
        """Return the branch of a route below."""
        return _Branch(
            root=self.root,
            entry=entry,
            place=place,
            chosen=Chosen.of(entry, place, self.chosen),
            path=(*self.path, entry.route),
            labels={**self.labels, **entry.labels},
        )


def _states(entry: AlertEntry) -> FieldStates | None:
    state = entry.state
    if state is None:
        return None
    return FieldStates(
        path=state.field,
        firing=frozenset(state.firing),
        resolved=frozenset(state.resolved),
        acknowledged=frozenset(state.acknowledged),
    )


def _remind(entry: RemindEntry | None) -> Remind | None:
    return Remind(first=entry.first, grow=entry.grow, cap=entry.cap) if entry is not None else None


def _or(value: timedelta | None, default: timedelta) -> timedelta:
    return default if value is None else value
