"""Two of everything, and clocks that lie: each mail still goes out once (laws 1, 3, 4)."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from notifier.clock import VirtualClock
from notifier.messages import ChannelName
from tests.faults.ledger import Allowance
from tests.faults.rig import Rig
from tests.faults.sabotage import apply
from tests.faults.stages import Bench, MakeBench

pytestmark = [pytest.mark.faults, pytest.mark.servers]


@pytest.mark.xdist_group("faults")
def test_two_beats_and_two_sweeps_are_harmless(rig: Rig) -> None:
    """They find the same things left by the dead, and each takes another part of them."""
    rig.launch("beat", "beat-2")
    rig.launch("core", "core-2")
    rig.await_ready()
    try:
        with rig.load() as producers:
            rig.await_mails(producers.promises, 15)
            held = rig.kill("deliver")
            producers.await_accepted(40)
        rig.settle(producers.promises, Allowance(unknown=held)).check()
    finally:
        rig.drop("beat-2")
        rig.drop("core-2")


def test_the_same_events_enqueued_and_ingested_in_parallel_are_stored_once(bench: Bench) -> None:
    """Two producers send the same ids at once, two readers ingest them at once."""
    bench.sink.delay = 0.0

    at_once(lambda: bench.enqueue(60), lambda: bench.enqueue(60, again=True))
    at_once(bench.ingest, bench.ingest, bench.ingest)
    bench.recover()

    bench.books().check()


def test_senders_and_sweeps_that_race_for_the_same_rows_send_each_once(bench: Bench) -> None:
    """Claims with short leases, swept while they are worked on; the marks decide who sends."""
    bench.sink.delay = 0.01
    bench.enqueue(80)
    bench.ingest()
    services = bench.flow.services

    def deliver() -> None:
        while not bench.rows().is_settled:
            services.deliver.run(ChannelName.EMAIL, "normal")

    def sweep() -> None:
        while not bench.rows().is_settled:
            services.sweep.run()

    at_once(deliver, deliver, deliver, sweep, sweep)

    bench.books().check()


def test_a_claim_that_ran_out_while_its_owner_was_slow_is_not_sent_by_both(bench: Bench) -> None:
    """A chunk that takes longer than its lease loses the rest of its claims, and sends none of it."""
    bench.sink.delay = 0.4
    bench.enqueue(8)
    bench.ingest()
    services = bench.flow.services

    def slow() -> None:
        services.deliver.run(ChannelName.EMAIL, "normal")

    def take_over() -> None:
        while not bench.rows().is_settled:
            services.sweep.run()
            services.deliver.run(ChannelName.EMAIL, "normal")

    at_once(slow, take_over)

    bench.books().check()


@pytest.mark.parametrize(
    ("hours", "sabotage", "flaw"),
    [(-30, "", ""), (-1, "", ""), (1, "", ""), (1, "own_clock", "never settled")],
)
def test_a_worker_whose_clock_jumps_neither_repeats_nor_delays(
    make_bench: MakeBench, monkeypatch: pytest.MonkeyPatch, hours: int, sabotage: str, flaw: str
) -> None:
    """Due times and leases are the database's, so one clock that is wrong moves none of them."""
    apply(sabotage, monkeypatch.setattr)
    clock = VirtualClock(datetime.now(UTC))
    bench = make_bench(clock=clock)
    bench.enqueue(10)
    bench.ingest()
    bench.deliver()

    clock.advance(timedelta(hours=hours))
    bench.enqueue(20)
    bench.ingest()
    bench.recover(timeout=1 if flaw else 5)
    clock.advance(timedelta(hours=-hours))
    bench.recover(timeout=1 if flaw else 5)

    bench.books().check_for(flaw)


def at_once(*calls: Callable[[], object]) -> None:
    """Run the calls in a thread each, and raise what any of them raises."""
    with ThreadPoolExecutor(len(calls)) as pool:
        for done in [pool.submit(call) for call in calls]:
            done.result()
