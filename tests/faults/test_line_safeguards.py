"""What makes a broken line harmless, with and without it: rests, deadlines, leases, marks of what is unknown."""

import contextlib
import threading
from datetime import timedelta

import pytest
from sqlalchemy.engine import make_url

from notifier.broker import connection as broker_connection
from notifier.embedded.proxy import Mode, Proxy
from notifier.store import database as store
from notifier.store.database import Database, DatabaseUnavailable
from tests.faults.ledger import Allowance
from tests.faults.sabotage import apply
from tests.faults.sabotage_lines import FOR_EVER, in_no_hurry
from tests.faults.stages import Bench, MakeBench, await_true, is_over_within

pytestmark = [pytest.mark.faults, pytest.mark.servers]

IN_TIME, LATE = 20.0, 3.0
"""Seconds: a busy machine may need the first where a limit of two was set; what hangs outlasts the second."""


@pytest.mark.parametrize(
    ("sabotage", "flaw"),
    [
        ("", ""),
        ("dot_like_any_phase", "sent again although its outcome was known"),
        ("new_id_each_try", "told twice, in two messages"),
    ],
)
def test_a_line_cut_behind_the_dot_leaves_an_unknown_and_a_repeat_that_can_be_told(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, sabotage: str, flaw: str
) -> None:
    """The log says that it may have arrived, and the second mail has the Message-ID of the first."""
    apply(sabotage, monkeypatch.setattr)
    bench.sink.delay = 5.0
    bench.enqueue(3)
    bench.ingest()
    sending = threading.Thread(target=bench.deliver)
    sending.start()
    await_true(lambda: bench.sink.mails)

    bench.line.set_mode(Mode.CUT)
    sending.join()
    bench.line.set_mode(Mode.PASS)
    bench.sink.delay = 0.0
    bench.flow.make_due()
    bench.recover()

    ledger = bench.books(Allowance(unknown=1))
    ledger.check_for(flaw)
    assert len(ledger.mails) == 4


@pytest.mark.parametrize(
    ("sabotage", "flaw"), [("", ""), ("blame_the_message", "settled as sent, but the relay never got it")]
)
def test_a_relay_that_is_away_costs_no_message_a_try(
    make_bench: MakeBench, monkeypatch: pytest.MonkeyPatch, sabotage: str, flaw: str
) -> None:
    """It is away for longer than a message has tries: the relay rests; else they end on another channel."""
    apply(sabotage, monkeypatch.setattr)
    bench = make_bench(delivery={"normal": {"attempts": 2}})
    bench.line.set_mode(Mode.CUT)
    bench.enqueue(3)
    bench.ingest()

    for _ in range(4):
        bench.deliver()
        bench.flow.make_due()
    bench.line.set_mode(Mode.PASS)
    bench.recover()

    bench.books().check_for(flaw)


@pytest.mark.parametrize(("sabotage", "flaw"), [("", ""), ("lease_without_deadlines", "unknown outcomes")])
def test_a_slow_relay_is_not_taken_for_a_dead_sender(
    make_bench: MakeBench, monkeypatch: pytest.MonkeyPatch, sabotage: str, flaw: str
) -> None:
    """The lease of a message being sent is longer than all deadlines of the dialogue together."""
    apply(sabotage, monkeypatch.setattr)
    bench = make_bench(delay=0.5, dot_timeout="10s")
    bench.enqueue(2)
    bench.ingest()
    sending = threading.Thread(target=bench.deliver)

    sending.start()
    while sending.is_alive():
        bench.flow.services.sweep.run()
    bench.flow.make_due()
    bench.recover()

    bench.books().check_for(flaw)


@pytest.mark.parametrize("sabotage", ["", "patient_with_relays"])
def test_a_silent_relay_is_given_up_in_time(
    make_bench: MakeBench, monkeypatch: pytest.MonkeyPatch, sabotage: str
) -> None:
    """Each phase has a deadline; without, the thread and its messages hang as long as the line does."""
    apply(sabotage, monkeypatch.setattr)
    bench = make_bench()
    bench.line.set_mode(Mode.HALF_OPEN)
    bench.enqueue(3)
    bench.ingest()

    assert is_over_within(LATE if sabotage else IN_TIME, bench.deliver) is not bool(sabotage)

    bench.line.set_mode(Mode.PASS)
    bench.flow.make_due()
    bench.recover()
    bench.books().check()


@pytest.mark.parametrize("sabotage", ["", "patient_with_valkey"])
def test_a_silent_valkey_is_given_up_in_time(
    make_bench: MakeBench, redis_url: str, monkeypatch: pytest.MonkeyPatch, sabotage: str
) -> None:
    """A reader whose answer never comes waits for a while, not for ever."""
    monkeypatch.setitem(broker_connection._LIMITS, "socket_timeout", 0.3)
    apply(sabotage, monkeypatch.setattr)
    server = make_url(redis_url)
    with Proxy(server.port or 0) as line:
        bench = make_bench(redis_url=server.set(port=line.port).render_as_string(hide_password=False))
        bench.enqueue(3)
        line.set_mode(Mode.HALF_OPEN)

        assert is_over_within(LATE if sabotage else IN_TIME, bench.ingest) is not bool(sabotage)

        line.set_mode(Mode.PASS)
        bench.recover()
        bench.books().check()


@pytest.mark.parametrize("sabotage", ["", "patient_with_postgres"])
def test_a_postgresql_that_does_not_answer_the_door_is_given_up_in_time(
    make_bench: MakeBench, worker_url: str, monkeypatch: pytest.MonkeyPatch, sabotage: str
) -> None:
    """The connection is accepted, and then nothing: the next try may find another server."""
    in_no_hurry(monkeypatch.setattr, connect_timeout=2)
    apply(sabotage, monkeypatch.setattr)
    server = make_url(worker_url)
    with Proxy(server.port or 0) as line:
        bench = make_bench(database_url=server.set(port=line.port).render_as_string(hide_password=False))
        bench.enqueue(3)
        bench.flow.services.ingest  # noqa: B018 - made while the line is whole
        bench.flow.services.database.dispose()
        line.set_mode(Mode.HALF_OPEN)

        assert is_over_within(LATE if sabotage else IN_TIME, bench.ingest) is not bool(sabotage)

        line.set_mode(Mode.PASS)
        bench.recover()
        bench.books().check()


@pytest.mark.parametrize("sabotage", ["", "patient_with_answers"])
def test_a_postgresql_that_takes_a_question_and_never_answers_is_given_up_in_time(
    worker_url: str, monkeypatch: pytest.MonkeyPatch, sabotage: str
) -> None:
    """Its machine acknowledges what we send, as that of a stopped server or a stuck pooler does."""
    monkeypatch.setattr(store, "_ANSWER_MARGIN_SECONDS", 0.2)
    apply(sabotage, monkeypatch.setattr)
    server = make_url(worker_url)
    with Proxy(server.port or 0) as line:
        url = server.set(port=line.port).render_as_string(hide_password=False)
        database = Database(url, timeout=timedelta(milliseconds=300))
        database.one("SELECT 1")
        line.set_mode(Mode.HALF_OPEN)

        def ask() -> None:
            with contextlib.suppress(DatabaseUnavailable):
                database.one("SELECT 1")

        assert is_over_within(LATE if sabotage else IN_TIME, ask) is not bool(sabotage)

        line.set_mode(Mode.PASS)
        await_true(lambda: database.one("SELECT 1") == (1,))
        database.dispose()


@pytest.mark.parametrize("sabotage", ["", "patient_with_postgres"])
def test_a_line_to_postgresql_that_takes_no_more_is_given_up_in_time(
    worker_url: str, monkeypatch: pytest.MonkeyPatch, sabotage: str
) -> None:
    """What was sent and never acknowledged, as behind a host that vanished, does not hang a thread for ever."""
    in_no_hurry(monkeypatch.setattr, tcp_user_timeout=500)
    apply(sabotage, monkeypatch.setattr)
    server = make_url(worker_url)
    with Proxy(server.port or 0) as line:
        database = Database(server.set(port=line.port).render_as_string(hide_password=False))
        database.one("SELECT 1")
        # Reads one chunk and no more; what the kernels buffer, 20 MB fill.
        line.set_mode(Mode.SLOW, latency=FOR_EVER)
        more = "x" * 20_000_000

        is_over = is_over_within(
            LATE if sabotage else IN_TIME, lambda: database.one("SELECT length(%s::text)", [more])
        )

        assert is_over is not bool(sabotage)
        line.set_mode(Mode.CUT)
        await_true(lambda: database.engine.pool.status().endswith("out connections: 0"))
        database.dispose()
