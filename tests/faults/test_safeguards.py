"""Each safeguard matters: with it the books agree, without it the ledger names the loss or the repeat."""

import contextlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from sqlalchemy.engine import make_url

from notifier.broker import wakeups
from notifier.broker.wakeups import WakeUp
from notifier.client.outbox import install
from notifier.embedded.proxy import Mode, Proxy
from notifier.store.database import DatabaseUnavailable
from tests.faults.ledger import Allowance, Way
from tests.faults.sabotage import apply
from tests.faults.stages import THREADS, TIGHT, Bench, MakeBench, await_true, held_ingest

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
    with held_ingest(bench.url), bench.child("ingest", sabotage) as process:
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

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: bench.deliver(), range(2)))
    bench.recover(timeout=5)

    flaws = bench.books().flaws()
    assert any("sent again" in flaw for flaw in flaws) if sabotage else flaws == []


@pytest.mark.parametrize(("sabotage", "flaw"), [("", ""), ("no_patience", "buried")])
def test_a_database_that_is_too_slow_buries_no_event(
    make_bench: MakeBench, monkeypatch: pytest.MonkeyPatch, sabotage: str, flaw: str
) -> None:
    """A statement that ran out of time says nothing against the event: it waits for a better hour."""
    apply(sabotage, monkeypatch.setattr)
    bench = make_bench(tuning={**TIGHT, "database_timeout": "300ms"})
    bench.enqueue(2)

    with held_ingest(bench.url), contextlib.suppress(DatabaseUnavailable):
        bench.ingest()
    bench.recover(timeout=5)

    bench.books().check_for(flaw)


@pytest.mark.parametrize(
    ("sabotage", "flaw"), [("", ""), ("delete_before_commit", "lost: a receipt, but no event")]
)
def test_rows_leave_an_outbox_after_the_commit(
    make_bench: MakeBench, monkeypatch: pytest.MonkeyPatch, database_url: str, sabotage: str, flaw: str
) -> None:
    """A drain that fails halfway leaves them to the next."""
    apply(sabotage, monkeypatch.setattr)
    install(database_url)
    bench = make_bench(outboxes=[database_url], tuning={**TIGHT, "database_timeout": "300ms"})
    bench.enqueue(5, way=Way.OUTBOX)

    with held_ingest(bench.url), contextlib.suppress(DatabaseUnavailable):
        bench.flow.services.outboxes[0].drain()
    bench.recover(timeout=5)

    bench.books().check_for(flaw)


@pytest.mark.parametrize(("sabotage", "flaw"), [("", ""), ("keep_broken_connections", "lost: a receipt")])
def test_connections_that_broke_are_replaced(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, sabotage: str, flaw: str
) -> None:
    """A database that restarts takes all of them along; the next statement needs a new one."""
    apply(sabotage, monkeypatch.setattr)
    bench.sink.delay = 0.0
    bench.flow.services.sweep.run()
    with psycopg.connect(bench.url, autocommit=True) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )

    bench.enqueue(5)
    bench.recover(timeout=1 if flaw else 15)

    bench.books().check_for(flaw)


@pytest.mark.parametrize(
    ("sabotage", "flaw"), [("", ""), ("no_sweep", "never"), ("flag_for_an_hour", "never")]
)
def test_a_wake_up_that_never_arrived_is_sent_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, sabotage: str, flaw: str
) -> None:
    """Killing a worker or Valkey may lose a wake-up: its flag runs out, and the sweep rings anew."""
    monkeypatch.setattr(wakeups, "FLAG_SECONDS", 1)
    apply(sabotage, monkeypatch.setattr)
    bench.sink.delay = 0.0
    rung: list[WakeUp] = []
    bench.flow.services.wake_ups._publish = rung.append
    bench.enqueue(5)
    bench.ingest()
    lost = rung.copy()
    rung.clear()

    end = time.monotonic() + (2 if flaw else 15)
    while not rung and time.monotonic() < end:
        bench.flow.services.sweep.run()
    if rung:
        bench.deliver()

    assert lost == [WakeUp("deliver", "normal", "email")]
    bench.books().check_for(flaw)


class Latch(threading.Event):
    """What a sender looks at between two tries to record: holds it there until it is told to go on."""

    def __init__(self) -> None:
        super().__init__()
        self.is_reached, self.go_on = threading.Event(), threading.Event()

    def wait(self, timeout: float | None = None) -> bool:  # noqa: ARG002 - as long as the test likes
        """Stop here."""
        self.is_reached.set()
        self.go_on.wait(30)
        return self.is_set()


@pytest.mark.parametrize(("sabotage", "flaw"), [("", ""), ("no_grace", "unknown outcomes: 1")])
def test_after_an_outage_who_knows_an_outcome_may_record_it_first(
    make_bench: MakeBench, worker_url: str, monkeypatch: pytest.MonkeyPatch, sabotage: str, flaw: str
) -> None:
    """The lease ran out while the database was away: the sweep leaves it alone for a while."""
    apply(sabotage, monkeypatch.setattr)
    with Proxy(make_url(worker_url).port or 0) as line, ThreadPoolExecutor() as pool:
        through = make_url(worker_url).set(port=line.port).render_as_string(hide_password=False)
        bench = make_bench(database_url=through, dot_timeout="10s", tuning={**TIGHT, "lease_margin": "20s"})
        bench.flow.services.stopping = latch = Latch()
        bench.enqueue(1, name="-first")
        bench.recover()
        bench.sink.delay = 1.0
        bench.enqueue(1)
        bench.ingest()

        sender = pool.submit(bench.deliver)
        await_true(lambda: len(bench.sink.mails) > 1)
        line.set_mode(Mode.CUT)
        with psycopg.connect(bench.url) as admin:
            admin.execute("UPDATE work SET lease_until = now() WHERE is_sending")
        await_true(latch.is_reached.is_set)
        line.set_mode(Mode.PASS)
        await_true(lambda: _has_swept(bench))
        latch.go_on.set()
        with contextlib.suppress(psycopg.OperationalError, DatabaseUnavailable):
            sender.result()
        bench.recover()

        bench.books().check_for(flaw)


def _has_swept(bench: Bench) -> bool:
    with contextlib.suppress(DatabaseUnavailable):
        bench.flow.services.sweep.run()
        return True
    return False
