"""A database that is there and too slow for one thing is not away: everything else goes on."""

import contextlib
import time
from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest

from notifier.client.outbox import install
from notifier.client.wire import OUTBOX_TABLE
from notifier.events import Urgency
from notifier.store.database import Database, DatabaseSlow, DatabaseUnavailable
from tests.services import Flow, MakeFlow

pytestmark = pytest.mark.servers

TIGHT = {"database_timeout": "300ms", "claim_idle": "1ms"}
SLOW = "slow@example.com"


@pytest.fixture
def flow(make_flow: MakeFlow) -> Flow:
    """A notifier that waits 300 ms for a statement."""
    return make_flow(tuning=TIGHT)


@contextlib.contextmanager
def locked(url: str, statement: str) -> Iterator[None]:
    """Hold locks that a statement takes."""
    with psycopg.connect(url) as other:
        other.execute(statement.encode())
        yield


@contextlib.contextmanager
def somebody_is_slow(flow: Flow, url: str) -> Iterator[None]:
    """Make each event to one person run out of time."""
    flow.ingest(told(flow, SLOW))
    with locked(url, "SELECT FROM person FOR UPDATE"):
        yield


def shipped(flow: Flow, number: int) -> dict[str, object]:
    """Return the second of some events for the slow person, the others for somebody else each."""
    return told(flow, SLOW if number == 1 else f"p{number}@example.com")


def told(flow: Flow, email: str) -> dict[str, object]:
    """Return an event that a customer is told of."""
    return flow.sample("order.shipped", data={"customer": {"name": "Ada", "email": email}})


def put(flow: Flow, url: str, lane: str, *numbers: int) -> None:
    """Put events into the outbox."""
    with psycopg.connect(url) as shop:
        for number in numbers:
            shop.execute(
                f"INSERT INTO {OUTBOX_TABLE} (lane, event) VALUES (%s, %s::jsonb)",
                [lane, flow.payload(shipped(flow, number)).decode()],
            )


def stored(flow: Flow) -> int:
    """Return how many events are stored."""
    [(count,)] = flow.query("SELECT count(*) FROM event")
    return int(count)


# The store


@pytest.mark.parametrize("statement", ["SELECT pg_sleep(9)", "LOCK TABLE timer"])
def test_a_time_limit_on_a_live_connection_is_no_outage(
    worker_url: str, database_url: str, statement: str
) -> None:
    """The error says so, nobody takes the database for away, and the connection stays."""
    database = Database(worker_url, timeout=timedelta(milliseconds=100))
    before = database.one("SELECT pg_backend_pid()")

    with (
        locked(database_url, "LOCK TABLE timer"),
        pytest.raises(DatabaseSlow, match="took too long"),
        database.transaction() as connection,
    ):
        connection.execute(statement.encode())

    assert database.away_at == float("-inf")
    assert database.one("SELECT pg_backend_pid()") == before
    database.dispose()


def test_a_connection_that_was_ended_is_an_outage(worker_url: str) -> None:
    """Whoever waits for an outage to be over must know of it."""
    database = Database(worker_url)

    with pytest.raises(DatabaseUnavailable) as caught, database.connection() as connection:
        connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    assert not isinstance(caught.value, DatabaseSlow)
    assert database.away_at > float("-inf")
    database.dispose()


# The sweep


def test_a_part_the_database_is_too_slow_for_does_not_stop_the_sweep(flow: Flow, database_url: str) -> None:
    """Somebody holds the timers: what is over is settled, the sweep shows that it lives, and says why it waits."""
    flow.ingest(flow.sample("order.shipped"))
    with flow.services.database.connection() as connection:
        connection.execute("UPDATE work SET expires_at = now() - interval '1 second'")

    with locked(database_url, "LOCK TABLE timer"), pytest.raises(DatabaseSlow):
        flow.services.sweep.run()

    assert "queued" not in [status for _, status, _ in flow.messages()][:1]
    assert flow.query("SELECT count(*) FROM heartbeat WHERE name = 'sweep'") == [(1,)]


def test_a_timer_that_is_too_slow_alone_is_left_and_the_others_fire(flow: Flow, database_url: str) -> None:
    """Not the oldest one first, for ever."""
    flow.ingest(
        *[
            flow.sample("returns.requested", data={"customer": {"name": "Ada", "email": email}})
            | {"subject": f"R-{number}"}
            for number, email in enumerate((SLOW, "p@example.com"))
        ]
    )
    with flow.services.database.connection() as connection:
        connection.execute(
            "UPDATE timer SET due_at = now() - interval '1 hour' + substr(subject, 3)::int * interval '1 second'"
        )
    statement = (
        "SELECT FROM person JOIN notification n ON n.person_id = person.id WHERE n.subject = 'R-0' FOR UPDATE"
    )

    with locked(database_url, statement):
        for _ in range(2):
            with pytest.raises(DatabaseSlow):
                flow.services.sweep.run()

    assert flow.query("SELECT subject FROM event WHERE type = 'returns.stuck'") == [("R-1",)]
    assert flow.query("SELECT subject FROM timer WHERE key LIKE 'stuck:%%'") == [("R-0",)]
    assert flow.query("SELECT count(*) FROM dead_letter") == [(0,)]


# Ingest


def test_an_event_that_is_too_slow_alone_stays_and_the_others_go_on(flow: Flow, database_url: str) -> None:
    """It is not poison; it comes back as soon as the database has time for it."""
    intake = flow.services.intake
    with somebody_is_slow(flow, database_url):
        for number in range(5):
            intake.put(Urgency.NORMAL, flow.payload(shipped(flow, number)))
        with pytest.raises(DatabaseSlow):
            flow.services.ingest.run(Urgency.NORMAL)
        meanwhile = stored(flow), intake.lengths()[Urgency.NORMAL]

    time.sleep(0.01)
    flow.services.ingest.take_over(Urgency.NORMAL)

    assert meanwhile == (1 + 4, 1)
    assert (stored(flow), intake.lengths()[Urgency.NORMAL]) == (1 + 5, 0)
    assert flow.query("SELECT count(*) FROM dead_letter") == [(0,)]


def test_a_database_that_is_too_slow_for_every_event_is_not_asked_for_each(
    flow: Flow, database_url: str
) -> None:
    """After the batch two single ones, then the whole batch waits."""
    for _ in range(20):
        flow.services.intake.put(Urgency.NORMAL, flow.payload(flow.sample("order.shipped")))

    started = time.monotonic()
    with locked(database_url, "LOCK TABLE event_key"), pytest.raises(DatabaseSlow):
        flow.services.ingest.run(Urgency.NORMAL)
    took = time.monotonic() - started

    assert 3 * 0.3 <= took < 10 * 0.3
    assert flow.services.intake.lengths()[Urgency.NORMAL] == 20
    assert flow.query("SELECT count(*) FROM dead_letter") == [(0,)]


def test_a_row_that_is_too_slow_stays_in_its_outbox_and_no_other(
    make_flow: MakeFlow, database_url: str
) -> None:
    """Neither those of its lane nor those of a later one."""
    install(database_url)
    flow = make_flow(tuning=TIGHT, outboxes=[database_url])
    (outbox,) = flow.services.outboxes
    with somebody_is_slow(flow, database_url):
        put(flow, database_url, "normal", *range(5))
        put(flow, database_url, "bulk", 5)
        with pytest.raises(DatabaseSlow):
            outbox.drain()
        meanwhile = stored(flow)

    assert meanwhile == 1 + 5
    assert outbox.drain() == 1
    assert stored(flow) == 1 + 6
