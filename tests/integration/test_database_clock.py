"""Workers go by the database's clock: a machine whose clock is wrong or jumps fires nothing early or late."""

import time
from datetime import UTC, datetime, timedelta, tzinfo

import psycopg
import pytest

from notifier.store import database_clock
from notifier.store.database import Database, DatabaseUnavailable
from notifier.store.database_clock import DatabaseClock

pytestmark = pytest.mark.servers

SOON = timedelta(seconds=5)


class WrongMachine(datetime):
    """A machine that believes it is a year later."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        """Return the wrong time."""
        return datetime.now(tz) + timedelta(days=365)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> DatabaseClock:
    """A clock on a machine that is a year ahead."""
    monkeypatch.setattr(database_clock, "datetime", WrongMachine)
    return DatabaseClock()


def test_a_clock_without_a_database_is_the_machines(clock: DatabaseClock) -> None:
    """Until it knows better."""
    clock.ask()

    assert abs(clock.now() - datetime.now(UTC) - timedelta(days=365)) < SOON


def test_a_worker_on_a_wrong_machine_has_the_databases_time(clock: DatabaseClock, worker_url: str) -> None:
    """From its first answer on, which the worker waits for before it takes work."""
    database = Database(worker_url)
    clock.follow(database)

    clock.ask()

    with psycopg.connect(worker_url) as connection:
        before = clock.now()
        row = connection.execute("SELECT clock_timestamp()").fetchone()
        after = clock.now()
    assert row is not None
    margin = timedelta(milliseconds=50)
    assert before - margin < row[0] < after + margin
    database.dispose()


def test_the_clock_goes_on_while_the_database_is_away(clock: DatabaseClock, worker_url: str) -> None:
    """It counts on from what it knows, waits for nobody, and asks again."""
    database = Database(worker_url)
    clock.follow(database)
    clock.ask()
    before = clock.now()
    clock.follow(Database("postgresql://nobody@127.0.0.1:1/nothing"))

    started = time.monotonic()
    while clock.now() - before < timedelta(milliseconds=50):
        assert time.monotonic() - started < SOON.total_seconds()
    with pytest.raises(DatabaseUnavailable):
        clock.ask()

    assert abs(clock.now() - datetime.now(UTC)) < SOON
    database.dispose()


def test_the_clock_asks_by_itself_now_and_then(
    clock: DatabaseClock, worker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that slept, or a database that moved, is noticed."""
    monkeypatch.setattr(database_clock, "_SECONDS", 0.0)
    database = Database(worker_url)
    clock.follow(database)
    clock.ask()
    other = datetime.now(UTC) + timedelta(days=2)
    then = other - timedelta(seconds=time.monotonic())
    monkeypatch.setattr(database_clock, "_measure", lambda _: (0.0, then))

    end = time.monotonic() + 10
    while abs(clock.now() - other) > SOON:
        assert time.monotonic() < end
        time.sleep(0.01)
    database.dispose()
