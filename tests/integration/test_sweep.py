"""The sweep finds what is due or was left by the dead, and costs next to nothing when nothing is."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from notifier.broker.wakeups import WakeUp
from notifier.events import Urgency
from notifier.ids import uuid7
from notifier.messages import ChannelName
from notifier.store import work
from notifier.store.database import DatabaseUnavailable
from notifier.store.work import Claim, WorkRow, insert_work
from tests.contracts.smtp_server import At, Hang, SmtpServer
from tests.services import Flow, MakeFlow
from workers import threads


def test_a_sweep_with_nothing_due_is_cheap_however_much_waits(flow: Flow) -> None:
    """50,000 messages wait for tomorrow: a round reads a few for each flow that they make."""
    now = flow.services.clock.now()
    later = now + timedelta(days=1)
    rows = [
        WorkRow(uuid7(), "default", "email", "normal", f"relay{n % 3}", later, later + timedelta(days=1))
        for n in range(50_000)
    ]
    with flow.services.database.connection() as connection:
        insert_work(connection, rows)
        connection.execute("ANALYZE work")
    flow.services.sweep.run()
    before = flow.rows_read("work")

    for _ in range(15):
        flow.services.sweep.run()

    assert (flow.rows_read("work") - before) / 15 < 50


def test_who_gives_back_and_who_takes_back_never_wait_for_each_other(flow: Flow) -> None:
    """Both lock messages by their ids, however these lie on disk: else the database would fail one of them."""
    first, second = sorted((uuid7(), uuid7()))
    now, token, locks = (
        flow.services.clock.now(),
        uuid4(),
        "SELECT 1 FROM work WHERE message_id = %s FOR UPDATE",
    )
    with flow.services.database.connection() as connection:
        rows = [WorkRow(one, "default", "email", "normal", "r", now, now) for one in (second, first)]
        insert_work(connection, rows)
        connection.execute("UPDATE work SET state = 1, token = %s", [token])
    database = flow.services.database
    waits = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"

    def give_back() -> set[UUID]:
        with database.transaction() as connection:
            connection.execute("SET LOCAL enable_indexscan = off")
            return work.release(connection, [Claim(one, token, 0, now) for one in (second, first)])

    with ThreadPoolExecutor(1) as others:
        with database.transaction() as connection:
            connection.execute(locks, [first])
            giving = others.submit(give_back)
            while not flow.query(waits):
                assert not giving.done()
            assert connection.execute(locks + " NOWAIT", [second]).fetchall() == [(1,)]

        assert giving.result() == {first, second}


def test_what_a_dead_worker_had_claimed_is_ready_again(flow: Flow) -> None:
    """Claimed and unsent: the lease runs out, the try is not counted."""
    flow.ingest(flow.sample("order.shipped"))
    with flow.services.database.connection() as connection:
        work.claim(
            connection,
            relay="default",
            channel="email",
            lane="normal",
            limit=9,
            token=uuid4(),
            lease=timedelta(0),
        )

    found = flow.services.sweep.run()
    flow.deliver()

    assert found["taken_back"] == 1
    assert flow.query("SELECT number, outcome FROM attempt") == [(1, "sent")]


def test_after_an_outage_those_who_know_an_outcome_speak_first(make_flow: MakeFlow) -> None:
    """A lease that ran out while nobody could record anything says nothing about its worker."""
    flow = make_flow(tuning={"lease_margin": "400ms"})
    database = flow.services.database
    flow.ingest(flow.sample("order.shipped"))
    with database.connection() as connection:
        connection.execute(
            "UPDATE work SET state = 1, is_sending = true, token = %s, lease_until = now()", [uuid4()]
        )
    with pytest.raises(DatabaseUnavailable), database.connection() as connection:
        connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    at_once = flow.services.sweep.run()["unknown"]
    end = time.monotonic() + 10
    while not flow.services.sweep.run()["unknown"]:
        assert time.monotonic() < end

    assert at_once == 0
    assert flow.query("SELECT outcome FROM attempt") == [("unknown",)]


def test_entries_a_dead_reader_left_are_taken_over(make_flow: MakeFlow) -> None:
    """Read, not acknowledged, silent: another reader ingests them."""
    flow = make_flow(tuning={"claim_idle": "1ms"})
    intake = flow.services.intake
    intake.put(Urgency.NORMAL, flow.payload(flow.sample("order.shipped")))
    assert len(intake.read(Urgency.NORMAL, 10)) == 1
    time.sleep(0.01)

    flow.services.sweep.run()

    assert flow.query("SELECT count(*) FROM event") == [(1,)]
    assert intake.lengths()[Urgency.NORMAL] == 0


def test_a_group_that_vanished_is_made_again_and_finds_what_waits(flow: Flow) -> None:
    """FLUSHALL takes the group along; entries put afterwards are found."""
    intake = flow.services.intake
    assert intake.read(Urgency.NORMAL, 10) == []
    flow.services.redis.flushall()

    intake.put(Urgency.NORMAL, flow.payload(flow.sample("order.shipped")))
    counts = flow.services.ingest.run(Urgency.NORMAL)

    assert counts["stored"] == 1


def test_many_rings_make_one_wake_up_until_it_is_answered(flow: Flow) -> None:
    """A burst does not become a queue of wake-ups."""
    published: list[WakeUp] = []
    flow.services.wake_ups._publish = published.append
    bell = WakeUp("deliver", "normal", "email")

    rings = [flow.services.wake_ups.ring(bell) for _ in range(5)]
    flow.services.wake_ups.answer(bell)
    again = flow.services.wake_ups.ring(bell)

    assert (rings, again) == ([True, False, False, False, False], True)
    assert published == [bell, bell]


def test_two_sweeps_at_once_fire_each_timer_once(flow: Flow, make_flow: MakeFlow) -> None:
    """SKIP LOCKED and the event's key: ten beats are harmless."""
    flow.ingest(*[{**flow.sample("returns.requested"), "subject": f"R-{n}"} for n in range(30)])
    with flow.services.database.connection() as connection:
        connection.execute("UPDATE timer SET due_at = now() - interval '1 second' WHERE key LIKE 'stuck:%%'")
    others = [flow, make_flow(), make_flow()]

    at_once = [threading.Thread(target=one.services.sweep.run) for one in others]
    for thread in at_once:
        thread.start()
    for thread in at_once:
        thread.join()

    assert flow.query("SELECT count(*) FROM event WHERE type = 'returns.stuck'") == [(30,)]
    assert flow.query("SELECT count(*) FROM timer WHERE key LIKE 'stuck:%%'") == [(0,)]


def test_thousands_of_due_timers_leave_a_thread_to_an_urgent_event(flow: Flow) -> None:
    """A core's threads, a sweep each second for longer than there are threads, then an urgent event."""
    services = flow.services
    flow.ingest(flow.sample("returns.requested"))
    services.sweep.run()
    with services.database.connection() as connection:
        connection.execute(
            """INSERT INTO timer SELECT tenant, key || n, now() - interval '1 second', event_type, subject || n,
                      data_key, sealed FROM timer, generate_series(1, 5000) AS n WHERE key LIKE 'stuck:%%'"""
        )
    services.intake.put(Urgency.URGENT, flow.payload(flow.sample("login.repeated_failures")))

    with ThreadPoolExecutor(threads.CORE) as pool:
        for _ in range(threads.CORE):
            pool.submit(services.sweep.run)
        urgent = pool.submit(services.ingest.run, Urgency.URGENT).result()
        ((left,),) = flow.query("SELECT count(*) FROM timer WHERE due_at <= now()")
    ((still,),) = flow.query("SELECT count(*) FROM timer WHERE due_at <= now()")
    services.sweep.run()
    ((then,),) = flow.query("SELECT count(*) FROM timer WHERE due_at <= now()")

    assert urgent["stored"] == 1
    assert left > 2500
    assert still > then


def test_a_relay_that_hangs_stops_only_its_own_messages(make_flow: MakeFlow) -> None:
    """Urgent mail has a relay of its own here: it is through while the other one hangs."""
    with SmtpServer() as good:
        with SmtpServer() as hung:
            hung.always(At.GREETING, Hang())
            flow = make_flow(
                relays={"default": _patient(hung.port), "fast": _relay(good.port)}, urgent_relay="fast"
            )
            flow.ingest(flow.sample("order.shipped"))
            flow.ingest(flow.sample("login.repeated_failures"), lane=Urgency.URGENT)
            stuck = threading.Thread(target=flow.services.deliver.run, args=(ChannelName.EMAIL, "normal"))
            stuck.start()
            assert hung.hanging.wait(10)

            flow.services.deliver.run(ChannelName.EMAIL, "urgent")
            is_waiting = stuck.is_alive()
        stuck.join()

    assert is_waiting
    assert {mail.recipient for mail in good.received} >= {"on-call@notifier.example"}


def test_a_relay_that_hangs_leaves_the_next_relay_of_its_lane_to_somebody_else(make_flow: MakeFlow) -> None:
    """Whoever hangs has called for help before, with no more than one message at stake."""
    with SmtpServer() as hung, SmtpServer() as good:
        hung.always(At.GREETING, Hang())
        flow = make_flow(relays={"default": _patient(hung.port), "other": _relay(good.port)})
        flow.ingest(*[{**flow.sample("order.shipped"), "subject": f"O-{n}"} for n in range(2)])
        with flow.services.database.connection() as connection:
            connection.execute("UPDATE work SET relay = 'other' WHERE message_id = %s", [flow.one_id()])
        called = threading.Event()
        flow.services.wake_ups._publish = lambda bell: called.set() if bell.stage == "deliver" else None
        flow.services.redis.flushdb()

        stuck = threading.Thread(target=flow.services.deliver.run, args=(ChannelName.EMAIL, "normal"))
        stuck.start()
        assert called.wait(10)
        while hung.connections < 1:
            time.sleep(0.01)
        flow.services.deliver.run(ChannelName.EMAIL, "normal")

        assert stuck.is_alive()
        assert len(good.received) == 1
        hung.hang_up()
        stuck.join()


def _patient(port: int) -> dict[str, object]:
    """Wait for a greeting far longer than a busy machine takes for others' mail; the server's end ends it."""
    return _relay(port) | {"login_timeout": "60s"}


def _relay(port: int) -> dict[str, object]:
    return {
        "host": "127.0.0.1",
        "port": port,
        "security": "none",
        "connect_timeout": "2s",
        "login_timeout": "2s",
        "command_timeout": "2s",
        "data_timeout": "2s",
        "dot_timeout": "2s",
    }
