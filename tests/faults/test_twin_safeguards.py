"""What makes two of everything harmless, with and without it: claims, tokens, keys that name the due time."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from notifier.pipeline.intake import timers
from notifier.store import sending, work
from tests.faults.ledger import Allowance
from tests.faults.sabotage import apply
from tests.faults.stages import Bench, await_true
from tests.faults.test_twins import at_once
from tests.services import Flow, MakeFlow

pytestmark = [pytest.mark.faults, pytest.mark.servers]

STUCK, DIGEST = "returns.stuck", "notifier.digest.failures"


def meet_behind(monkeypatch: pytest.MonkeyPatch, module: object, name: str) -> None:
    """Let two callers of a function wait for each other once both have its result."""
    call: Callable[..., Any] = getattr(module, name)
    both = threading.Barrier(2, timeout=10)

    def met(*arguments: Any, **named: Any) -> Any:
        found = call(*arguments, **named)
        both.wait()
        return found

    monkeypatch.setattr(module, name, met)


@pytest.mark.parametrize(
    ("sabotage", "times"),
    [("", 1), ("untaken_timers", 1), ("no_fire_key", 1), ("untaken_timers,no_fire_key", 2)],
)
def test_two_sweeps_fire_each_timer_and_schedule_once(
    make_flow: MakeFlow, monkeypatch: pytest.MonkeyPatch, sabotage: str, times: int
) -> None:
    """SKIP LOCKED gives a due time to one of them, and its event's id is the due time's: either would do."""
    apply(sabotage, monkeypatch.setattr)
    flow, other = make_flow(), make_flow()
    flow.ingest(*[{**flow.sample("returns.requested"), "subject": f"R-{n}"} for n in range(3)])
    for one in (flow, other):
        one.services.sweep.run()
    flow.deliver()
    before = len(flow.smtp.received)
    with flow.services.database.connection() as connection:
        connection.execute("UPDATE timer SET due_at = due_at - interval '30 days'")
    meet_behind(monkeypatch, timers, "take_due")

    at_once(flow.services.sweep.run, other.services.sweep.run)
    flow.deliver()

    assert fired(flow) == {STUCK: 3 * times, DIGEST: times}
    assert len(flow.smtp.received) - before == times * (3 * 2 + 1)


def fired(flow: Flow) -> dict[str, int]:
    """Return how many events the timers and schedules made."""
    rows = flow.query("SELECT type, count(*) FROM event WHERE type = ANY (%s) GROUP BY type", [STUCK, DIGEST])
    return dict(rows)


@pytest.mark.parametrize(
    ("sabotage", "flaw"), [("", ""), ("untaken_unknowns", "unknown outcomes: 2, more than the 1")]
)
def test_two_sweeps_judge_what_a_dead_sender_left_once(
    bench: Bench, make_flow: MakeFlow, monkeypatch: pytest.MonkeyPatch, sabotage: str, flaw: str
) -> None:
    """Each takes what it judges; both would count one death as two."""
    apply(sabotage, monkeypatch.setattr)
    bench.sink.delay = 0.0
    bench.enqueue(1)
    bench.ingest()
    leave_in_sending(bench)
    other = make_flow()
    meet_behind(monkeypatch, work, "claim_unknown")

    at_once(bench.flow.services.sweep.run, other.services.sweep.run)
    monkeypatch.undo()
    bench.flow.make_due()
    bench.recover()

    bench.books(Allowance(unknown=1)).check_for(flaw)


def leave_in_sending(bench: Bench) -> None:
    """Claim and mark a message like a sender, and be gone."""
    with bench.flow.services.database.connection() as connection:
        (claimed,) = work.claim(
            connection, relay="default", channel="email", lane="normal", limit=1, token=uuid4(),
            lease=timedelta(seconds=9),
        )  # fmt: skip
        assert sending.mark_sending(connection, claimed, timedelta(0))


@pytest.mark.parametrize(
    ("sabotage", "flaw"), [("", ""), ("no_token", "sent again although its outcome was known")]
)
def test_a_sender_that_lost_its_claims_sends_nothing_more(
    bench: Bench, make_flow: MakeFlow, monkeypatch: pytest.MonkeyPatch, sabotage: str, flaw: str
) -> None:
    """The claims of a slow one run out and another one has them: the token in the mark decides."""
    apply(sabotage, monkeypatch.setattr)
    bench.enqueue(4)
    bench.ingest()
    slow = threading.Thread(target=bench.deliver)
    slow.start()
    await_true(lambda: bench.sink.mails)
    with bench.flow.services.database.connection() as connection:
        connection.execute("UPDATE work SET lease_until = now() WHERE state = 1 AND NOT is_sending")

    bench.flow.services.sweep.run()
    bench.deliver()
    slow.join()
    bench.recover(timeout=5)

    bench.books().check_for(flaw)
