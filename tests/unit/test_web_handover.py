"""Many requests to a commit: each waits for its own, and what goes wrong with one leaves the rest."""

import asyncio
import threading
from collections.abc import Sequence

import pytest

from notifier.receipts import Receipt, ReceiptKind
from notifier.store.database import DatabaseUnavailable
from notifier.web.handover import CannotKeep, Handover
from tests.callbacks import NOW


class Desk:
    """Keeps what it is given; can be shut, and cannot keep what is called ``bad``."""

    def __init__(self, *, shut: bool = False) -> None:
        self.batches: list[tuple[str, list[str]]] = []
        self.shut = shut
        self.open = threading.Event()
        self.open.set()

    def hand_in(self, source: str, receipts: Sequence[Receipt]) -> int:
        """Keep them."""
        self.open.wait(10)
        if self.shut:
            raise DatabaseUnavailable
        if any(receipt.key == "bad" for receipt in receipts):
            raise ValueError
        self.batches.append((source, [receipt.key for receipt in receipts]))
        return len({receipt.key for receipt in receipts})


def receipt(key: str) -> tuple[Receipt, ...]:
    """Return what one request brought."""
    return (Receipt(kind=ReceiptKind.SENT, at=NOW, source="x", key=key),)


def test_what_comes_while_the_database_is_busy_goes_together() -> None:
    """Each provider's by itself, in the order it came."""
    desk = Desk()
    desk.open.clear()

    async def flood() -> Handover:
        handover = Handover(desk)
        tasks = [asyncio.create_task(handover.hand_in(f"p{n % 2}", receipt(str(n)))) for n in range(100)]
        await asyncio.sleep(0)
        desk.open.set()
        await asyncio.gather(*tasks)
        return handover

    handover = asyncio.run(flood())

    assert sum(len(keys) for _, keys in desk.batches) == handover.new == 100
    assert len(desk.batches) <= 8
    assert [int(key) for source, keys in desk.batches for key in keys if source == "p1"] == list(
        range(1, 100, 2)
    )


def test_one_that_cannot_be_kept_leaves_the_rest() -> None:
    """It fails alone."""
    desk = Desk()
    desk.open.clear()

    async def mixed() -> list[object]:
        handover = Handover(desk)
        tasks = [asyncio.create_task(handover.hand_in("p", receipt(key))) for key in ("1", "bad", "2")]
        await asyncio.sleep(0)
        desk.open.set()
        return list(await asyncio.gather(*tasks, return_exceptions=True))

    results = asyncio.run(mixed())

    assert [type(result) for result in results] == [type(None), CannotKeep, type(None)]
    assert sorted(key for _, keys in desk.batches for key in keys) == ["1", "2"]


def test_while_the_database_is_away_everybody_must_come_again() -> None:
    """And who hung up meanwhile is not told."""
    desk = Desk(shut=True)

    async def away() -> list[object]:
        handover = Handover(desk)
        tasks = [asyncio.create_task(handover.hand_in("p", receipt(str(n)))) for n in range(3)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        return list(await asyncio.gather(*tasks, return_exceptions=True))

    results = asyncio.run(away())

    assert [type(result) for result in results] == [
        asyncio.CancelledError,
        DatabaseUnavailable,
        DatabaseUnavailable,
    ]


def test_too_much_at_once_is_told_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory has an end."""
    monkeypatch.setattr("notifier.web.handover._WAITING", 5)
    desk = Desk()
    desk.open.clear()

    async def flood() -> list[object]:
        handover = Handover(desk)
        tasks = [asyncio.create_task(handover.hand_in("p", receipt(str(n)))) for n in range(20)]
        await asyncio.sleep(0)
        desk.open.set()
        return list(await asyncio.gather(*tasks, return_exceptions=True))

    results = asyncio.run(flood())

    assert results.count(None) == 5
    assert sum(isinstance(result, DatabaseUnavailable) for result in results) == 15
