"""Each safeguard matters: with it the books agree, without it the ledger names the loss or the repeat."""

import contextlib
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from notifier.messages import ChannelName
from notifier.store.database import DatabaseUnavailable
from tests.faults.ledger import Allowance
from tests.faults.recording_sink import RecordingSink
from tests.faults.sabotage import apply
from tests.faults.stages import SINK, THREADS, TIGHT, Bench, await_true, relay_of
from tests.services import MakeFlow

pytestmark = [pytest.mark.faults, pytest.mark.servers]

KILLED = Allowance(unknown=THREADS)


def kill_a_deliverer_between_acceptance_and_record(bench: Bench, sabotage: str = "") -> None:
    """The relay has a mail, its answer is on the way, and whoever would record it is dead."""
    bench.enqueue(30)
    bench.ingest()
    with bench.child("deliver", sabotage) as process:
        await_true(lambda: bench.sink.mails)
        process.kill()
        process.join()
    bench.sink.delay = 0.0


def kill_a_reader_before_its_commit(bench: Bench, sabotage: str = "") -> None:
    """A batch is read from the stream, and whoever would store it is dead."""
    bench.sink.delay = 0.0
    bench.enqueue(30)
    with psycopg.connect(bench.url) as lock:
        lock.execute("LOCK TABLE event_key IN ACCESS EXCLUSIVE MODE")
        with bench.child("ingest", sabotage) as process:
            await_true(lambda: _waits_for_a_lock(bench))
            process.kill()
            process.join()


def _waits_for_a_lock(bench: Bench) -> bool:
    with psycopg.connect(bench.url) as connection:
        row = connection.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone()
    return row is not None and row[0] > 0


def test_a_mark_before_each_mail_makes_a_kill_an_unknown_and_nothing_else(bench: Bench) -> None:
    """With the mark, the repeat stands in the log as what it is."""
    kill_a_deliverer_between_acceptance_and_record(bench)

    bench.recover()

    ledger = bench.books(KILLED)
    ledger.check()
    assert ledger.rows.unknown


def test_without_the_mark_mails_are_repeated_and_nobody_knows(bench: Bench) -> None:
    """The claim alone runs out, and the mail goes out again as if for the first time."""
    kill_a_deliverer_between_acceptance_and_record(bench, "no_mark")

    bench.recover()

    assert any("sent again although its outcome was known" in flaw for flaw in bench.books(KILLED).flaws())


def test_without_the_sweep_what_the_dead_left_stays(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Claims of a dead process need somebody to notice."""
    kill_a_deliverer_between_acceptance_and_record(bench)
    apply("no_sweep", monkeypatch.setattr)

    bench.recover(timeout=2)

    assert any("never settled" in flaw for flaw in bench.books(KILLED).flaws())


def test_entries_leave_the_stream_after_the_commit(bench: Bench) -> None:
    """A reader that dies in between leaves them to the next."""
    kill_a_reader_before_its_commit(bench)

    bench.recover()

    bench.books().check()


def test_acknowledged_before_the_commit_events_are_lost(bench: Bench) -> None:
    """The order of commit and XACK is the whole difference."""
    kill_a_reader_before_its_commit(bench, "ack_before_commit")

    bench.recover()

    assert any("lost: a receipt, but no event" in flaw for flaw in bench.books().flaws())


def test_without_the_take_over_a_dead_readers_events_are_lost(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They stay in the group's list, and nobody looks there."""
    kill_a_reader_before_its_commit(bench)
    apply("no_take_over", monkeypatch.setattr)

    bench.recover(timeout=2)

    assert any("lost: a receipt, but no event" in flaw for flaw in bench.books().flaws())


@pytest.mark.parametrize("sabotage", ["", "no_insisting"])
def test_what_a_relay_said_is_recorded_even_where_the_database_went_away(bench: Bench, sabotage: str) -> None:
    """The sender insists until it is back; without that, each such mail is unknown and sent again."""
    bench.enqueue(10)
    bench.ingest()
    with bench.child("deliver", sabotage), psycopg.connect(bench.url, autocommit=True) as admin:
        await_true(lambda: bench.sink.mails)
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name = 'child-deliver'"
        )
        bench.sink.delay = 0.0
        bench.recover()

    flaws = bench.books().flaws()
    assert any("unknown outcomes" in flaw for flaw in flaws) if sabotage else flaws == []


@pytest.mark.parametrize(
    ("sabotage", "flaw"),
    [
        ("", ""),
        ("no_event_key", "stored more than once"),
        ("no_event_key,no_notification_key", "told twice, in two messages"),
    ],
)
def test_the_keys_of_events_and_notifications_keep_duplicates_out(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, sabotage: str, flaw: str
) -> None:
    """A producer that sends again what it has sent is harmless, thanks to two keys."""
    apply(sabotage, monkeypatch.setattr)
    bench.sink.delay = 0.0
    bench.enqueue(5)
    bench.enqueue(5, again=True)

    bench.recover()

    flaws = bench.books().flaws()
    assert any(flaw in one for one in flaws) if flaw else flaws == []


@pytest.mark.parametrize("sabotage", ["", "no_claim"])
def test_a_claim_gives_each_message_to_one_sender(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, sabotage: str
) -> None:
    """Two chunks at once share the work; without claims both send all of it."""
    apply(sabotage, monkeypatch.setattr)
    bench.enqueue(5)
    bench.ingest()
    deliver = bench.flow.services.deliver

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: deliver.run(ChannelName.EMAIL, "normal"), range(2)))
    bench.recover(timeout=5)

    flaws = bench.books().flaws()
    assert any("sent again" in flaw for flaw in flaws) if sabotage else flaws == []


@pytest.mark.parametrize("sabotage", ["", "no_patience"])
def test_a_database_that_is_too_slow_buries_no_event(
    make_flow: MakeFlow, database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch, sabotage: str
) -> None:
    """A statement that ran out of time says nothing against the event: it waits for a better hour."""
    apply(sabotage, monkeypatch.setattr)
    with RecordingSink(SINK, delay=0.0) as sink:
        flow = make_flow(relays={"default": relay_of(sink)}, tuning={**TIGHT, "database_timeout": "300ms"})
        bench = Bench(flow, sink, database_url, redis_url)
        bench.enqueue(2)
        with psycopg.connect(database_url) as lock, contextlib.suppress(DatabaseUnavailable):
            lock.execute("LOCK TABLE event_key IN ACCESS EXCLUSIVE MODE")
            bench.ingest()

        bench.flow = make_flow(relays={"default": relay_of(sink)}, tuning=TIGHT)
        bench.recover(timeout=5)

        flaws = bench.books().flaws()
    assert any("buried" in flaw for flaw in flaws) if sabotage else flaws == []
