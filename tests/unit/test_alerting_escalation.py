"""An escalation tells each step once, in order, and gives everybody their time to acknowledge."""

import itertools
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from notifier.decisions import ChannelStep
from notifier.documents import ConfigErrors, parse
from notifier.messages import ChannelName
from notifier.recipients.sources import Source
from notifier.rules.alerting.escalation import (
    Because,
    Chain,
    ChainState,
    Policy,
    Step,
    Tell,
    acknowledge,
    advance,
    begin,
    stop,
)
from notifier.rules.alerting.escalation_model import EscalationEntry

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SMS, EMAIL = ChannelStep(channel=ChannelName.SMS), ChannelStep(channel=ChannelName.EMAIL, within=10 * MINUTE)


def members_of(name: str) -> tuple[Source, ...]:
    """Return the recipients of a list."""
    sources: tuple[Source, ...] = TypeAdapter(tuple[Source, ...]).validate_python([{"list": name}])
    return sources


def step(name: str, wait: int = 5) -> Step:
    """Return a step that has so many minutes."""
    return Step(sources=members_of(name), channels=(SMS,), wait=wait * MINUTE)


END = Step(sources=members_of("operators"), channels=(EMAIL,))
TWO = Policy(name="on-call", steps=(step("first"), step("second", 15)))
FULL = replace(TWO, repeat=1, ack_timeout=30 * MINUTE, at_end=END)


def at(minutes: float) -> datetime:
    """Return a moment so many minutes after the start."""
    return START + minutes * MINUTE


def names(tells: tuple[Tell, ...]) -> list[str]:
    """Return whom the steps tell, by the name of their list."""
    return [getattr(source, "members_of", "") for tell in tells for source in tell.step.sources]


def walk(chain: Chain, *minutes: float) -> tuple[Chain, list[tuple[float, str]]]:
    """Look at the chain at these minutes; return who was told when."""
    told: list[tuple[float, str]] = []
    for minute in minutes:
        chain, tells = advance(chain, at(minute))
        told += [(minute, name) for name in names(tells)]
    return chain, told


def test_steps_are_told_in_order_each_after_the_wait_of_the_one_before() -> None:
    """The first at once; the last one's wait is before the end."""
    chain, told = walk(begin(FULL, START), *range(60))

    assert told == [(0, "first"), (5, "second"), (20, "first"), (25, "second"), (40, "operators")]
    assert (chain.state, chain.due_at, chain.told) == (ChainState.ENDED, None, 5)


def test_without_an_end_the_chain_ends_with_its_last_step() -> None:
    """There is nobody left to wait for."""
    chain, told = walk(begin(TWO, START), *range(60))

    assert told == [(0, "first"), (5, "second")]
    assert (chain.state, chain.due_at) == (ChainState.ENDED, None)


def test_the_chain_says_when_it_is_due() -> None:
    """Not before, and exactly then."""
    chain, _ = walk(begin(FULL, START), 0)

    assert chain.due_at == at(5)
    assert advance(chain, at(5) - timedelta(microseconds=1)) == (chain, ())
    assert names(advance(chain, at(5))[1]) == ["second"]


def test_after_downtime_steps_are_told_one_by_one_with_their_waits() -> None:
    """Nobody is passed over, and nobody loses the time they have."""
    chain, told = walk(begin(FULL, START), 0, 600, 600, 604, 605, 614.9, 615, 619, 620, 635, 636)

    assert told == [(0, "first"), (600, "second"), (615, "first"), (620, "second"), (635, "operators")]
    assert chain.state is ChainState.ENDED


def test_a_step_says_what_it_is_and_why_it_is_told() -> None:
    """Its number is unique in the chain; round and position are for people."""
    chain = begin(FULL, START)
    found = []
    for minute in range(41):
        chain, tells = advance(chain, at(minute))
        found += [(one.number, one.round, one.position, one.is_end, one.because) for one in tells]

    assert found == [
        (0, 0, 0, False, Because.BEGUN),
        (1, 0, 1, False, Because.NOT_ACKNOWLEDGED),
        (2, 1, 0, False, Because.NOT_ACKNOWLEDGED),
        (3, 1, 1, False, Because.NOT_ACKNOWLEDGED),
        (4, 1, 2, True, Because.NOT_ACKNOWLEDGED),
    ]


def test_an_acknowledgement_holds_the_chain() -> None:
    """For good, where none is void."""
    chain, _ = walk(begin(TWO, START), 0)

    held, told = walk(acknowledge(chain, "ann", at(3)), 5, 500, 50_000)

    assert told == []
    assert (held.state, held.due_at) == (ChainState.ACKNOWLEDGED, None)


def test_an_acknowledgement_that_is_void_goes_on_with_the_next_step() -> None:
    """At the moment it is void, with that reason, and the waits as ever."""
    chain, _ = walk(begin(FULL, START), 0)
    held = acknowledge(chain, "ann", at(3))

    assert held.due_at == at(33)
    chain, (tell,) = advance(held, at(33))
    assert (tell.number, tell.because, chain.state) == (1, Because.ACK_EXPIRED, ChainState.RUNNING)
    assert walk(chain, 47.9, 48)[1] == [(48, "first")]


def test_a_second_acknowledgement_prolongs_the_first() -> None:
    """The newest counts, in whatever order they arrive; twice the same is once."""
    chain, _ = walk(begin(FULL, START), 0)

    one = acknowledge(acknowledge(chain, "ann", at(3)), "bob", at(13))
    other = acknowledge(acknowledge(chain, "bob", at(13)), "ann", at(3))

    assert one == other == acknowledge(one, "bob", at(13))
    assert one.due_at == at(43)


def test_an_acknowledgement_that_was_long_under_way_makes_nothing_earlier() -> None:
    """A text message of half an hour ago holds no step back, and hurries none."""
    chain, _ = walk(begin(FULL, START), 0, 5, 20)

    chain, told = walk(acknowledge(chain, "ann", at(-15)), 21, 24.9, 25)

    assert told == [(25, "second")]


def test_an_acknowledgement_delivered_again_after_it_was_void_changes_nothing() -> None:
    """The chain goes on as it was."""
    chain, told = walk(acknowledge(begin(FULL, START), "ann", at(1)), 31)

    assert told == [(31, "first")]
    assert acknowledge(chain, "ann", at(1)) is chain


def test_a_chain_that_ran_out_can_be_acknowledged_still() -> None:
    """When that is void there is nobody left: it has ended again, and nobody is told twice."""
    chain, _ = walk(begin(FULL, START), *range(60))

    held = acknowledge(chain, "ann", at(60))
    chain, told = walk(held, 89.9, 90, 200)

    assert held.state is ChainState.ACKNOWLEDGED
    assert told == []
    assert (chain.state, chain.due_at) == (ChainState.ENDED, None)


def test_an_acknowledgement_before_the_end_still_lets_the_end_be_told() -> None:
    """If it is void by then and nobody renewed it."""
    chain, _ = walk(begin(FULL, START), 0, 5, 20, 25)

    assert walk(acknowledge(chain, "ann", at(30)), 40, 60)[1] == [(60, "operators")]


def test_a_stopped_chain_tells_nobody_any_more() -> None:
    """What it was about is over: acknowledging it changes nothing either."""
    chain, _ = walk(begin(FULL, START), 0)

    over = stop(chain)

    assert walk(over, 5, 500) == (over, [])
    assert (over.state, over.due_at) == (ChainState.STOPPED, None)
    assert acknowledge(over, "ann", at(6)) is over


def test_a_clock_that_goes_back_repeats_nothing() -> None:
    """The next step keeps its moment."""
    chain, told = walk(begin(FULL, START), 0, 5, -600, 0, 5, 19)

    assert told == [(0, "first"), (5, "second")]
    assert chain.due_at == at(20)


def test_a_chain_keeps_the_policy_it_began_with() -> None:
    """As JSON, whatever the rules say by then."""
    chain, _ = walk(begin(FULL, START), 0)
    chain = acknowledge(chain, "ann", at(3))

    text = json.dumps(chain.to_json())

    assert Chain.from_json(json.loads(text)) == chain
    assert json.loads(text)["policy"]["steps"][0]["recipients"] == [{"list": "first"}]
    assert json.loads(text)["due_at"] == "2026-03-02T09:33:00+00:00"


def policies() -> st.SearchStrategy[Policy]:
    """Return policies with all they may have."""
    spans = st.integers(1, 10**9).map(lambda ticks: timedelta(microseconds=ticks))
    wholes = TypeAdapter(tuple[Source, ...]).validate_python(
        ["to", {"list": "x"}, {"contact": "a.b"}, {"data": "customer.email", "zone": "customer.zone"}]
    )
    steps = st.builds(
        Step,
        sources=st.lists(st.sampled_from(wholes), min_size=1, max_size=2).map(tuple),
        channels=st.sampled_from([(), (SMS,), (EMAIL, SMS)]),
        wait=spans,
    )
    return st.builds(
        Policy,
        name=st.just("on-call"),
        steps=st.lists(steps, min_size=1, max_size=3).map(tuple),
        repeat=st.integers(0, 2),
        ack_timeout=st.none() | spans,
        at_end=st.none() | steps,
    )


@given(
    policy=policies(),
    acts=st.lists(
        st.tuples(
            st.sampled_from(["advance", "advance", "advance", "ack", "stop", "store"]),
            st.integers(-(10**9), 2 * 10**9),
            st.integers(0, 10**9),
        ),
        max_size=30,
    ),
)
@settings(deadline=None, max_examples=150)
def test_no_step_is_lost_and_none_is_told_twice(policy: Policy, acts: list[tuple[str, int, int]]) -> None:
    """Whatever people and clocks do: every step comes once, in order, and not before its wait is over."""
    now, chain = START, begin(policy, START)
    told: list[tuple[Tell, datetime]] = []
    is_stopped = False
    for act, jump, age in acts:
        now += timedelta(microseconds=jump)
        held_until = chain.ack.at + policy.ack_timeout if chain.ack and policy.ack_timeout else None
        is_held = chain.state is ChainState.ACKNOWLEDGED and (held_until is None or now < held_until)
        before = chain.due_at
        if act == "ack":
            chain = acknowledge(chain, "ann", now - timedelta(microseconds=age))
            assert before is None or chain.due_at is None or chain.due_at >= before
        elif act == "stop" and age % 5 == 0:
            chain, is_stopped = stop(chain), True
        elif act == "store":
            chain = Chain.from_json(json.loads(json.dumps(chain.to_json())))
        else:
            chain, tells = advance(chain, now)
            assert not (tells and (is_stopped or is_held))
            told += [(tell, now) for tell in tells]

    while chain.due_at is not None:  # all that is left comes by itself
        now = chain.due_at
        chain, tells = advance(chain, now)
        told += [(tell, now) for tell in tells]

    everything = [*policy.steps * (policy.repeat + 1), *([policy.at_end] if policy.at_end else [])]
    assert [tell.number for tell, _ in told] == list(range(len(told)))
    assert [tell.step for tell, _ in told] == everything[: len(told)]
    assert len(told) == len(everything) or chain.state is not ChainState.ENDED
    assert chain.state is not ChainState.RUNNING
    for (first, then), (second, later) in itertools.pairwise(told):
        assert later >= then + first.step.wait or second.because is Because.ACK_EXPIRED


ESCALATION = """
escalation: on-call
steps:
  - {recipients: [{list: first}], channels: [sms, {email: {within: 10m}}], wait: 5m}
  - {recipients: [{list: second}, to]}
repeat: 2
ack_timeout: 30m
at_end: {recipients: [{list: operators}], channels: [email]}
"""


def test_an_escalation_is_read_as_it_is_written() -> None:
    """A step that says nothing of it waits five minutes, and uses the channels of the rule."""
    policy = parse(ESCALATION, Path("rules.yaml")).read(EscalationEntry).compiled()

    assert policy == Policy(
        name="on-call",
        steps=(
            Step(sources=members_of("first"), channels=(SMS, EMAIL), wait=5 * MINUTE),
            Step(sources=(*members_of("second"), "to"), wait=5 * MINUTE),
        ),
        repeat=2,
        ack_timeout=30 * MINUTE,
        at_end=Step(sources=members_of("operators"), channels=(ChannelStep(channel=ChannelName.EMAIL),)),
    )


def test_an_escalation_can_be_hashed_and_shown_to_editors() -> None:
    """It has a JSON form and a JSON Schema."""
    entry = parse(ESCALATION, Path("rules.yaml")).read(EscalationEntry)

    assert json.dumps(entry.model_dump(mode="json", by_alias=True))
    assert "ack_timeout" in EscalationEntry.model_json_schema()["properties"]


@pytest.mark.parametrize(
    ("good", "bad", "line", "problem"),
    [
        ("wait: 5m", "wait: 0s", 4, "must be more than 0s"),
        ("wait: 5m", "wait: soon", 4, "must be a duration"),
        ("repeat: 2", "repeat: -1", 6, "greater than or equal to 0"),
        ("repeat: 2", "repeat: 101", 6, "less than or equal to 100"),
        ("ack_timeout: 30m", "ack_timeout: 0m", 7, "must be more than 0s"),
        ("[{list: second}, to]", "[]", 5, "at least one"),
        ("[sms, {email: {within: 10m}}]", "[sms, sms]", 4, "names a channel twice"),
        ("at_end: {", "at_end: {wait: 5m, ", 8, "unknown key"),
        ("repeat: 2", "repeats: 2", 6, "unknown key"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(good: str, bad: str, line: int, problem: str) -> None:
    """What happened, and where."""
    assert ESCALATION.count(good) == 1
    document = parse(ESCALATION.replace(good, bad), Path("rules.yaml"))

    with pytest.raises(ConfigErrors) as caught:
        document.read(EscalationEntry)

    (error,) = caught.value.errors
    assert error.line == line
    assert problem in str(error)
