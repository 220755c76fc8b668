"""Each due time makes its event, whatever other cores do and whatever becomes of the timer beside it."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

import psycopg
import pytest

from notifier.clock import VirtualClock
from notifier.pipeline.incoming import Incoming
from notifier.pipeline.intake.timers import Timers
from notifier.pipeline.planning.decide import Decided
from notifier.rules.ruleset import RuleSet
from notifier.store.database import Connection
from tests.services import Flow, MakeFlow

pytestmark = pytest.mark.servers

ResultT = TypeVar("ResultT")

STUCK, DIGEST = "returns.stuck", "notifier.digest.failures"
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


# Timers that cannot be processed


def make_stuck(flow: Flow, count: int) -> None:
    """Let so many returns be stuck, R-0 the longest."""
    flow.ingest(*[{**flow.sample("returns.requested"), "subject": f"R-{n}"} for n in range(count)])
    with flow.services.database.connection() as connection:
        connection.execute(
            """UPDATE timer SET due_at = now() - interval '1 hour' + substr(subject, 3)::int * interval '1 second'
               WHERE key LIKE 'stuck:%'"""
        )


def poison(flow: Flow, monkeypatch: pytest.MonkeyPatch, *subjects: str) -> None:
    """Let us trip over what comes of some subjects."""
    run = flow.services.decider.run

    def trip(connection: Connection, batch: Sequence[Incoming], now: datetime) -> Decided:
        if any(one.event.subject in subjects for one in batch):
            raise ValueError
        return run(connection, batch, now)

    monkeypatch.setattr(flow.services.decider, "run", trip)


def test_a_poisoned_timer_is_alone_in_the_dead_letters(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those before it, between and behind fire."""
    make_stuck(flow, 6)
    poison(flow, monkeypatch, "R-1", "R-4")

    timers_of(flow).fire()

    letters = flow.query("SELECT split_part(external_id, '@', 1) FROM dead_letter ORDER BY id")
    assert [key[0][-3:] for key in letters] == ["R-1", "R-4"]
    assert events(flow, STUCK) == 4
    assert flow.query("SELECT count(*) FROM timer WHERE key LIKE 'stuck:%%'") == [(0,)]


def test_no_timer_is_buried_for_another(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep fails on one, and another sweep has it before the first can bury it: the next one is healthy."""
    make_stuck(flow, 2)
    poison(flow, monkeypatch, "R-0")
    database, failures = flow.services.database, list[int]()
    retrying = database.retrying
    with psycopg.connect(database.url) as other:

        def lock_in_between(work: Callable[[Connection], ResultT]) -> ResultT:
            try:
                return retrying(work)
            except ValueError:
                failures.append(1)
                if len(failures) == 2:  # alone, this time
                    other.execute("SELECT FROM timer WHERE subject = 'R-0' FOR UPDATE")
                raise

        with monkeypatch.context() as patched:
            patched.setattr(database, "retrying", lock_in_between)
            timers_of(flow).fire()
        meanwhile = flow.query("SELECT count(*) FROM dead_letter"), events(flow, STUCK)
    timers_of(flow).fire()

    assert meanwhile == ([(0,)], 1)
    assert flow.query("SELECT subject FROM timer WHERE key LIKE 'stuck:%%'") == []
    assert flow.query("SELECT count(*) FROM dead_letter WHERE kind = 'poison'") == [(1,)]
