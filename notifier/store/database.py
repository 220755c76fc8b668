"""Hold the pool of PostgreSQL connections; hand out short transactions on psycopg connections.

Every statement ends within the configured time; a connection that broke is not handed out again.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, LiteralString, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import make_url

from notifier.errors import NotifierError

Connection = psycopg.Connection[TupleRow]
Cursor = psycopg.Cursor[TupleRow]
ResultT = TypeVar("ResultT")

_RETRIED = (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure)
_TRIES = 5
_INTERVAL_SECONDS = 0.1
_ANSWER_MARGIN_SECONDS = 5.0
"""How long after its own time limit a server may take to say so."""


# Nothing that ran is to blame for these: connection, resources, shutdown and cancellation, system (Appendix A),
_PASSING = ("08", "53", "57", "58")
# nor for a lock held too long, or for a server that turned into a standby.
_PASSING_STATES = frozenset({"55P03", "25006"})
_SLOW_STATES = frozenset({"57014", "55P03"})
"""The statement, or its wait for a lock, was given up in time: the server is there and answered."""


class DatabaseUnavailable(NotifierError):
    """The database cannot be reached right now: wait and try again."""


class DatabaseSlow(DatabaseUnavailable):
    """The database is there and was too slow for one statement: do less at once, or try again later."""


class BoundedConnection(psycopg.Connection[TupleRow]):
    """A connection that does not wait for ever for a server that is silent while its machine still listens.

    The server's own time limit ends what runs too long; keepalives and the like notice a machine that is
    gone. Neither sees a server that was stopped, or a stuck pooler: the kernel goes on acknowledging.
    """

    answer_seconds: float | None = None

    def wait(
        self, gen: PQGen[ResultT], interval: float = _INTERVAL_SECONDS, timeout: float | None = None
    ) -> ResultT:
        """Run a step of the protocol, to its end or to the end of our patience; then the line is closed."""
        try:
            return super().wait(gen, interval, timeout or self.answer_seconds)
        except psycopg.OperationalError:
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                self.pgconn.finish()  # nobody knows where the protocol stands
            raise


class Database:
    """A pool of connections to one database as one role."""

    def __init__(
        self, url: str, *, size: int = 20, timeout: timedelta = timedelta(seconds=20), name: str = "notifier"
    ) -> None:
        self.url = url
        self._engine = _engine(url, size, timeout, name)
        self.away_at = -math.inf
        """When it was last found away, by ``time.monotonic()``."""

    @property
    def engine(self) -> Engine:
        """The SQLAlchemy engine, for the log's composed queries."""
        return self._engine

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """Lend a connection in autocommit mode: each statement is its own transaction.

        Raises:
            DatabaseUnavailable: it cannot be reached, or went away meanwhile.
            DatabaseSlow: a statement ran out of time; the connection is as good as before.
        """
        try:
            pooled = self._engine.raw_connection()
        except Exception as error:
            raise self._unavailable(error) from error
        connection: Any = pooled.driver_connection
        try:
            yield connection
        except (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError) as error:
            is_broken = connection.closed or connection.broken
            if not is_broken and not _is_passing(error):
                raise
            if not is_broken and error.sqlstate in _SLOW_STATES:
                raise DatabaseSlow(f"the database took too long: {_first_line(error)}") from error
            pooled.invalidate()
            raise self._unavailable(error) from error
        finally:
            pooled.close()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Lend a connection inside one transaction: committed at the end, rolled back on an exception."""
        with self.connection() as connection, connection.transaction():
            yield connection

    def retrying(self, work: Callable[[Connection], ResultT]) -> ResultT:
        """Run ``work`` in a transaction, again after a deadlock or serialization failure (40P01, 40001)."""
        for left in reversed(range(_TRIES)):
            try:
                with self.transaction() as connection:
                    return work(connection)
            except _RETRIED:
                if not left:
                    raise
        raise AssertionError  # the loop returns or raises

    def one(self, statement: LiteralString, parameters: Any = ()) -> TupleRow | None:
        """Run one statement and return its first row."""
        with self.connection() as connection:
            return connection.execute(statement, parameters).fetchone()

    def all(self, statement: LiteralString, parameters: Any = ()) -> list[TupleRow]:
        """Run one statement and return its rows."""
        with self.connection() as connection:
            return connection.execute(statement, parameters).fetchall()

    def dispose(self) -> None:
        """Close all idle connections."""
        self._engine.dispose()

    def _unavailable(self, error: Exception) -> DatabaseUnavailable:
        self.away_at = time.monotonic()
        return DatabaseUnavailable(f"the database cannot be reached: {_first_line(error)}")


def sqlalchemy_url(url: str) -> str:
    """Return the URL with the driver SQLAlchemy needs."""
    return make_url(url).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)


def _engine(url: str, size: int, timeout: timedelta, name: str) -> Engine:
    milliseconds = int(timeout.total_seconds() * 1000)
    engine = create_engine(
        sqlalchemy_url(url),
        pool_size=size,
        max_overflow=size,
        pool_recycle=1800,
        pool_reset_on_return=None,
        isolation_level="AUTOCOMMIT",
        connect_args={
            "autocommit": True,
            "application_name": name,
            "connect_timeout": 5,
            "prepare_threshold": 2,
            # A half-open connection must not hang a thread for the kernel's default of two hours.
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 15_000,
            # A plan made while a table was small, as each month's is on its first day, would read it from end to end
            # for every message, and is kept until the table is analysed: an index is never much worse. Before version
            # 18 what has no index is priced so high by that that it would be compiled first, each time.
            "options": f"-c statement_timeout={milliseconds} -c lock_timeout={milliseconds} -c timezone=UTC"
            " -c enable_seqscan=off -c jit=off",
        },
    )

    def connect(*call: Any) -> psycopg.Connection[TupleRow]:
        _dialect, _record, arguments, named = call
        connection = BoundedConnection.connect(*arguments, **named)
        connection.answer_seconds = timeout.total_seconds() + _ANSWER_MARGIN_SECONDS
        return connection

    event.listen(engine, "do_connect", connect)
    return engine


def _is_passing(error: psycopg.Error) -> bool:
    state = error.sqlstate
    return state is not None and (state.startswith(_PASSING) or state in _PASSING_STATES)


def _first_line(error: Exception) -> str:
    """Return what the driver says first: it names host and port, never the password, and quotes no values."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__
