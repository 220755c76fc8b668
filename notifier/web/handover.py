"""Hand in what many requests bring at once in few transactions; each request waits for the commit of its own.

Knows nothing of HTTP or of providers.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from fastapi.concurrency import run_in_threadpool

from notifier.logs import get_logger
from notifier.receipts import Receipt
from notifier.store.database import DatabaseUnavailable

log = get_logger("web")

_TOGETHER = 200
"""Requests of one transaction: a commit costs as much for one."""
_WRITERS = 2
"""One seals while the database commits for the other."""
_WAITING = 10_000


class CannotKeep(DatabaseUnavailable):
    """The database is there and does not take this one: a mistake of ours, which an update may mend in time."""


class Desk(Protocol):
    """Takes reports in."""

    def hand_in(self, source: str, receipts: Sequence[Receipt]) -> int:
        """Store and commit; return how many were new.

        Raises:
            DatabaseUnavailable: nothing was stored.
        """
        ...


@dataclass(frozen=True, slots=True)
class _Waiting:
    """What one request brought."""

    source: str
    receipts: tuple[Receipt, ...]
    done: "asyncio.Future[None]"


class Handover:
    """Collects while the database is busy; with nothing else to do hands in at once."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._waiting: deque[_Waiting] = deque()
        self._writers: set[asyncio.Task[None]] = set()
        self.new = self.known = 0

    async def hand_in(self, source: str, receipts: tuple[Receipt, ...]) -> None:
        """Return once they are committed.

        Raises:
            CannotKeep: they are not, though others are.
            DatabaseUnavailable: they are not, or too many wait already: try again.
        """
        if len(self._waiting) >= _WAITING:
            raise DatabaseUnavailable("too much waits to be stored")
        done = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(source, receipts, done))
        if len(self._writers) < _WRITERS:
            writer = asyncio.create_task(self._write())
            self._writers.add(writer)
            writer.add_done_callback(self._writers.discard)
        await done

    async def _write(self) -> None:
        while self._waiting:
            together = [self._waiting.popleft() for _ in range(min(_TOGETHER, len(self._waiting)))]
            for source in dict.fromkeys(one.source for one in together):
                await self._store(source, [one for one in together if one.source == source])

    async def _store(self, source: str, together: list[_Waiting]) -> None:
        try:
            await self._commit(source, together)
        except DatabaseUnavailable as error:
            _fail(together, error)
        except Exception as error:  # noqa: BLE001 - one that cannot be stored must not keep out the rest
            if len(together) > 1:
                for one in together:
                    await self._store(source, [one])
                return
            log.error("web.failed", part="callbacks", reason=type(error).__name__)
            _fail(together, CannotKeep())

    async def _commit(self, source: str, together: list[_Waiting]) -> None:
        receipts = [receipt for one in together for receipt in one.receipts]
        new = await run_in_threadpool(self._desk.hand_in, source, receipts)
        self.new += new
        self.known += len(receipts) - new
        for one in _still_there(together):
            one.done.set_result(None)


def _fail(together: Iterable[_Waiting], error: Exception) -> None:
    for one in _still_there(together):
        one.done.set_exception(error)


def _still_there(together: Iterable[_Waiting]) -> Iterable[_Waiting]:
    # Who hung up is not told.
    return (one for one in together if not one.done.done())
