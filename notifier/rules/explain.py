"""Say in plain lines what a decision does and what it does not, each with its reason.

Words only; the decision was made elsewhere.
"""

import json
from collections.abc import Iterator

from notifier.decisions import (
    Action,
    AdvanceJourney,
    CancelTimer,
    Decision,
    Notify,
    RuleTrace,
    SetTimer,
    Verdict,
)


def explain_lines(decision: Decision) -> list[str]:
    """Return one line per rule, why it did something or did not, then one per action; no addresses."""
    if not decision.trace:
        return ["no rule is for this event type: nobody is told"]
    return [*(_of_rule(one) for one in decision.trace), *_of_actions(decision.actions)]


def _of_rule(trace: RuleTrace) -> str:
    mark = "yes" if trace.verdict is Verdict.FIRED else "no "
    facts = ", ".join(f"{path} = {json.dumps(value, default=str)}" for path, value in trace.facts.items())
    return f"{mark} {trace.rule}: {trace.reason}" + (f" [{facts}]" if facts else "")


def _of_actions(actions: tuple[Action, ...]) -> Iterator[str]:
    for action in actions:
        match action:
            case Notify():
                plan = " → ".join(step.channel.value for step in action.channels)
                yield f"  → {action.reason}: {action.template} by {plan}, {action.urgency.value}"
            case AdvanceJourney():
                how = "written into the history of" if action.is_late else "now the stage of"
                yield f"  → {action.stage}: {how} {action.subject}"
            case SetTimer():
                due = f"{action.due_at:%Y-%m-%d %H:%M} UTC"
                yield f"  → {action.event_type} at {due}, unless something happens before"
            case CancelTimer():  # pragma: no branch - the last kind of action
                yield f"  → no longer waiting: {action.key}"
