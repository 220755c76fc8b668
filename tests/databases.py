"""Databases for tests: copies of one template; what was only written to is emptied and lent again.

A copy takes 110 to 200 ms, emptying one 10. Nothing a test left can reach the next: sessions are ended, every row is
deleted and the template's put back, the name is new, and a schema that differs in anything is thrown away.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from uuid import uuid4

import psycopg
from psycopg import sql

from notifier.embedded.postgres import PostgresServer
from notifier.store.database import Connection

_USES = 40
"""Deleted rows stay in tables and indexes until they are vacuumed: what was used so often is as good as full."""
_ROWS = 500
"""Likewise, of a single test."""

# Whatever CREATE, ALTER, DROP, GRANT or COMMENT does adds a row to a catalogue, or gives one a new xmin.
_CATALOGUES = (
    "pg_class", "pg_attribute", "pg_attrdef", "pg_constraint", "pg_index", "pg_inherits", "pg_proc", "pg_trigger",
    "pg_policy", "pg_rewrite", "pg_type", "pg_namespace", "pg_extension", "pg_default_acl", "pg_description",
)  # fmt: skip
_SCHEMA = " UNION ALL ".join(
    f"SELECT '{name}', count(*), max(xmin::text::bigint) FROM {name}" for name in _CATALOGUES
)
_SETTINGS = """SELECT count(*) FROM pg_db_role_setting
               WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())"""
_TABLES = """SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace
             AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY 1"""
_SEQUENCES = "SELECT sequencename, last_value FROM pg_sequences WHERE schemaname = 'public'"
_OTHERS = """SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()"""

Schema = list[tuple[object, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rows:
    """What a new database holds."""

    tables: tuple[str, ...]
    kept: Mapping[str, bytes]
    """COPY's form of the rows of those that are not empty."""
    sequences: tuple[tuple[str, int | None], ...]
    """Names and last values; None before the first."""


class Databases:
    """Lends databases of one server.

    Args:
        server: Where they are.
        template: What each is a copy of; nobody may be connected to it.
    """

    def __init__(self, server: PostgresServer, template: str) -> None:
        self._server, self._template = server, template
        self._free: list[tuple[str, int]] = []
        """Names, and how often each was lent."""
        self._lent: dict[str, int] = {}

    def lend(self) -> str:
        """Return the URL of a database as new, which nobody else has."""
        self._server.start()  # a fault test may have left it down
        name = f"test_{uuid4().hex}"
        with psycopg.connect(self._server.url(), autocommit=True) as admin:
            if self._free:
                # Whoever still holds the old name can reach nothing by it.
                old, uses = self._free.pop()
                admin.execute(_named("ALTER DATABASE {} RENAME TO {}", old, name))
            else:
                uses = 0
                admin.execute(
                    _named("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy", name, self._template)
                )
        self._lent[name] = uses + 1
        return self._server.url(name)

    def take_back(self, url: str) -> None:
        """Empty a database for the next test, or drop it where that would not make it as new."""
        self._server.start()
        name = url.rpartition("/")[2]
        uses = self._lent.pop(name)
        if uses < _USES and self._empty(url):
            self._free.append((name, uses))
            return
        with psycopg.connect(self._server.url(), autocommit=True) as admin:
            admin.execute(_named("DROP DATABASE {} WITH (FORCE)", name))

    def _empty(self, url: str) -> bool:
        """Return whether it is as new now."""
        schema, rows = self._schema, self._rows
        try:
            with psycopg.connect(url) as connection:
                connection.execute(_OTHERS)
                if _schema_of(connection) != schema:
                    return False
                # No trigger and no foreign key has a say.
                connection.execute("SET session_replication_role = replica")
                deleted = 0
                for (table,) in connection.execute(_used(rows.tables)).fetchall():
                    deleted += connection.execute(_named("DELETE FROM {}", table)).rowcount
                for table, kept in rows.kept.items():
                    with connection.cursor().copy(
                        _named("COPY {} FROM STDIN (FORMAT binary)", table)
                    ) as copy:
                        copy.write(kept)
                for sequence, last in rows.sequences:
                    connection.execute(
                        "SELECT setval(%s, coalesce(%s, 1), %s)", [sequence, last, last is not None]
                    )
        except psycopg.Error:  # a test may have left anything, a lock that is prepared among it
            return False
        return deleted <= _ROWS

    @cached_property
    def _schema(self) -> Schema:
        with psycopg.connect(self._server.url(self._template)) as connection:
            return _schema_of(connection)

    @cached_property
    def _rows(self) -> _Rows:
        with psycopg.connect(self._server.url(self._template)) as connection:
            tables = tuple(row[0] for row in connection.execute(_TABLES))
            kept: dict[str, bytes] = {}
            for (table,) in connection.execute(_used(tables)).fetchall():
                with connection.cursor().copy(
                    _named("COPY (TABLE {}) TO STDOUT (FORMAT binary)", table)
                ) as copy:
                    kept[table] = b"".join(map(bytes, copy))
            sequences = tuple((row[0], row[1]) for row in connection.execute(_SEQUENCES))
        return _Rows(tables=tables, kept=kept, sequences=sequences)


def _schema_of(connection: Connection) -> Schema:
    return [*connection.execute(_SCHEMA).fetchall(), *connection.execute(_SETTINGS).fetchall()]


def _used(tables: Iterable[str]) -> sql.Composed:
    """Ask for the names of those that have rows."""
    one = sql.SQL("SELECT {} WHERE EXISTS (SELECT FROM {})")
    return sql.SQL(" UNION ALL ").join(one.format(table, sql.Identifier(table)) for table in tables)


def _named(statement: str, *names: str) -> sql.Composed:
    return sql.SQL(statement).format(*map(sql.Identifier, names))  # type: ignore[arg-type]
