"""Work off what waits in a table one row at a time, each in a transaction of its own, and put a poisonous one aside.

Knows nothing of what the rows ask for: who uses it takes them, carries them out and notes that one failed.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from notifier.pipeline.incoming import PROCESSING_ERRORS, is_passing
from notifier.store.database import Connection, Database

_STINT_SECONDS = 0.5
RowT = TypeVar("RowT")


@dataclass(frozen=True, slots=True, kw_only=True)
class OneByOne(Generic[RowT]):
    """How one kind of row is worked off.

    Attributes:
        database: Where they wait.
        take: Locks and returns the one that came first, leaving alone what others hold; None where none waits.
        carry_out: Does what it asks for, in the transaction that took it, and notes that it is done.
        put_aside: Notes that it failed, in a transaction of its own: nobody takes it again.
        committed: Does what has to wait for the commit; not called for what was put aside.
    """

    database: Database
    take: Callable[[Connection], RowT | None]
    carry_out: Callable[[Connection, RowT], object]
    put_aside: Callable[[Connection, RowT, Exception], object]
    committed: Callable[[RowT], object] = lambda _row: None

    def run(self) -> int:
        """Work off what waits, for a stint at most; return how many there were.

        Raises:
            DatabaseUnavailable: the row stays where it is.
            KeyMissing: it needs a key this process lacks.
        """
        count, end = 0, time.monotonic() + _STINT_SECONDS
        while self._next():
            count += 1
            if time.monotonic() > end:
                break
        return count

    def _next(self) -> bool:
        taken: list[RowT] = []

        def work(connection: Connection) -> None:
            taken[:] = []
            if (row := self.take(connection)) is not None:
                taken.append(row)
                self.carry_out(connection, row)

        try:
            self.database.retrying(work)
        except PROCESSING_ERRORS as error:
            if is_passing(error) or not taken:
                raise
            with self.database.transaction() as connection:
                self.put_aside(connection, taken[0], error)
        else:
            for row in taken:
                self.committed(row)
        return bool(taken)
