"""A journey tells each stage once, and never an earlier one after a later one, in any order of events."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.catalog.types import EventType
from notifier.decisions import (
    AdvanceJourney,
    CancelTimer,
    Decision,
    Facts,
    JourneyState,
    SetTimer,
    StageRef,
    Verdict,
)
from notifier.events import Event, Json
from notifier.recipients.may_we import is_superseded
from notifier.rules.engine import route
from notifier.rules.journeys import apply_advance
from notifier.rules.load import read_rules
from notifier.rules.ruleset import RuleSet

START = datetime(2026, 5, 1, tzinfo=UTC)
KEY = ("returns", "R-1")
STAGES = ("requested", "approved", "rejected", "received", "refunded", "closed")
TYPES = (*(f"returns.{stage}" for stage in STAGES), "returns.stuck")
RULES = """
rules:
  - journey: returns
    defaults:
      recipients:
        - data: email
    stages:
      - stage: requested
        on: returns.requested
        stuck: {after: 2d, event: returns.stuck}
      - stage: approved
        on: returns.approved
        stuck: {after: 10d, event: returns.stuck}
      - stage: rejected
        on: returns.rejected
        rank: 1
      - stage: received
        on: returns.received
        recipients: []
      - stage: refunded
        on: returns.refunded
        when: "data.amount > 0 && 'requested' in journey.stages"
      - stage: closed
        on: returns.closed
        terminal: true
"""


def load(folder: Path, text: str = RULES) -> RuleSet:
    """Load the journey."""
    (folder / "rules.yaml").write_text(text)
    return read_rules(folder, types=TYPES)


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> RuleSet:
    """Return the journey of returns."""
    return load(tmp_path_factory.mktemp("rules"))


def event_of(stage: str, *, day: int = 0, data: dict[str, Json] | None = None, ident: str = "") -> Event:
    """Return the event of a stage, so many days after the start."""
    return Event(
        id=ident or f"{stage}-{day}", source="shop", type=f"returns.{stage}", subject="R-1",
        time=START + timedelta(days=day), data={"email": "ann@example.com", "amount": 5, **(data or {})},
    )  # fmt: skip


def decide(
    rules: RuleSet, event: Event, state: JourneyState | None = None, now: datetime = START
) -> Decision:
    """Route an event of a journey that stands where ``state`` says."""
    entry = EventType.model_validate(
        {"type": event.type, "title": "T", "category": "returns", "class": "transactional", "schema": {},
         "sample": {}, "sample_subject": "R-1"}
    )  # fmt: skip
    return route(event, entry, Facts(journeys={KEY: state} if state else {}), rules, now)


def fold(rules: RuleSet, events: list[Event]) -> tuple[JourneyState, list[str]]:
    """Route events one after the other as the pipeline does; return the state and the stages told."""
    state: JourneyState | None = None
    told: list[str] = []
    for event in events:
        decision = decide(rules, event, state)
        told += [one.cause.rpartition(":")[2] for one in decision.notifications]
        for action in decision.actions:
            if isinstance(action, AdvanceJourney):
                state = apply_advance(state, action)
    assert state is not None
    return state, told


def reached(rules: RuleSet, *stages: str) -> JourneyState:
    """Return the state after these stages, a day apart."""
    return fold(rules, [event_of(stage, day=day) for day, stage in enumerate(stages)])[0]


def test_a_first_stage_begins_the_journey(rules: RuleSet) -> None:
    """It is told, written down, and waited on."""
    decision = decide(rules, event_of("requested"))

    (told,) = decision.notifications
    assert told.cause == "journey:returns:R-1:requested"
    assert (told.rule, told.template) == ("returns", "returns/requested")
    assert told.stage == StageRef(rule="returns", subject="R-1", stage="requested", order=0)
    assert decision.actions[0] == AdvanceJourney(
        rule="returns", subject="R-1", stage="requested", order=0, is_terminal=False, at=START
    )
    assert decision.trace[0].rule == "returns:requested"
    assert decision.trace[0].reason == "the journey begins; told by email: the email"


def test_the_pipeline_is_told_which_journeys_to_lock(rules: RuleSet) -> None:
    """By rule and subject."""
    assert rules.journey_keys(event_of("approved")) == (KEY,)


def test_a_stuck_stage_makes_an_event_that_knows_the_last_one(rules: RuleSet) -> None:
    """Its templates speak of the stage; its recipients come from the last data (S4)."""
    decision = decide(rules, event_of("requested"))

    (timer,) = [one for one in decision.actions if isinstance(one, SetTimer)]
    assert (timer.key, timer.event_type, timer.subject) == ("stuck:returns:R-1", "returns.stuck", "R-1")
    assert timer.due_at == START + timedelta(days=2)
    assert timer.data == {
        "journey": "returns",
        "stage": "requested",
        "since": "2026-05-01T00:00:00+00:00",
        "last": {"email": "ann@example.com", "amount": 5},
    }


def test_a_stage_that_was_over_long_ago_is_stuck_now(rules: RuleSet) -> None:
    """Never in the past: an event that comes late by a week is not due before it came."""
    now = START + timedelta(days=7)

    (timer,) = [
        one for one in decide(rules, event_of("requested"), now=now).actions if isinstance(one, SetTimer)
    ]

    assert timer.due_at == now


def test_the_next_stage_moves_the_timer_or_cancels_it(rules: RuleSet) -> None:
    """The key is the journey's, so a new timer takes the place of the old one."""
    state = reached(rules, "requested")

    moved = decide(rules, event_of("approved", day=1), state).actions
    cancelled = decide(rules, event_of("received", day=1), state).actions
    ended = decide(rules, event_of("closed", day=1), state).actions

    assert [one.key for one in moved if isinstance(one, SetTimer)] == ["stuck:returns:R-1"]
    assert not [one for one in moved if isinstance(one, CancelTimer)]
    assert CancelTimer(key="stuck:returns:R-1") in cancelled
    assert CancelTimer(key="stuck:returns:R-1") in ended


def test_a_first_stage_without_timer_has_nothing_to_cancel(rules: RuleSet) -> None:
    """Nothing was waited for."""
    actions = decide(rules, event_of("received")).actions

    assert [type(one) for one in actions] == [AdvanceJourney]


def test_a_stage_is_told_once_whatever_the_event_ids(rules: RuleSet) -> None:
    """A second event for the same transition does nothing (S3)."""
    state = reached(rules, "requested", "approved")

    decision = decide(rules, event_of("approved", day=5, ident="another"), state)

    assert decision.actions == ()
    assert decision.trace[0].verdict is Verdict.REPEATED_STAGE
    assert decision.trace[0].reason == "approved was reached before and is told once"


def test_a_late_stage_is_recorded_and_not_told(rules: RuleSet) -> None:
    """No "approved" after "received" (S3); the timer is left alone."""
    state = reached(rules, "received")

    decision = decide(rules, event_of("approved", day=5), state)

    (action,) = decision.actions
    assert isinstance(action, AdvanceJourney)
    assert action.is_late
    assert decision.trace[0].verdict is Verdict.LATE_STAGE
    after = apply_advance(state, action)
    assert (after.stage, after.order) == ("received", 2)
    assert [(item["stage"], item["late"]) for item in after.history] == [
        ("received", False),
        ("approved", True),
    ]


def test_nothing_is_told_after_the_end(rules: RuleSet) -> None:
    """A new stage is history; one seen before is a repetition."""
    state = reached(rules, "requested", "closed")

    new, seen = decide(rules, event_of("received", day=9), state), decide(rules, event_of("requested"), state)

    assert new.trace[0].verdict is Verdict.AFTER_TERMINAL
    assert [one.is_late for one in new.actions if isinstance(one, AdvanceJourney)] == [True]
    assert not new.notifications
    assert (seen.trace[0].verdict, seen.actions) == (Verdict.REPEATED_STAGE, ())


def test_of_two_alternatives_the_newer_holds(rules: RuleSet) -> None:
    """A rejection withdrawn is an approval; an older approval that comes later is late."""
    rejected = fold(rules, [event_of("rejected", day=3)])[0]

    newer = decide(rules, event_of("approved", day=4), rejected)
    older = decide(rules, event_of("approved", day=2), rejected)

    assert newer.trace[0].verdict is Verdict.FIRED
    assert older.trace[0].verdict is Verdict.LATE_STAGE


def test_alternatives_of_the_same_moment_follow_the_file(rules: RuleSet) -> None:
    """Some order must hold, and it is the same whichever comes first."""
    both = [event_of("approved"), event_of("rejected")]

    assert fold(rules, both)[0].stage == fold(rules, both[::-1])[0].stage == "rejected"


def test_a_condition_of_a_stage_sees_the_journey(rules: RuleSet) -> None:
    """Also an empty one, before the first stage."""
    with_request = decide(rules, event_of("refunded", day=2), reached(rules, "requested"))
    without = decide(rules, event_of("refunded", day=2))

    assert with_request.trace[0].verdict is Verdict.FIRED
    assert with_request.trace[0].facts == {"data.amount": 5, "journey.stages": ["requested"]}
    assert without.trace[0].verdict is Verdict.CONDITION_FALSE
    assert without.actions == ()


def test_two_stages_of_one_event_see_each_other(tmp_path: Path) -> None:
    """Within one event the second stage follows the first, and its condition sees it."""
    text = """
rules:
  - journey: returns
    stages:
      - {stage: first, on: returns.*, when: "journey.stage == ''", recipients: [to]}
      - {stage: second, on: returns.*, when: "journey.stage == 'first'", recipients: [to]}
"""
    decision = decide(load(tmp_path, text), event_of("requested"))

    assert [one.verdict for one in decision.trace] == [Verdict.NO_RECIPIENT, Verdict.NO_RECIPIENT]
    assert [one.stage for one in decision.actions if isinstance(one, AdvanceJourney)] == ["first", "second"]


def test_a_stage_with_nobody_to_tell_is_entered_all_the_same(rules: RuleSet) -> None:
    """The subject has moved on, whether or not anybody can be told."""
    event = Event(id="1", source="shop", type="returns.approved", subject="R-1", time=START)

    decision = decide(rules, event)

    assert decision.trace[0].verdict is Verdict.NO_RECIPIENT
    assert decision.trace[0].reason == "the journey begins; nobody from there: data.email is absent"
    assert [type(one) for one in decision.actions] == [AdvanceJourney, SetTimer]


@pytest.mark.parametrize(
    ("subject", "data", "expected"),
    [
        ("data.rma", {"rma": "A-7"}, "A-7"),
        ("data.rma", {"rma": 7}, "7"),
        ("data.a.rma", {"a": {"rma": "A-7"}}, "A-7"),
        ("event.source", {}, "shop"),
        ("event.id", {}, "requested-0"),
    ],
)
def test_the_subject_may_stand_elsewhere(
    tmp_path: Path, subject: str, data: dict[str, Json], expected: str
) -> None:
    """In the data, or in another attribute."""
    rules = load(tmp_path, RULES.replace("journey: returns", f"journey: returns\n    subject: {subject}"))

    assert rules.journey_keys(event_of("requested", data=data)) == (("returns", expected),)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({}, "no journey: data.rma is absent"),
        ({"rma": {"x": 1}}, "no journey: data.rma is neither a text nor a whole number"),
        ({"rma": True}, "no journey: data.rma is neither a text nor a whole number"),
        ({"rma": ""}, "no journey: data.rma is neither a text nor a whole number"),
    ],
)
def test_without_a_subject_there_is_no_journey(tmp_path: Path, data: dict[str, Json], reason: str) -> None:
    """The trace says what is missing; nothing is locked."""
    rules = load(tmp_path, RULES.replace("journey: returns", "journey: returns\n    subject: data.rma"))
    event = event_of("requested", data=data)

    (trace,) = decide(rules, event).trace

    assert (trace.verdict, trace.reason) == (Verdict.CONDITION_FAILED, reason)
    assert rules.journey_keys(event) == ()


def test_a_disabled_journey_does_nothing(tmp_path: Path) -> None:
    """Its stages stay in the trace."""
    rules = load(tmp_path, RULES.replace("journey: returns", "journey: returns\n    enabled: false"))

    assert rules.journey_keys(event_of("requested")) == ()
    assert [one.verdict for one in decide(rules, event_of("requested")).trace] == [Verdict.DISABLED]


def test_a_stage_added_to_the_rules_does_not_confuse_journeys_under_way(rules: RuleSet) -> None:
    """Ranks stored under older rules are read by the stage's name; a removed stage keeps its stored rank."""
    moved = JourneyState(stage="received", order=1, is_terminal=False, history=())
    removed = JourneyState(stage="inspected", order=4, is_terminal=False, history=())

    assert decide(rules, event_of("approved"), moved).trace[0].verdict is Verdict.LATE_STAGE
    assert decide(rules, event_of("refunded"), removed).trace[0].verdict is Verdict.CONDITION_FALSE
    assert decide(rules, event_of("approved"), removed).trace[0].verdict is Verdict.LATE_STAGE


def test_an_action_applied_twice_changes_nothing_more(rules: RuleSet) -> None:
    """A batch that is folded again ends where it ended."""
    (action, *_) = decide(rules, event_of("requested")).actions
    assert isinstance(action, AdvanceJourney)

    once = apply_advance(None, action)

    assert apply_advance(once, action) == once


ORDERS = st.lists(st.sampled_from(range(len(STAGES))), min_size=1, max_size=12)


@given(chosen=ORDERS, data=st.data())
def test_any_order_of_arrival_ends_on_the_same_stage(
    rules: RuleSet, chosen: list[int], data: st.DataObject
) -> None:
    """Whatever comes first, however often: same furthest stage, same history, each told at most once."""
    # A refund that comes before the request is not entered by its own condition: not a matter of order.
    events = [
        event_of(STAGES[index], day=index, ident=f"{number}")
        for number, index in enumerate(chosen)
        if STAGES[index] != "refunded"
    ] or [event_of("requested")]
    shuffled = data.draw(st.permutations(events))

    state, told = fold(rules, events)
    other, other_told = fold(rules, shuffled)

    assert (state.stage, state.order, state.is_terminal) == (other.stage, other.order, other.is_terminal)
    assert state.stages == other.stages
    for names in (told, other_told):
        assert len(names) == len(set(names))


@given(chosen=ORDERS)
def test_no_stage_is_told_after_a_later_one(rules: RuleSet, chosen: list[int]) -> None:
    """What is told only ever moves on, and what still waits behind it is superseded (S3)."""
    ranks = {rule.stage: rule.rank for rule in rules if hasattr(rule, "stage")}

    state, told = fold(
        rules, [event_of("requested"), *(event_of(STAGES[index], day=index) for index in chosen)]
    )

    assert [ranks[stage] for stage in told] == sorted(ranks[stage] for stage in told)
    for stage in told:
        waiting = StageRef(rule="returns", subject="R-1", stage=stage, order=ranks[stage])
        assert is_superseded(state, waiting) == (stage != state.stage)
