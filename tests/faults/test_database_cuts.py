"""A database that goes away between any two statements of a sender costs no unknown outcome (law 4)."""

import contextlib
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from notifier.store import sending, work
from notifier.store.database import DatabaseUnavailable
from notifier.store.partitions import Partitions
from tests.faults.stages import Bench

pytestmark = [pytest.mark.faults, pytest.mark.servers]


def lose_the_answer(monkeypatch: pytest.MonkeyPatch, name: str, module: object = work) -> None:
    """Let one call commit, and its connection break before the answer is in."""
    call: Callable[..., Any] = getattr(module, name)
    calls: list[None] = []

    def once(connection: Any, *arguments: Any, **named: Any) -> Any:
        found = call(connection, *arguments, **named)
        if not calls:
            calls.append(None)
            getattr(connection, "connection", connection).close()
            raise psycopg.OperationalError("server closed the connection unexpectedly")
        return found

    monkeypatch.setattr(module, name, once)


@pytest.mark.parametrize(
    ("module", "name"), [(sending, "mark_sending"), (sending, "record_sent_and_mark"), (work, "claim")]
)
def test_an_answer_of_the_database_that_is_lost_makes_nothing_unknown(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, module: object, name: str
) -> None:
    """The statement took effect, its sender did not hear of it, and nothing was on the wire."""
    bench.sink.delay = 0.0
    lose_the_answer(monkeypatch, name, module)
    bench.enqueue(3)
    bench.ingest()

    with contextlib.suppress(DatabaseUnavailable, psycopg.OperationalError):
        bench.deliver()
    with psycopg.connect(bench.url) as admin:  # time passes
        admin.execute("UPDATE work SET lease_until = now() WHERE state = 1")
    bench.recover()

    bench.books().check()


def test_the_first_mail_of_a_process_is_recorded_though_the_database_went_away(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list of partitions is read just then: it is away as well, and the outcome must wait for it."""
    bench.sink.delay = 0.0
    bench.enqueue(1)
    bench.ingest()
    leaf, calls = Partitions.leaf, list[None]()

    def away_once(self: Partitions, *arguments: Any) -> str:
        if not calls:
            calls.append(None)
            raise DatabaseUnavailable("the database cannot be reached")
        return leaf(self, *arguments)

    monkeypatch.setattr(Partitions, "leaf", away_once)

    with contextlib.suppress(DatabaseUnavailable, psycopg.OperationalError):
        bench.deliver()
    with psycopg.connect(bench.url) as admin:
        admin.execute("UPDATE work SET lease_until = now() WHERE state = 1")
    bench.recover()

    bench.books().check()
