"""Read an event by an alert rule: which alert it speaks of, what it says of it, and which groups tell of that.

Pure: event, state and clock in, the state after it out. Sends nothing and knows no windows or silences.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from notifier.alerts import SEVERITIES, AlertState, AlertStatus, Labels, Newest, Signal
from notifier.decisions import Join, TrackAlert, Verdict
from notifier.events import Event, Json, Recipient
from notifier.recipients.paths import Missing, look_up_in_event
from notifier.recipients.resolve import expected
from notifier.recipients.sources import ListSource
from notifier.rules.alerting.identity import key_with_warnings, labels_of, text_of
from notifier.rules.alerting.occurrences import pass_time, receive, remember
from notifier.rules.alerting.plan import WHOLE_RULE, AlertPlan, AlertRule, FieldStates
from notifier.rules.alerting.routes import Node, answering
from notifier.rules.alerting.sightings import Reading, Sighting
from notifier.rules.telling import matches

_CLOCK_ERROR = timedelta(minutes=1)
_DEFAULT_SEVERITY = SEVERITIES.index("warning")
_QUIET = AlertState()


@dataclass(frozen=True, slots=True, kw_only=True)
class Aspect:
    """An event as an alert rule sees it."""

    labels: Labels
    key: str
    status: AlertStatus | None
    """What it says; None = nothing this rule knows."""
    severity: int
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracked:
    """What an alert rule made of an event."""

    verdict: Verdict
    reason: str
    actions: tuple[TrackAlert, ...] = ()
    facts: Mapping[str, Json] = field(default_factory=dict)


def aspect_of(rule: AlertRule, event: Event) -> Aspect:
    """Return what an event says to a rule."""
    labels = labels_of(rule, event)
    key, warnings = key_with_warnings(rule, event, labels)
    severity, problem = _severity(rule, event)
    return Aspect(
        labels={"severity": SEVERITIES[severity], **labels},
        key=key,
        status=_status(rule, event),
        severity=severity,
        warnings=(*warnings, *problem),
    )


def track(
    rule: AlertRule, event: Event, states: Mapping[tuple[str, str], AlertState], now: datetime
) -> Tracked:
    """Return what an event makes of its alert; ``states`` by (rule, key), an unknown one is quiet."""
    aspect = aspect_of(rule, event)
    if aspect.status is None:
        path = rule.states.path if rule.states else "its type"
        reason = f"{path} says neither that it fires nor that it is over"
        return Tracked(verdict=Verdict.CONDITION_FALSE, reason=reason)
    before = states.get((rule.name, aspect.key), _QUIET)
    whole = states.get((rule.name, WHOLE_RULE), _QUIET)
    reading = _detect(rule, event, before, aspect, now, is_warm=whole.memory is not None)
    status = aspect.status if reading is None else _as_status(reading)
    signal = _signal(rule, event, aspect, status or AlertStatus.QUIET, now)
    state = before if reading is None else remember(before, reading, signal)
    if status is not None:
        state = receive(state, signal, now, ttl=rule.ttl, flapping=rule.flapping)
    changes = _changes(before, state)
    joins = joins_of(rule, state) if state.is_firing else ()
    action = TrackAlert(rule=rule.name, key=aspect.key, state=state, is_changed=bool(changes), joins=joins)
    is_short = reading is not None and not state.is_firing
    return Tracked(
        verdict=Verdict.BELOW_THRESHOLD if is_short else Verdict.TRACKED,
        reason="; ".join([*_words(state, changes, reading, joins), *aspect.warnings]),
        actions=(action, *_warmed(rule, whole, reading)),
        facts=dict(reading.facts) if reading is not None else {},
    )


def lapse(rule: AlertRule, key: str, before: AlertState, now: datetime) -> TrackAlert:
    """Return what time alone makes of an alert whose moment has come."""
    # What a detector remembered that was taken out of the rule since wakes nobody any more.
    state = before if rule.detector is not None else replace(before, memory=None, look_at=None)
    if rule.detector is not None and state.look_at is not None and state.look_at <= now:
        reading = rule.detector.tick(dict(state.memory or {}), now)
        state = remember(state, reading)
        status = _as_status(reading)
        if status is not None and state.newest is not None:
            signal = Signal(
                status=status,
                at=now,
                severity=state.severity if rule.severity is None else rule.severity,
                labels=state.labels,
                newest=state.newest,
            )
            state = receive(state, signal, now, ttl=rule.ttl, flapping=rule.flapping)
    state = pass_time(state, now, rule.flapping)
    joins = joins_of(rule, state) if state.is_firing and not before.is_firing else ()
    changed = bool(_changes(before, state))
    return TrackAlert(rule=rule.name, key=key, state=state, is_changed=changed, joins=joins)


def joins_of(rule: AlertRule, state: AlertState) -> tuple[Join, ...]:
    """Return where an alert is told, by its labels; each place once."""
    joins = tuple(
        Join(
            rule=rule.name,
            route=node.path,
            labels=rule.group_labels(node.plan, state.labels),
            people=_people(node, state),
        )
        for node in answering(rule.root, state.labels)
    )
    return joins if len(joins) < 2 else tuple({join.key: join for join in joins}.values())  # noqa: PLR2004


def is_at_home(
    rule: AlertRule, node: Node[AlertPlan], state: AlertState, is_here: Callable[[Join], bool]
) -> bool:
    """Tell whether a group is still where an alert is told; ``is_here`` knows the joins of the group.

    Its labels may have changed since it joined: another branch answers, or it has other people.
    """
    if rule.is_steady(node.plan):
        return True
    return any(map(is_here, joins_of(rule, state)))


def _people(node: Node[AlertPlan], state: AlertState) -> tuple[Recipient, ...]:
    newest, sources = state.newest, node.plan.telling.sources
    if newest is None or all(isinstance(one, ListSource) for one in sources):
        return ()
    event = Event(
        id="",
        source="",
        type=newest.type,
        subject=newest.subject,
        time=datetime.min.replace(tzinfo=UTC),
        data=newest.data,
        to=tuple(Recipient(**one) for one in newest.to),
    )
    return tuple({one.identity.casefold(): one for one in expected(sources, event)}.values())


def _status(rule: AlertRule, event: Event) -> AlertStatus | None:
    if rule.states is not None:
        return _field_status(rule.states, event)
    if matches(rule.resolved, event.type):
        return AlertStatus.RESOLVED
    if matches(rule.acknowledged, event.type):
        return AlertStatus.ACKNOWLEDGED
    return AlertStatus.FIRING if not rule.firing or matches(rule.firing, event.type) else None


def _field_status(states: FieldStates, event: Event) -> AlertStatus | None:
    value = look_up_in_event(event, states.path)
    text = "" if isinstance(value, Missing) else text_of(value)
    for status, texts in (
        (AlertStatus.FIRING, states.firing),
        (AlertStatus.RESOLVED, states.resolved),
        (AlertStatus.ACKNOWLEDGED, states.acknowledged),
    ):
        if text in texts:
            return status
    return None


def _severity(rule: AlertRule, event: Event) -> tuple[int, tuple[str, ...]]:
    if rule.severity is not None:
        return rule.severity, ()
    path = rule.severity_path or ""
    value = look_up_in_event(event, path)
    text = "" if isinstance(value, Missing) else str(value).casefold()
    if text in SEVERITIES:
        return SEVERITIES.index(text), ()
    return _DEFAULT_SEVERITY, (f"{path} is none of {', '.join(SEVERITIES)}: taken as warning",)


def _warmed(rule: AlertRule, whole: AlertState, reading: Reading | None) -> tuple[TrackAlert, ...]:
    """Write down, once, that some alert of the rule was watched for long enough."""
    if reading is None or whole.memory is not None or not reading.facts.get("is_warm"):
        return ()
    state = replace(whole, memory={"is_warm": True})
    return (TrackAlert(rule=rule.name, key=WHOLE_RULE, state=state, is_changed=False),)


def _detect(
    rule: AlertRule, event: Event, state: AlertState, aspect: Aspect, now: datetime, *, is_warm: bool
) -> Reading | None:
    """Ask the detector about an event that would fire; what resolves or acknowledges needs no count."""
    if rule.detector is None or aspect.status is not AlertStatus.FIRING:
        return None
    value: Json = None
    if rule.detect_path is not None:
        found = look_up_in_event(event, rule.detect_path)
        value = None if isinstance(found, Missing) else found
    memory = dict(state.memory) if state.memory is not None else None
    return rule.detector.observe(memory, Sighting(at=event.time, value=value, is_rule_warm=is_warm), now)


def _as_status(reading: Reading) -> AlertStatus | None:
    if reading.is_firing is None:
        return None
    return AlertStatus.FIRING if reading.is_firing else AlertStatus.RESOLVED


def _moment(event: Event, path: str | None) -> datetime | None:
    value = look_up_in_event(event, path) if path is not None else None
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment.astimezone(UTC) if moment.tzinfo is not None else None


def _signal(rule: AlertRule, event: Event, aspect: Aspect, status: AlertStatus, now: datetime) -> Signal:
    return Signal(
        status=status,
        # A producer's clock that runs ahead must not make its word the newest one for hours to come.
        at=min(event.time, now + _CLOCK_ERROR),
        severity=aspect.severity,
        labels=aspect.labels,
        newest=Newest(
            type=event.type,
            subject=event.subject,
            data=event.data,
            to=tuple(one.to_json() for one in event.to),
        ),
        begins_at=_moment(event, rule.begins),
        ends_at=_moment(event, rule.ends),
    )


def _changes(before: AlertState, after: AlertState) -> tuple[str, ...]:
    """Say what is different, as far as anybody has to be told."""
    words = []
    if after.is_firing and after.occurrence != before.occurrence:
        words.append("it begins")
    elif before.is_firing and not after.is_firing:
        words.append("it is over")
    elif after.severity > before.severity and after.is_firing:
        words.append(f"it is {SEVERITIES[after.severity]} now")
    elif _is_earlier(before, after):
        words.append("it began earlier")
    if after.status is not before.status and AlertStatus.ACKNOWLEDGED in (after.status, before.status):
        words.append(f"it is {after.status.value}")
    if after.is_held != before.is_held:
        words.append("it flaps and is held" if after.is_held else "it is steady again")
    return tuple(words)


def _is_earlier(before: AlertState, after: AlertState) -> bool:
    """Tell whether we hear late when it began: who waits for it to last may be told sooner."""
    if before.started_at is None or after.started_at is None:
        return False
    return before.is_firing and after.is_firing and after.started_at < before.started_at


def _words(
    state: AlertState, changes: Sequence[str], reading: Reading | None, joins: Sequence[Join]
) -> list[str]:
    words = [reading.reason] if reading is not None and reading.reason else []
    words += changes or [f"nothing new: it is {state.status.value}"]
    if changes and joins:
        words.append("told by " + " and ".join(map(_group_words, joins)))
    return words


def _group_words(join: Join) -> str:
    route = "/".join(join.route)
    names = ", ".join(sorted(join.labels)) or "all"
    return f"the group of {names}" + (f" on {route}" if route else "")
