"""Write events into a table of the producer's own PostgreSQL, so that they appear with its commit.

Writes only: the server drains the table. SQLAlchemy and psycopg are recognised by their module names and
imported only where a row is written.
"""

import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from types import ModuleType
from typing import TYPE_CHECKING, Final, Protocol, cast

from notifier.client.addresses import POSTGRESQL, place, scheme_of
from notifier.client.patience import try_again
from notifier.client.receipts import Asker
from notifier.client.transport import Handed
from notifier.client.wire import OUTBOX_TABLE
from notifier.client.writing import Written
from notifier.errors import ConfigError, IntakeUnavailable
from notifier.events import Urgency

if TYPE_CHECKING:
    import psycopg

DDL: Final = """\
CREATE TABLE IF NOT EXISTS notifier_outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    lane text NOT NULL,
    event jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS notifier_outbox_lane ON notifier_outbox (lane, id)"""
"""The table, for those who create it in a migration of their own."""

# One statement for any number of rows; ORDINALITY keeps the order in which they were enqueued.
_INSERT: Final = """\
INSERT INTO notifier_outbox (lane, event)
SELECT lane, event::jsonb
FROM unnest(%s::text[], %s::text[]) WITH ORDINALITY AS new (lane, event, n)
ORDER BY n"""
_INSERT_ONE: Final = "INSERT INTO notifier_outbox (lane, event) VALUES (:lane, CAST(:event AS jsonb))"

_UNDEFINED_TABLE: Final = "42P01"
# CREATE TABLE IF NOT EXISTS can still collide with itself; "notifie" as a number.
_INSTALL_LOCK: Final = 0x6E6F7469666965
_CONNECT_TIMEOUT: Final = 5


class _Runs(Protocol):
    """A psycopg connection or cursor, or a SQLAlchemy connection, as far as it is used here."""

    def execute(self, statement: object, parameters: object, /) -> object: ...


class _Dialect(Protocol):
    name: str


class _Connection(_Runs, Protocol):
    """SQLAlchemy's."""

    dialect: _Dialect


class _Session(Protocol):
    """SQLAlchemy's, scoped ones too."""

    def connection(self) -> _Connection: ...


def install(url: str) -> None:
    """Create the outbox table in the producer's database, unless it is there.

    Raises:
        ConfigError: no PostgreSQL URL, or the user may not create tables.
        IntakeUnavailable: the database cannot be reached.
    """
    psycopg = _psycopg()
    try:
        with psycopg.connect(_dsn(url), connect_timeout=_CONNECT_TIMEOUT) as connection:
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_INSTALL_LOCK,))
            connection.execute(DDL)
    except psycopg.errors.InsufficientPrivilege as error:
        raise ConfigError(
            f"{place(url)}: this user may not create {OUTBOX_TABLE}", field="url",
            mend="run it as the owner of the schema",
        ) from error  # fmt: skip
    except psycopg.OperationalError as error:
        raise _unreachable(url, error) from error


class OutboxTransport:
    """The outbox behind a PostgreSQL URL, in short transactions of its own."""

    def __init__(self, url: str, *, retry_for: float, asker: Asker | None) -> None:
        self._dsn, self._url = _dsn(url), url
        self._retry_for, self._asker = retry_for, asker
        self._connection: psycopg.Connection | None = None
        self._lock = threading.Lock()

    @property
    def asker(self) -> Asker | None:
        """Who asks for results, where a ``results_url`` was given."""
        return self._asker

    def hand_over(self, events: Sequence[Written], *, is_durable: bool) -> Handed:
        """Insert the events and commit.

        Raises:
            ConfigError: the table is missing.
            IntakeUnavailable: the database stayed away.
        """
        psycopg = _psycopg()
        try:
            try_again(
                lambda: self._insert(events, is_durable=is_durable), limit=self._retry_for,
                passing=lambda error: isinstance(error, psycopg.OperationalError | psycopg.InterfaceError),
            )  # fmt: skip
        except psycopg.errors.UndefinedTable as error:
            raise _missing_table() from error
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise _unreachable(self._url, error) from error
        return handed(events)

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._drop()

    def _insert(self, events: Sequence[Written], *, is_durable: bool) -> None:
        with self._lock:
            try:
                connection = self._open()
                with connection.transaction():
                    if is_durable:
                        connection.execute("SET LOCAL synchronous_commit = on")
                    connection.execute(_INSERT, _columns(events))
            except Exception:
                self._drop()
                raise

    def _open(self) -> "psycopg.Connection":
        if self._connection is None or self._connection.closed:
            self._connection = _psycopg().connect(
                self._dsn,
                autocommit=True,
                connect_timeout=_CONNECT_TIMEOUT,
                application_name="notifier-client",
            )
        return self._connection

    def _drop(self) -> None:
        if self._connection is not None:
            with suppress(Exception):  # it is thrown away whatever it says
                self._connection.close()
        self._connection = None


def write_on(target: object, events: Sequence[Written]) -> Handed:
    """Write the rows on the producer's own session or connection; they appear with its commit.

    Raises:
        ConfigError: it is none we know, or the table is missing.
    """
    kind = _kind(target)
    try:
        if kind == "sqlalchemy":
            _write_on_sqlalchemy(target, events)
        else:
            cast("_Runs", target).execute(_INSERT, _columns(events))
    except Exception as error:
        cause = getattr(error, "orig", None) or error
        if getattr(cause, "sqlstate", None) == _UNDEFINED_TABLE:
            raise _missing_table() from error
        raise
    return handed(events)


def handed(events: Sequence[Written]) -> Handed:
    """Return the outcome of writing all of them. Only the server knows the lanes of the types."""
    return Handed(accepted=tuple((event, _lane(event)) for event in events))


def _write_on_sqlalchemy(target: object, events: Sequence[Written]) -> None:
    # A session gives the connection of its transaction.
    is_connection = hasattr(target, "exec_driver_sql")
    connection = cast("_Connection", target) if is_connection else cast("_Session", target).connection()
    if (dialect := connection.dialect.name) != "postgresql":
        raise ConfigError(f"the session speaks {dialect}; the outbox lives in PostgreSQL", field="on")
    rows = [{"lane": lane, "event": event} for lane, event in zip(*_columns(events), strict=True)]
    # Not an import of ours: who passes a session has SQLAlchemy loaded.
    connection.execute(sys.modules["sqlalchemy"].text(_INSERT_ONE), rows)


def _kind(target: object) -> str:
    classes = [(cls.__module__, cls.__name__) for cls in type(target).__mro__]
    if any(module.startswith("sqlalchemy.ext.asyncio") for module, _ in classes):
        raise ConfigError(
            "is asynchronous", field="on",
            mend="await session.run_sync(lambda session: client.enqueue(..., on=session))",
        )  # fmt: skip
    if any(module.startswith(("sqlalchemy.orm", "sqlalchemy.engine.base")) for module, _ in classes):
        return "sqlalchemy"
    if any(
        module.partition(".")[0] == "psycopg" and name in {"Connection", "Cursor"} for module, name in classes
    ):
        return "psycopg"
    raise ConfigError(
        f"is a {type(target).__module__}.{type(target).__qualname__}", field="on",
        mend="pass a SQLAlchemy Session or Connection, or a psycopg Connection",
    )  # fmt: skip


def _columns(events: Sequence[Written]) -> tuple[list[str], list[str]]:
    return [_lane(event).value for event in events], [event.payload.decode() for event in events]


def _lane(event: Written) -> Urgency:
    return event.urgency or Urgency.NORMAL


def _dsn(url: str) -> str:
    scheme = scheme_of(url, allowed=POSTGRESQL)
    return "postgresql" + url[len(scheme) :]


def _psycopg() -> ModuleType:
    try:
        import psycopg  # noqa: PLC0415 - optional extra
    except ImportError:
        raise ConfigError(
            "the outbox needs the package `psycopg`", field="url", mend="pip install 'notifier[outbox]'"
        ) from None
    return psycopg


def _missing_table() -> ConfigError:
    return ConfigError(
        f"the table {OUTBOX_TABLE} does not exist in this database", mend="run `notifier outbox install URL`"
    )


def _unreachable(url: str, error: Exception) -> IntakeUnavailable:
    # libpq adds a question below: "Is the server running on that host and accepting TCP/IP connections?"
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and not line.startswith("\t")]
    return IntakeUnavailable(f"{place(url)} cannot be used: {(lines or [type(error).__name__])[-1][:200]}")
