"""How a group's escalation goes on: held while somebody has charge, going on when nobody has it any more."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from notifier.alerts import AlertState, AlertStatus
from notifier.rules.alerting.escalating import chain_after
from notifier.rules.alerting.escalation import Because, Chain, ChainState, Policy, Step, advance, begin

START = datetime(2026, 3, 2, 9, tzinfo=UTC)


def at(minutes: float) -> datetime:
    """Return a moment by its minutes."""
    return START + timedelta(minutes=minutes)


def policy(*, ack_timeout: timedelta | None = None) -> Policy:
    """Return three steps, ten minutes apart."""
    step = Step(sources=("to",), wait=timedelta(minutes=10))
    return Policy(name="chain", steps=(step, step, step), ack_timeout=ack_timeout)


FIRING = AlertState(status=AlertStatus.FIRING, started_at=at(-1))


def taken(minutes: float) -> AlertState:
    """Return the alert as it is in somebody's hands."""
    return replace(
        FIRING, status=AlertStatus.ACKNOWLEDGED, acknowledged_by="Ann", acknowledged_at=at(minutes)
    )


def held(*, told: int = 1, ack_timeout: timedelta | None = None) -> Chain:
    """Return a chain somebody holds since two minutes after its newest step."""
    chain = begin(policy(ack_timeout=ack_timeout), at(0))
    for number in range(told):
        chain, _ = advance(chain, at(10 * number))
    newest = 10 * (told - 1)
    found = chain_after(chain, None, None, [taken(newest + 2)], at(newest + 2))
    assert found is not None
    assert found.state is ChainState.ACKNOWLEDGED
    return found


@pytest.mark.parametrize(("back", "due"), [(5, 10), (9, 10), (10, 10), (45, 45)])
def test_what_is_given_back_goes_on_no_sooner_than_without_it(back: int, due: int) -> None:
    """With the step that was to come: at its own time, or at once where that is over."""
    chain = chain_after(held(), None, None, [FIRING], at(back))

    assert chain is not None
    assert (chain.state, chain.due_at) == (ChainState.RUNNING, at(due))
    _, (tell,) = advance(chain, at(due))
    assert (tell.number, tell.because) == (1, Because.NOT_ACKNOWLEDGED)


def test_a_chain_that_had_run_out_has_ended() -> None:
    """There is nobody left to call."""
    chain = chain_after(held(told=3), None, None, [FIRING], at(60))

    assert chain is not None
    assert (chain.state, chain.due_at) == (ChainState.ENDED, None)


@pytest.mark.parametrize(
    "states",
    [
        lambda: [taken(2), replace(FIRING, started_at=at(3))],
        lambda: [taken(2), AlertState(status=AlertStatus.RESOLVED, started_at=at(-1))],
        lambda: [taken(2)],
    ],
    ids=["another began since", "another is over", "still in hand"],
)
def test_what_is_in_somebodys_hands_stays_there(states: Callable[[], list[AlertState]]) -> None:
    """An alert that began since is told first, and begins the chain anew."""
    chain = held()

    assert chain_after(chain, None, None, states(), at(30)) == chain


def test_a_void_acknowledgement_is_told_as_one() -> None:
    """The reason is that it ran out, not that nobody took it."""
    chain = held(ack_timeout=timedelta(minutes=20))

    after = chain_after(chain, None, None, [FIRING], at(22))

    assert after == chain
    _, (tell,) = advance(chain, at(22))
    assert tell.because is Because.ACK_EXPIRED
