"""Keep a subject on its furthest stage, whatever order its events arrive in.

Pure: states in, states out. Every stage is seen once; an earlier one that comes late is history only.
"""

from dataclasses import replace
from datetime import UTC, datetime

from notifier.decisions import AdvanceJourney, JourneyState, Verdict
from notifier.events import Json
from notifier.rules.ruleset import RuleSet, StageRule


def apply_advance(state: JourneyState | None, action: AdvanceJourney) -> JourneyState:
    """Return the state after an action; applying it twice changes nothing more."""
    entry = {"stage": action.stage, "time": action.at.astimezone(UTC).isoformat(), "late": action.is_late}
    if state is None:
        return JourneyState(
            stage=action.stage, order=action.order, is_terminal=action.is_terminal, history=(entry,)
        )
    if action.stage in state.stages:
        return state
    history = tuple(sorted((*state.history, entry), key=lambda item: str(item["time"])))
    if action.is_late:
        return replace(state, history=history)
    return JourneyState(
        stage=action.stage, order=action.order, is_terminal=action.is_terminal, history=history
    )


def standing_of(
    rule: StageRule, state: JourneyState | None, at: datetime, rules: RuleSet
) -> tuple[Verdict, str]:
    """Return whether the stage is entered (``FIRED``), or why it is not."""
    if state is None:
        return Verdict.FIRED, "the journey begins"
    if rule.stage in state.stages:
        return Verdict.REPEATED_STAGE, f"{rule.stage} was reached before and is told once"
    if state.is_terminal:
        return Verdict.AFTER_TERMINAL, f"the journey ended with {state.stage}"
    if _place(rule, at) < _place_reached(state, rule, rules):
        return Verdict.LATE_STAGE, f"{rule.stage} comes late: {state.stage} was reached before"
    return Verdict.FIRED, f"{rule.stage} follows {state.stage}"


def journey_variables(state: JourneyState | None) -> dict[str, Json]:
    """Return what conditions see as ``journey``; before its first stage an empty one."""
    if state is None:
        return {"stage": "", "order": -1, "terminal": False, "stages": []}
    return {
        "stage": state.stage,
        "order": state.order,
        "terminal": state.is_terminal,
        "stages": sorted(state.stages),
    }


def _place(rule: StageRule, at: datetime) -> tuple[int, datetime, int]:
    """Between alternatives of one rank the newer one holds; of the same moment the later in the file."""
    return (rule.rank, at, rule.position)


def _place_reached(state: JourneyState, rule: StageRule, rules: RuleSet) -> tuple[int, datetime, int]:
    # By name, because a stage added to the rules moves the ranks that were stored before.
    known = rules.stage(rule.journey, state.stage)
    rank, position = (known.rank, known.position) if known else (state.order, -1)
    times = [str(item["time"]) for item in state.history if item["stage"] == state.stage]
    reached = datetime.fromisoformat(times[0]) if times else datetime.min.replace(tzinfo=UTC)
    return (rank, reached, position)
