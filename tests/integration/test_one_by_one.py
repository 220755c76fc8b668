"""Rows of a real table, worked off one at a time."""

from collections.abc import Iterator

import psycopg
import pytest

from notifier.errors import KeyMissing
from notifier.pipeline.one_by_one import OneByOne
from notifier.store.database import Connection, Database, DatabaseSlow, DatabaseUnavailable


class Desk:
    """A table of numbers, and what became of them."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.errors: dict[int, list[Exception]] = {}
        """What carrying one out trips over, try by try."""
        self.committed: list[int] = []
        with database.connection() as connection:
            connection.execute("CREATE TABLE wanted (number int PRIMARY KEY, outcome text)")
            connection.execute("CREATE TABLE carried_out (number int)")
            connection.execute("INSERT INTO wanted SELECT generate_series(1, 3)")

    def run(self) -> int:
        """Work off what waits."""
        return OneByOne(
            database=self.database,
            take=_take,
            carry_out=self._carry_out,
            put_aside=lambda connection, number, error: _finish(connection, number, type(error).__name__),
            committed=self._note,
        ).run()

    def outcomes(self) -> list[str | None]:
        """Return what became of each number, in order."""
        return [row[0] for row in self.database.all("SELECT outcome FROM wanted ORDER BY number")]

    def carried_out(self) -> list[int]:
        """Return the numbers that were carried out, as often as they were."""
        return [row[0] for row in self.database.all("SELECT number FROM carried_out ORDER BY number")]

    def _carry_out(self, connection: Connection, number: int) -> None:
        connection.execute("INSERT INTO carried_out VALUES (%s)", [number])
        _finish(connection, number, "done")
        if self.errors.get(number):
            raise self.errors[number].pop(0)

    def _note(self, number: int) -> None:
        assert self.outcomes()[number - 1] == "done"  # another connection sees it
        self.committed.append(number)


@pytest.fixture
def desk(database_url: str) -> Iterator[Desk]:
    """Three numbers that wait."""
    database = Database(database_url)
    yield Desk(database)
    database.dispose()


def test_all_that_waits_is_carried_out_once(desk: Desk) -> None:
    """What has to wait for the commit comes after it."""
    assert (desk.run(), desk.run()) == (3, 0)

    assert desk.outcomes() == ["done"] * 3
    assert desk.carried_out() == desk.committed == [1, 2, 3]


def test_a_poisonous_one_is_put_aside_and_the_others_go_on(desk: Desk) -> None:
    """Nothing of what it began stays, and nobody takes it again."""
    desk.errors[1] = [ValueError("our own mistake")]

    assert (desk.run(), desk.run()) == (3, 0)

    assert desk.outcomes() == ["ValueError", "done", "done"]
    assert desk.carried_out() == desk.committed == [2, 3]


def test_a_deadlock_is_tried_again(desk: Desk) -> None:
    """It says nothing against the row, and the row counts once."""
    desk.errors[2] = [psycopg.errors.DeadlockDetected("twice"), psycopg.errors.SerializationFailure("more")]

    assert desk.run() == 3

    assert desk.carried_out() == desk.committed == [1, 2, 3]


@pytest.mark.parametrize(
    "error", [KeyMissing("not here"), DatabaseSlow("not now"), DatabaseUnavailable("away")]
)
def test_what_says_nothing_against_a_row_leaves_it_where_it_is(desk: Desk, error: Exception) -> None:
    """A missing key and a database that is slow or away are told to whoever asked, and tried again later."""
    desk.errors[2] = [error]

    with pytest.raises(type(error)):
        desk.run()
    left = desk.outcomes()

    assert left == ["done", None, None]
    assert desk.run() == 2
    assert desk.carried_out() == desk.committed == [1, 2, 3]


def test_an_error_before_anything_was_taken_is_nobodys_fault(desk: Desk) -> None:
    """Nothing is put aside for a question that fails."""

    def take(connection: Connection) -> int | None:
        connection.execute("SELECT 1 / 0")
        return None

    row = OneByOne(
        database=desk.database, take=take, carry_out=_unexpected, put_aside=_unexpected, committed=_unexpected
    )

    with pytest.raises(psycopg.errors.DivisionByZero):
        row.run()
    assert desk.outcomes() == [None] * 3


def _take(connection: Connection) -> int | None:
    row = connection.execute(
        "SELECT number FROM wanted WHERE outcome IS NULL ORDER BY number LIMIT 1 FOR UPDATE SKIP LOCKED"
    ).fetchone()
    return row[0] if row else None


def _finish(connection: Connection, number: int, outcome: str) -> None:
    connection.execute("UPDATE wanted SET outcome = %s WHERE number = %s", [outcome, number])


def _unexpected(*_: object) -> None:
    raise AssertionError
