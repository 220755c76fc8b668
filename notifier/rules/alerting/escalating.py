"""Decide how a group's escalation goes on: begin it, hold it while somebody has charge, stop it when all is over.

Pure: the chain and the group's alerts come in. Which step is due stands in ``escalation``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from notifier.alerts import AlertState, AlertStatus
from notifier.events import Urgency
from notifier.rules.alerting.cadence import GroupMessage, Why
from notifier.rules.alerting.escalation import (
    Chain,
    ChainState,
    Policy,
    Tell,
    acknowledge,
    begin,
    resume,
    stop,
)
from notifier.rules.alerting.plan import AlertRule
from notifier.rules.alerting.routes import answering
from notifier.rules.telling import Telling

_ALARMING = frozenset({Why.FIRST, Why.NEW_MEMBER})


def chain_after(
    chain: Chain | None,
    policy: Policy | None,
    message: GroupMessage | None,
    states: Sequence[AlertState],
    now: datetime,
) -> Chain | None:
    """Return the chain as it is before its next step; None where there is none to run.

    A new alert that joins after somebody took charge is nobody's yet: the chain begins anew, with the policy as
    it is now.
    """
    firing = [one for one in states if one.is_firing]
    if not firing:
        return stop(chain) if chain is not None and chain.state is not ChainState.STOPPED else chain
    is_alarm = message is not None and message.why in _ALARMING
    if policy is not None and _begins(chain, firing, is_alarm=is_alarm):
        return begin(policy, now)
    if chain is None:
        return None
    held = [one for one in firing if one.status is AlertStatus.ACKNOWLEDGED]
    if len(held) < len(firing):
        return resume(chain, now) if _is_given_back(chain, firing, now) else chain
    newest = max(held, key=lambda one: one.acknowledged_at or now)
    return acknowledge(chain, newest.acknowledged_by or "", newest.acknowledged_at or now)


def _begins(chain: Chain | None, firing: Sequence[AlertState], *, is_alarm: bool) -> bool:
    """Tell whether the calls begin, or begin anew.

    What ended and began again before its group spoke is no news to anybody who was told; it is nobody's all
    the same.
    """
    if chain is None or chain.state is ChainState.ENDED:
        return is_alarm
    if chain.state is ChainState.STOPPED:
        return any(one.status is AlertStatus.FIRING for one in firing)
    taken_at = _taken_at(chain, firing)
    if taken_at is None:
        return False
    return (is_alarm and chain.state is ChainState.ACKNOWLEDGED) or all(
        one.started_at is not None and one.started_at > taken_at
        for one in firing
        if one.status is AlertStatus.FIRING
    )


def _taken_at(chain: Chain, firing: Sequence[AlertState]) -> datetime | None:
    """Return when somebody last took charge of all there was, and something is nobody's now; else None."""
    if all(one.status is AlertStatus.ACKNOWLEDGED for one in firing):
        return None
    if chain.state is ChainState.ACKNOWLEDGED and chain.ack is not None:
        return chain.ack.at
    taken = [one.acknowledged_at for one in firing if one.acknowledged_at is not None]
    # The chain has not heard of it yet.
    return max((one for one in taken if one > chain.began_at), default=None)


def _is_given_back(chain: Chain, firing: Sequence[AlertState], now: datetime) -> bool:
    """Tell whether what somebody had taken is nobody's again, before the acknowledgement was void.

    What began since was never taken: the chain begins anew when it is told.
    """
    ack = chain.ack
    if chain.state is not ChainState.ACKNOWLEDGED or ack is None:
        return False
    if chain.due_at is not None and chain.due_at <= now:
        return False
    return any(
        one.status is AlertStatus.FIRING and one.started_at is not None and one.started_at <= ack.at
        for one in firing
    )


def with_end(state: AlertState, policy: Policy | None) -> AlertState:
    """Return the state with the moment its acknowledgement is void, if the escalation knows one."""
    if state.acknowledged_at is None or state.acknowledged_until is not None:
        return state
    if policy is None or policy.ack_timeout is None:
        return state
    return replace(state, acknowledged_until=state.acknowledged_at + policy.ack_timeout)


def policy_for(rule: AlertRule | None, state: AlertState, policies: Mapping[str, Policy]) -> Policy | None:
    """Return the escalation an alert is under: that of the first branch that answers for it and has one."""
    if rule is None or not state.is_firing:
        return None
    names = (node.plan.escalate or "" for node in answering(rule.root, state.labels))
    return next((policies[name] for name in names if name in policies), None)


def step_telling(tell: Tell, telling: Telling) -> Telling:
    """Return whom a step tells and how; it hurries, whatever the rule says."""
    return replace(
        telling,
        sources=tell.step.sources,
        steps=tell.step.channels or telling.steps,
        urgency=Urgency.URGENT,
        reason=telling.reason
        if tell.number == 0
        else f"{telling.reason or 'you are in charge'}; nobody took it so far",
    )
