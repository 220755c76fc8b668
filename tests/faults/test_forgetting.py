"""Valkey forgets: what that costs, exactly; what brings the rest back; and what it would cost without."""

import time
from dataclasses import replace
from pathlib import Path

import pytest
import redis

from notifier.client.outbox import install
from notifier.client.wire import stream_key
from notifier.embedded.stack import DATABASE
from notifier.embedded.valkey import Appending, ValkeyServer
from notifier.events import LANES
from tests.faults.ledger import Allowance, Way
from tests.faults.rig import Rig
from tests.faults.sabotage import apply
from tests.faults.stages import Bench, MakeBench, held_ingest

pytestmark = [pytest.mark.faults, pytest.mark.servers]

FORGETFUL = frozenset({Way.STREAM, Way.DURABLE})


def forget(bench: Bench) -> Allowance:
    """Empty Valkey; return what that excuses."""
    bench.flow.services.redis.flushall()
    return Allowance(forgetful=FORGETFUL, forgot_at=time.monotonic())


def test_flushall_costs_exactly_what_only_redis_had(make_bench: MakeBench, database_url: str) -> None:
    """Ingest is held back: the streams' events are gone, the outbox's and all ingested ones are told."""
    install(database_url)
    bench = make_bench(outboxes=[database_url])
    bench.enqueue(3, name="-stored")
    bench.ingest()
    only_in_redis = bench.enqueue(3, name="-held") | bench.enqueue(3, way=Way.DURABLE, name="-durable")
    in_the_outbox = bench.enqueue(3, way=Way.OUTBOX, name="-outbox")

    allowance = forget(bench)
    afterwards = bench.enqueue(3, name="-after") | bench.enqueue(3, way=Way.DURABLE, name="-after-durable")
    bench.recover()

    ledger = bench.books(allowance)
    ledger.check()
    assert ledger.missing == ledger.excused == only_in_redis
    assert {mail.event for mail in ledger.mails} > in_the_outbox | afterwards
    assert any(
        flaw.startswith("lost: a receipt, but no event: 6 (")
        for flaw in replace(ledger, allowance=Allowance()).flaws()
    )


@pytest.mark.xdist_group("faults")
def test_flushall_under_running_workers_that_cannot_store_loses_only_what_redis_alone_had(rig: Rig) -> None:
    """Workers hold what they have read, the rest is forgotten, and everything later is told again."""
    with rig.load(rate=240) as producers, redis.Redis.from_url(rig.ways[Way.STREAM]) as store:
        rig.await_mails(producers.promises, 15)
        with held_ingest(rig.stack.postgres.url(DATABASE)):
            # More than all threads of the core hold in their hands.
            rig.await_true(
                lambda: sum(int(store.xlen(stream_key(lane))) for lane in LANES) > 200, "events wait"
            )
            rig.stack.valkey.wipe()
            forgot_at = time.monotonic()
        producers.await_accepted(40)

    ledger = rig.settle(producers.promises, Allowance(forgetful=FORGETFUL, forgot_at=forgot_at))
    ledger.check()
    assert {producers.promises.accepted[one] for one in ledger.excused} == FORGETFUL
    assert any(
        flaw.startswith(f"lost: a receipt, but no event: {len(ledger.excused)} (")
        for flaw in replace(ledger, allowance=Allowance()).flaws()
    )


@pytest.mark.parametrize(
    ("sabotage", "flaw"),
    [
        ("", ""),
        ("no_new_group", "lost: a receipt, but no event: 3"),
        ("group_from_now", "lost: a receipt, but no event: 3"),
    ],
)
def test_a_readers_group_that_vanished_is_made_anew_from_the_start(
    make_bench: MakeBench, monkeypatch: pytest.MonkeyPatch, sabotage: str, flaw: str
) -> None:
    """What producers hand over between the forgetting and the next read is safe again."""
    bench = make_bench()
    bench.enqueue(3)
    bench.ingest()
    apply(sabotage, monkeypatch.setattr)

    allowance = forget(bench)
    bench.enqueue(3, name="-after")
    bench.recover(timeout=1 if flaw else 15)

    bench.books(allowance).check_for(flaw)


@pytest.mark.parametrize(
    ("appending", "flaw"), [("everysec", ""), ("off", "lost: a receipt, but no event: 20")]
)
def test_the_append_only_file_keeps_what_was_not_ingested(
    make_bench: MakeBench, server_directory: Path, appending: Appending, flaw: str
) -> None:
    """Valkey is killed before anybody read; with its file nothing is missing afterwards."""
    server = ValkeyServer(server_directory, appending=appending).start()
    try:
        bench = make_bench(redis_url=server.url())
        bench.enqueue(20)

        server.kill()
        server.start()
        bench.recover()

        bench.books().check_for(flaw)
    finally:
        server.stop()
