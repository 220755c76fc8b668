"""Decide what an event leads to: actions, and for every rule of its type a verdict with the reason.

Pure: event, facts, rules and the clock come in, a decision goes out. Loads, stores and sends nothing.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from notifier.alerts import AlertState, AlertStatus
from notifier.catalog.types import EventType
from notifier.decisions import (
    Action,
    AdvanceJourney,
    CancelTimer,
    Decision,
    Facts,
    JourneyState,
    RuleTrace,
    SetTimer,
    StageRef,
    TrackAlert,
    Verdict,
)
from notifier.events import Event, Json
from notifier.recipients.paths import Missing
from notifier.rules.alerting.plan import AlertRule
from notifier.rules.alerting.tracking import track
from notifier.rules.conditions import Answer
from notifier.rules.journeys import apply_advance, journey_variables, standing_of
from notifier.rules.notifications import Told, tell_of_event
from notifier.rules.reminders import remind, settle
from notifier.rules.reminders import subject_of as reminded_subject
from notifier.rules.ruleset import NotifyRule, ReminderRule, Rule, RuleSet, StageRule, subject_of
from notifier.rules.scene import Scene
from notifier.rules.telling import matches

_NOT_SENT = frozenset({Verdict.LATE_STAGE, Verdict.AFTER_TERMINAL})


def route(event: Event, entry: EventType, facts: Facts, rules: RuleSet, now: datetime) -> Decision:
    """Return what the rules make of an event.

    ``facts`` holds the journeys of :meth:`RuleSet.journey_keys` and the contacts of
    :meth:`RuleSet.contact_references`; a journey that is not among them has not begun.
    """
    scene = Scene(event=event, entry=entry, facts=facts, rules=rules, now=now)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """What one rule came to."""

    verdict: Verdict
    reason: str
    actions: Sequence[Action] = ()
    facts: dict[str, Json] = field(default_factory=dict)


def _try(rule: Rule, scene: Scene) -> _Outcome:
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


def _notify(rule: NotifyRule, scene: Scene) -> _Outcome:
    answer, facts = scene.answer(rule.telling.condition, {})
    if not answer.is_true:
        return _not_met(answer, facts)
    told = tell_of_event(rule.telling, scene, rule=rule.name, cause="event", stage=None)
    verdict = Verdict.FIRED if told.actions else Verdict.NO_RECIPIENT
    return _Outcome(verdict=verdict, reason=told.reason, actions=told.actions, facts=facts)


def _track(rule: AlertRule, scene: Scene) -> _Outcome:
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


def _remind(rule: ReminderRule, scene: Scene) -> _Outcome:
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


def _advance(rule: StageRule, subject: str, scene: Scene) -> _Outcome:
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


def _timers(rule: StageRule, subject: str, state: JourneyState | None, scene: Scene) -> list[Action]:
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


def _tell_stage(rule: StageRule, subject: str, scene: Scene) -> Told:
    if not rule.telling.sources:
        return Told(actions=(), reason="this stage tells nobody")
    # Not the event's id: a second event for the same stage must not send again (S3).
    cause = f"journey:{rule.journey}:{subject}:{rule.stage}"
    stage = StageRef(rule=rule.journey, subject=subject, stage=rule.stage, order=rule.rank)
    return tell_of_event(rule.telling, scene, rule=rule.journey, cause=cause, stage=stage)
