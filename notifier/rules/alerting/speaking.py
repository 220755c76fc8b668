"""Turn what a group has to say into an event of its own and the notifications that follow from it.

Pure: who is told is resolved like for any event, so explaining, simulating and sending share one path.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from notifier.alerts import SEVERITIES, AlertState, Labels, Newest
from notifier.catalog.types import EventType
from notifier.decisions import Decision, Facts, Notify, RuleTrace, Verdict
from notifier.events import Event, Json, Recipient
from notifier.rules.alerting.cadence import GroupMessage, Why
from notifier.rules.alerting.plan import AlertPlan, AlertRule
from notifier.rules.notifications import tell
from notifier.rules.telling import Telling, matches

SOURCE = "notifier"
_SHOWN = 50
"""Alerts a message carries; the others are counted."""
_RESOLVED = frozenset({Why.ALL_RESOLVED, Why.MEMBER_RESOLVED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Speaker:
    """A group that speaks."""

    id: str
    tenant: str
    rule: AlertRule
    plan: AlertPlan
    labels: Labels
    number: int
    """Of this message."""
    told: tuple[Recipient, ...] = ()
    """Who was told before that something fires: they hear that it ended, whoever is in charge by now."""
    people: tuple[Recipient, ...] | None = None
    """Whom the alerts of the group name, all the same; None = whom the newest of them names."""


def event_of(
    speaker: Speaker,
    message: GroupMessage,
    states: Mapping[str, AlertState],
    now: datetime,
    *,
    next_at: datetime | None = None,
) -> Event:
    """Return the event a message is kept as: its newest alert's type, subject and data, and the group beside it."""
    leader = _leader(message, states)
    newest = leader.newest
    if newest is None:
        raise ValueError("an alert that is told was never heard of")
    names = ", ".join(f"{name}={value}" for name, value in sorted(speaker.labels.items()) if value)
    is_one = len(message.firing) + len(message.resolved) == 1
    return Event(
        id=f"alert:{speaker.id}:{speaker.number}",
        source=SOURCE,
        type=newest.type,
        subject=newest.subject if is_one or not names else f"{speaker.rule.name} {names}"[:500],
        time=now,
        data=newest.data,
        tenant=speaker.tenant,
        to=_addressed(speaker, newest),
        alert={
            **_context(speaker, message, states, leader),
            **({"next_at": next_at.isoformat()} if next_at is not None else {}),
        },
    )


def decide(
    speaker: Speaker,
    message: GroupMessage,
    event: Event,
    *,
    entry: EventType,
    facts: Facts,
    now: datetime,
    rules_hash: str,
    telling: Telling | None = None,
) -> Decision:
    """Return who is told of the message; ``telling`` stands in for the plan's, as for a step of an escalation."""
    plan, rule = speaker.plan, speaker.rule
    chosen = replace(telling or plan.telling, template=_template(speaker, message, event))
    said = partial(
        tell, entry=entry, facts=facts, now=now, rule=rule.name, cause=f"alert:{speaker.id}",
        sequence=speaker.number,
    )  # fmt: skip
    told = said(chosen, event)
    actions = list(told.actions)
    if others := _others(told.actions, speaker, message):
        known = replace(chosen, sources=("to",), reason="you were told before")
        actions += said(known, replace(event, to=others)).actions
    reason = f"{_WORDS[message.why]}; {told.reason}"
    trace = RuleTrace(
        rule=rule.name,
        verdict=Verdict.FIRED if actions else Verdict.NO_RECIPIENT,
        reason=reason,
        facts={"firing": len(message.firing), "resolved": len(message.resolved), "number": speaker.number},
    )
    return Decision(actions=tuple(actions), trace=(trace,), rules_hash=rules_hash)


_WORDS = {
    Why.FIRST: "the group's first message",
    Why.NEW_MEMBER: "an alert joined the group",
    Why.SEVERITY_RAISED: "an alert is more severe than was told",
    Why.ALL_RESOLVED: "all that was told is over",
    Why.MEMBER_RESOLVED: "something that was told is over",
    Why.REMINDER: "a reminder is due",
    Why.ESCALATION: "nobody took charge so far",
}


def _addressed(speaker: Speaker, newest: Newest) -> tuple[Recipient, ...]:
    """Return whom the event is addressed to: of alerts that several groups tell of, the people of this group."""
    if speaker.people is None or "to" not in speaker.plan.telling.sources:
        return tuple(Recipient(**one) for one in newest.to)
    return speaker.people


def _template(speaker: Speaker, message: GroupMessage, event: Event) -> str:
    plan, rule = speaker.plan, speaker.rule
    alerts = len(message.firing) + len(message.resolved)
    # What ended by silence has no event that says so: its type's own words would say that it fires.
    is_unsaid = not message.firing and rule.states is None and not matches(rule.resolved, event.type)
    return plan.group_template if is_unsaid else plan.template_for(event.type, alerts)


def _others(actions: Sequence[Notify], speaker: Speaker, message: GroupMessage) -> tuple[Recipient, ...]:
    """Whoever was told that it fires is told that it is over, also after a hand-over."""
    if not message.resolved:
        return ()
    known = {one.recipient.identity.casefold() for one in actions}
    return tuple(one for one in speaker.told if one.identity.casefold() not in known)


def _leader(message: GroupMessage, states: Mapping[str, AlertState]) -> AlertState:
    """Return the alert the message speaks of first: the strongest and newest of the news."""
    firing = [name for name in message.news if name in set(message.firing)]
    names = (
        firing
        or (message.firing if message.why not in _RESOLVED else ())
        or message.resolved
        or message.firing
    )
    return max((states[name] for name in names), key=_weight)


def _weight(state: AlertState) -> tuple[int, str, str]:
    moment = state.started_at if state.is_firing else state.ended_at
    subject = state.newest.subject if state.newest is not None else ""
    return state.severity, moment.isoformat() if moment is not None else "", subject


def _context(
    speaker: Speaker, message: GroupMessage, states: Mapping[str, AlertState], leader: AlertState
) -> dict[str, Json]:
    news = set(message.news)
    firing = [_alert(states[name], is_new=name in news) for name in message.firing]
    resolved = [_alert(states[name], is_new=name in news) for name in message.resolved]
    severities = [states[name].severity for name in message.firing] or [leader.severity]
    return {
        "reason": message.why.value,
        "rule": speaker.rule.name,
        "severity": SEVERITIES[max(severities)],
        "group": {name: value for name, value in speaker.labels.items() if value},
        "firing": _strongest(firing),
        "resolved": _strongest(resolved),
        "counts": {"firing": len(firing), "resolved": len(resolved)},
        "number": speaker.number,
    }


def _strongest(alerts: list[dict[str, Json]]) -> list[dict[str, Json]]:
    """Return those a message carries: the news first, the strongest before the weak."""
    ranked = sorted(
        alerts,
        key=lambda one: (not one["new"], -SEVERITIES.index(one["severity"]), one["started_at"] or ""),
    )
    return ranked[:_SHOWN]


def _alert(state: AlertState, *, is_new: bool) -> dict[str, Json]:
    newest = state.newest
    own = {
        name: value
        for name, value in state.labels.items()
        if name not in ("rule", "type", "subject", "source")
    }
    return {
        "type": newest.type if newest is not None else "",
        "subject": newest.subject if newest is not None else "",
        "severity": SEVERITIES[state.severity],
        "labels": own,
        "data": dict(newest.data) if newest is not None else {},
        "started_at": state.started_at.isoformat() if state.started_at is not None else None,
        "ended_at": state.ended_at.isoformat()
        if state.ended_at is not None and not state.is_firing
        else None,
        "acknowledged_by": state.acknowledged_by,
        "new": is_new,
    }
