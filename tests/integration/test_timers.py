"""Each due time makes its event, whatever other cores do and whatever becomes of the timer beside it."""

from datetime import datetime, timedelta

import pytest

from notifier.clock import VirtualClock
from notifier.pipeline.timers import Timers
from notifier.rules.ruleset import RuleSet
from tests.services import Flow, MakeFlow

pytestmark = pytest.mark.servers

DIGEST = "notifier.digest.failures"
MINUTE = timedelta(minutes=1)


def timers_of(flow: Flow, rules: RuleSet | None = None) -> Timers:
    """Return what fires timers, of a core that has these rules."""
    services = flow.services
    return Timers(
        database=services.database,
        decider=services.decider,
        catalog=services.catalog,
        rules=services.rules if rules is None else rules,
        keyring=services.keyring,
        clock=services.clock,
    )


def events(flow: Flow, event_type: str) -> int:
    """Return how many events of a type are stored."""
    [(count,)] = flow.query("SELECT count(*) FROM event WHERE type = %s", event_type)
    return int(count)


@pytest.fixture
def clock(flow: Flow) -> VirtualClock:
    """A clock of the test's own, from now on."""
    return VirtualClock(flow.services.clock.now())


def due_at(flow: Flow) -> datetime:
    """Return when the one schedule is due."""
    due: datetime = flow.query("SELECT due_at FROM timer WHERE key LIKE 'schedule:%%'")[0][0]
    return due


# Schedules


def test_a_schedule_that_an_older_core_took_fires_all_the_same(
    make_flow: MakeFlow, clock: VirtualClock
) -> None:
    """It knows no such schedule and forgets it; who knows it plans it again, from the due time that was lost."""
    flow = make_flow(clock=clock)
    younger, older = timers_of(flow), timers_of(flow, RuleSet((), types=()))
    younger.fire()
    due = due_at(flow)
    clock.advance(due - clock.now() - MINUTE / 3)
    younger.fire()
    clock.advance(MINUTE / 2)
    older.fire()
    lost = flow.query("SELECT count(*) FROM timer")

    younger.fire()
    at_once = events(flow, DIGEST)
    clock.advance(MINUTE / 2)
    younger.fire()
    younger.fire()

    assert lost == [(0,)]
    assert (at_once, events(flow, DIGEST)) == (0, 1)
    assert due_at(flow) > due


def test_a_schedule_that_waits_is_not_planned_again(make_flow: MakeFlow, clock: VirtualClock) -> None:
    """A look each minute changes nothing about it."""
    flow = make_flow(clock=clock)
    timers = timers_of(flow)
    timers.fire()
    before = flow.query("SELECT xmin::text, due_at FROM timer")

    clock.advance(2 * MINUTE)
    timers.fire()

    assert flow.query("SELECT xmin::text, due_at FROM timer") == before


def test_a_schedule_that_could_not_be_fired_is_fired_the_next_time(
    make_flow: MakeFlow, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One firing is in the dead letters; the schedule goes on."""
    flow = make_flow(clock=clock)
    timers = timers_of(flow)
    timers.fire()
    first = due_at(flow)
    clock.advance(timedelta(days=1))
    with monkeypatch.context() as broken:
        broken.setattr(flow.services.decider, "run", fail)
        timers.fire()
    second = due_at(flow)

    clock.advance(timedelta(days=1))
    timers.fire()

    assert flow.query("SELECT kind, type FROM dead_letter") == [("poison", DIGEST)]
    assert second > first
    assert events(flow, DIGEST) == 1


def fail(*_: object) -> None:
    """Trip over anything."""
    raise ValueError
