"""Decide what an event leads to: actions, and for every rule of its type a verdict with the reason.

Pure: event, facts, rules and the clock come in, a decision goes out. Loads, stores and sends nothing.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import cel

from notifier.alerts import AlertState, AlertStatus
from notifier.catalog.types import EventType
from notifier.decisions import (
    Action,
    AdvanceJourney,
    CancelTimer,
    ChannelStep,
    Decision,
    Facts,
    JourneyState,
    Notify,
    RuleTrace,
    SetTimer,
    StageRef,
    TrackAlert,
    Verdict,
)
from notifier.events import Event, Json, Recipient, Urgency
from notifier.recipients.paths import Missing, event_attributes
from notifier.recipients.preferences import plan_channels, plan_reachable
from notifier.recipients.resolve import Found, Resolved, resolve
from notifier.rules.alerting.plan import AlertRule
from notifier.rules.alerting.tracking import track
from notifier.rules.conditions import Answer, Condition, ConditionError, context_of
from notifier.rules.journeys import apply_advance, journey_variables, standing_of
from notifier.rules.reminders import remind, settle
from notifier.rules.reminders import subject_of as reminded_subject
from notifier.rules.ruleset import NotifyRule, ReminderRule, Rule, RuleSet, StageRule, subject_of
from notifier.rules.telling import Telling, matches

_NOT_SENT = frozenset({Verdict.LATE_STAGE, Verdict.AFTER_TERMINAL})
_TRUE = Answer(is_true=True)


def route(event: Event, entry: EventType, facts: Facts, rules: RuleSet, now: datetime) -> Decision:
    """Return what the rules make of an event.

    ``facts`` holds the journeys of :meth:`RuleSet.journey_keys` and the contacts of
    :meth:`RuleSet.contact_references`; a journey that is not among them has not begun.
    """
    scene = _Scene(event=event, entry=entry, facts=facts, rules=rules, now=now)
    actions: list[Action] = []
    trace: list[RuleTrace] = []
    for rule in rules.rules_for(event.type):
        outcome = _try(rule, scene)
        actions += outcome.actions
        trace.append(
            RuleTrace(
                rule=rule.name, verdict=outcome.verdict, reason=outcome.reason, facts=dict(outcome.facts)
            )
        )
    return Decision(actions=tuple(actions), trace=tuple(trace), rules_hash=rules.rules_hash)


def tell(
    telling: Telling,
    event: Event,
    entry: EventType,
    facts: Facts,
    now: datetime,
    *,
    rule: str,
    cause: str,
    sequence: int,
    named: Sequence[Recipient] | None = None,
) -> "Told":
    """Return the notifications of one telling, for what is told by a cause of its own and not by an event.

    ``named``: whom the event names, where that is known already.
    """
    scene = _Scene(event=event, entry=entry, facts=facts, rules=None, now=now)
    resolved = resolve(telling.sources, event, facts, named)
    told = _tell_people(telling, scene, resolved, rule=rule, cause=cause, stage=None)
    return replace(told, actions=tuple(replace(one, sequence=sequence) for one in told.actions))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """What one rule came to."""

    verdict: Verdict
    reason: str
    actions: Sequence[Action] = ()
    facts: dict[str, Json] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class _Scene:
    """One event with everything the rules look at; converted for CEL once, when the first rule asks."""

    event: Event
    entry: EventType
    facts: Facts
    rules: RuleSet | None
    now: datetime
    journeys: dict[tuple[str, str], JourneyState] = field(init=False)
    _variables: dict[str, Json] = field(init=False)
    _context: cel.Context | None = None

    def __post_init__(self) -> None:
        self.journeys = dict(self.facts.journeys)
        attributes = {**event_attributes(self.event), "urgency": self.urgency(None).value}
        self._variables = {"event": attributes, "data": dict(self.event.data)}

    def urgency(self, chosen: Urgency | None) -> Urgency:
        """Return the rule's urgency, else the event's, else the type's."""
        return chosen or self.event.urgency or self.entry.urgency

    def answer(self, condition: Condition | None, journey: dict[str, Json]) -> tuple[Answer, dict[str, Json]]:
        """Return what a condition comes to, and the facts it looked at."""
        if condition is None:
            return _TRUE, {}
        self._variables["journey"] = journey
        seen = condition.facts(self._variables, self.entry.secret)
        try:
            if self._context is None:
                self._context = context_of(self._variables)
            elif "journey" in condition.variables:
                self._context.add_variable("journey", journey)
        except ConditionError as error:
            return Answer(is_true=None, reason=str(error)), seen
        return condition.answer(self._context), seen


def _try(rule: Rule, scene: _Scene) -> _Outcome:
    if not rule.is_enabled:
        return _Outcome(verdict=Verdict.DISABLED, reason="switched off by `enabled: false`")
    if isinstance(rule, NotifyRule):
        return _notify(rule, scene)
    if isinstance(rule, AlertRule):
        return _track(rule, scene)
    if isinstance(rule, ReminderRule):
        return _remind(rule, scene)
    subject = subject_of(rule, scene.event)
    if isinstance(subject, Missing):
        return _Outcome(verdict=Verdict.CONDITION_FAILED, reason=f"no journey: {subject.reason}")
    return _advance(rule, subject, scene)


def _notify(rule: NotifyRule, scene: _Scene) -> _Outcome:
    answer, facts = scene.answer(rule.telling.condition, {})
    if not answer.is_true:
        return _not_met(answer, facts)
    told = _tell(rule.telling, scene, rule=rule.name, cause="event", stage=None)
    verdict = Verdict.FIRED if told.actions else Verdict.NO_RECIPIENT
    return _Outcome(verdict=verdict, reason=told.reason, actions=told.actions, facts=facts)


def _track(rule: AlertRule, scene: _Scene) -> _Outcome:
    answer, facts = scene.answer(rule.condition, {})
    if not answer.is_true:
        return _not_met(answer, facts)
    tracked = track(rule, scene.event, scene.facts.alerts, scene.now)
    return _Outcome(
        verdict=tracked.verdict,
        reason=tracked.reason,
        actions=tracked.actions,
        facts={**facts, **tracked.facts},
    )


def _remind(rule: ReminderRule, scene: _Scene) -> _Outcome:
    event, reminder = scene.event, rule.reminder
    subject = reminded_subject(reminder, event)
    if isinstance(subject, Missing):
        return _Outcome(verdict=Verdict.CONDITION_FAILED, reason=subject.reason)
    is_end = matches(reminder.settled_by, event.type)
    answer, facts = scene.answer(rule.settling if is_end else rule.condition, {})
    if not answer.is_true:
        return _not_met(answer, facts)
    before = scene.facts.alerts.get((rule.key, subject), AlertState())
    act = settle if is_end else functools.partial(remind, now=scene.now)
    done = act(reminder, event, latest=before.heard_at)
    if done.is_set is None:
        return _Outcome(verdict=Verdict.CONDITION_FAILED, reason=done.reason)
    # Kept like an alert: what comes late must not set again what was settled.
    status = AlertStatus.FIRING if done.is_set else AlertStatus.RESOLVED
    state = replace(before, status=status, heard_at=event.time)
    place = TrackAlert(rule=rule.key, key=subject, state=state, is_changed=False)
    return _Outcome(verdict=Verdict.FIRED, reason=done.reason, actions=(*done.actions, place), facts=facts)


def _advance(rule: StageRule, subject: str, scene: _Scene) -> _Outcome:
    key = (rule.journey, subject)
    state = scene.journeys.get(key)
    answer, facts = scene.answer(rule.telling.condition, journey_variables(state))
    if not answer.is_true:
        return _not_met(answer, facts)
    rules = scene.rules or RuleSet((), types=())
    verdict, reason = standing_of(rule, state, scene.event.time, rules)
    if verdict is Verdict.REPEATED_STAGE:
        return _Outcome(verdict=verdict, reason=reason, facts=facts)
    step = _step(rule, subject, scene.event.time, is_late=verdict in _NOT_SENT)
    scene.journeys[key] = apply_advance(state, step)
    if step.is_late:
        reason = f"{reason}; written into the history, not sent"
        return _Outcome(verdict=verdict, reason=reason, actions=(step,), facts=facts)
    told = _tell_stage(rule, subject, scene)
    if rule.telling.sources and not told.actions:
        verdict = Verdict.NO_RECIPIENT
    return _Outcome(
        verdict=verdict,
        reason=f"{reason}; {told.reason}",
        actions=(step, *told.actions, *_timers(rule, subject, state, scene)),
        facts=facts,
    )


def _not_met(answer: Answer, facts: dict[str, Json]) -> _Outcome:
    if answer.is_true is None:
        reason = f"the condition cannot be computed: {answer.reason}"
        return _Outcome(verdict=Verdict.CONDITION_FAILED, reason=reason, facts=facts)
    return _Outcome(verdict=Verdict.CONDITION_FALSE, reason="the condition is not met", facts=facts)


def _step(rule: StageRule, subject: str, at: datetime, *, is_late: bool) -> AdvanceJourney:
    return AdvanceJourney(
        rule=rule.journey,
        subject=subject,
        stage=rule.stage,
        order=rule.rank,
        is_terminal=rule.is_terminal,
        at=at,
        is_late=is_late,
    )


def _timers(rule: StageRule, subject: str, state: JourneyState | None, scene: _Scene) -> list[Action]:
    """Wait for the next stage, or stop waiting; setting the timer moves the one of the stage before."""
    key = f"stuck:{rule.journey}:{subject}"
    if rule.stuck is None:
        return [] if state is None else [CancelTimer(key=key)]
    since = scene.event.time
    return [
        SetTimer(
            key=key,
            due_at=max(since + rule.stuck.after, scene.now),
            event_type=rule.stuck.event_type,
            subject=subject,
            data={
                "journey": rule.journey,
                "stage": rule.stage,
                "since": since.isoformat(),
                "last": dict(scene.event.data),
            },
        )
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """The notifications of one rule, and in words who is told and who is not."""

    actions: tuple[Notify, ...]
    reason: str


def _tell_stage(rule: StageRule, subject: str, scene: _Scene) -> Told:
    if not rule.telling.sources:
        return Told(actions=(), reason="this stage tells nobody")
    # Not the event's id: a second event for the same stage must not send again (S3).
    cause = f"journey:{rule.journey}:{subject}:{rule.stage}"
    stage = StageRef(rule=rule.journey, subject=subject, stage=rule.stage, order=rule.rank)
    return _tell(rule.telling, scene, rule=rule.journey, cause=cause, stage=stage)


def _tell(telling: Telling, scene: _Scene, *, rule: str, cause: str, stage: StageRef | None) -> Told:
    resolved = resolve(telling.sources, scene.event, scene.facts)
    return _tell_people(telling, scene, resolved, rule=rule, cause=cause, stage=stage)


def _tell_people(
    telling: Telling, scene: _Scene, resolved: Resolved, *, rule: str, cause: str, stage: StageRef | None
) -> Told:
    words: list[str] = []
    actions: list[Notify] = []
    for found in resolved.found:
        steps, reasons = _plan(telling, found, scene)
        reason = telling.reason or found.reason
        if steps:
            by = ", then ".join(step.channel.value for step in steps)
            actions.append(_action(telling, found, scene, steps, rule=rule, cause=cause, stage=stage))
            words.append("; ".join((f"told by {by}: {reason}", *reasons)))
        else:
            words.append("; ".join((f"not reachable: {reason}", *reasons)))
    words += [f"nobody from there: {reason}" for reason in resolved.missing]
    return Told(actions=tuple(actions), reason="; ".join(words))


def _action(
    telling: Telling,
    found: Found,
    scene: _Scene,
    steps: tuple[ChannelStep, ...],
    *,
    rule: str,
    cause: str,
    stage: StageRef | None,
) -> Notify:
    deadline: timedelta | None = telling.deadline or scene.entry.deadline
    return Notify(
        rule=rule,
        recipient=found.recipient,
        channels=steps,
        urgency=scene.urgency(telling.urgency),
        template=telling.template_for(scene.event.type),
        reason=telling.reason or found.reason,
        deadline=deadline,
        cause=cause,
        stage=stage,
        severity=(scene.event.alert or {}).get("severity"),
        ignore_quiet=telling.ignore_quiet,
    )


def _plan(telling: Telling, found: Found, scene: _Scene) -> tuple[tuple[ChannelStep, ...], tuple[str, ...]]:
    reachable = plan_reachable(telling.steps, found.recipient)
    if not reachable.steps:
        return (), reachable.reasons
    plan = plan_channels(
        reachable.steps,
        found.contact,
        scene.entry.category,
        message_class=scene.entry.message_class,
        urgency=scene.urgency(telling.urgency),
        preference=scene.entry.preference,
    )
    return plan.steps, (*reachable.reasons, *plan.reasons)
