"""Insert many rows with one statement: one array per column, unnested by the server.

About ten times cheaper than a statement a row, and each statement is prepared once per connection.
"""

from collections.abc import Iterable, Sequence
from typing import Any, LiteralString

from psycopg.rows import TupleRow

from notifier.store.database import Connection


class BulkInsert:
    """An INSERT of rows into one table; column types as PostgreSQL names them.

    Args:
        table: The table's name.
        then: What follows, such as ``ON CONFLICT DO NOTHING RETURNING …``.
        columns: Column → type, in the order rows are given.
    """

    def __init__(self, table: LiteralString, *, then: LiteralString = "", **columns: LiteralString) -> None:
        names = ", ".join(columns)
        arrays = ", ".join(f"%b::{kind}[]" for kind in columns.values())
        # jsonb travels as text: psycopg would need a wrapper object per value.
        arrays = arrays.replace("%b::jsonb[]", "%b::text[]::jsonb[]")
        self._statement: LiteralString = (
            f"INSERT INTO {table} ({names}) SELECT * FROM unnest({arrays}) {then}"
        )

    def run(self, connection: Connection, rows: Iterable[Sequence[Any]]) -> list[TupleRow]:
        """Insert the rows; return what the statement returns, nothing for no rows."""
        columns = [list(column) for column in zip(*rows, strict=True)]
        if not columns:
            return []
        cursor = connection.execute(self._statement, columns, prepare=True)
        return cursor.fetchall() if cursor.description else []
