"""Make the notifications of one telling: who is told, by which channels, and in words who is not.

Pure: whom the event or the rule names comes in with the facts. Sends nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from notifier.catalog.types import EventType
from notifier.decisions import (
    ChannelStep,
    Facts,
    Notify,
    StageRef,
)
from notifier.events import Event, Recipient
from notifier.recipients.preferences import plan_channels, plan_reachable
from notifier.recipients.resolve import Found, Resolved, resolve
from notifier.rules.scene import Scene
from notifier.rules.telling import Telling


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """The notifications of one rule, and in words who is told and who is not."""

    actions: tuple[Notify, ...]
    reason: str


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
) -> Told:
    """Return the notifications of one telling, for what is told by a cause of its own and not by an event.

    ``named``: whom the event names, where that is known already.
    """
    scene = Scene(event=event, entry=entry, facts=facts, rules=None, now=now)
    resolved = resolve(telling.sources, event, facts, named)
    told = _tell_people(telling, scene, resolved, rule=rule, cause=cause, stage=None)
    return replace(told, actions=tuple(replace(one, sequence=sequence) for one in told.actions))


def tell_of_event(telling: Telling, scene: Scene, *, rule: str, cause: str, stage: StageRef | None) -> Told:
    """Return the notifications an event leads to by one rule; ``stage`` where a journey's stage tells."""
    resolved = resolve(telling.sources, scene.event, scene.facts)
    return _tell_people(telling, scene, resolved, rule=rule, cause=cause, stage=stage)


def _tell_people(
    telling: Telling, scene: Scene, resolved: Resolved, *, rule: str, cause: str, stage: StageRef | None
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
    scene: Scene,
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


def _plan(telling: Telling, found: Found, scene: Scene) -> tuple[tuple[ChannelStep, ...], tuple[str, ...]]:
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
