"""Producers that never stop: a steady load over all three ways, and every receipt written down."""

import threading
import time
from collections.abc import Mapping
from typing import Self

from notifier.client import Client, EventSpec, event
from notifier.errors import NotifierError
from tests.faults.ledger import Promises, Way

_LANES = ("normal", "urgent", "normal", "bulk")
_PAUSE = 0.05


def shipped(number: str, urgency: str) -> EventSpec:
    """Return an event whose one mail goes to an address of its own."""
    data = {
        "customer": {"name": "Ada Brandt", "email": f"{number}@faults.example"},
        "order_number": number,
        "items": [{"name": "Socks", "quantity": 2}],
        "carrier": "DHL",
    }
    return event("order.shipped", subject=number, data=data, id=number, urgency=urgency)


class Producers:
    """One thread per way, each handing over a few events at a time until the context ends.

    A producer whose batch failed sends it again with the same ids, as the documentation tells it to.
    """

    def __init__(self, source: str, urls: Mapping[Way, str], *, rate: float = 60.0) -> None:
        self.promises = Promises(source=source)
        self._urls, self._per_round = dict(urls), max(1, round(rate * _PAUSE / len(urls)))
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._produce, args=(way,), name=f"producer-{way}", daemon=True)
            for way in urls
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(30)

    def await_accepted(self, count: int, *, timeout: float = 30.0) -> None:
        """Wait until so many more events have a receipt."""
        wanted, deadline = len(self.promises.accepted) + count, time.monotonic() + timeout
        while len(self.promises.accepted) < wanted:
            assert time.monotonic() < deadline, f"no {count} receipts within {timeout:g} s"
            time.sleep(0.01)

    def _produce(self, way: Way) -> None:
        is_durable = way is Way.DURABLE
        with Client(
            self._urls[way], source=self.promises.source, durable=is_durable, durable_timeout=3, retry_for=0.5
        ) as client:
            number = 0
            while not self._stopping.wait(_PAUSE):
                batch = [
                    shipped(f"{self.promises.source}-{way}-{number + i}", _LANES[(number + i) % len(_LANES)])
                    for i in range(self._per_round)
                ]
                number += len(batch)
                self._insist(client, way, batch)

    def _insist(self, client: Client, way: Way, batch: list[EventSpec]) -> None:
        with self._lock:
            self.promises.asked |= {str(one["id"]): way for one in batch}
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                client.enqueue_many(batch)
            except NotifierError:
                self._stopping.wait(0.1)
                continue
            with self._lock:
                self.promises.accepted |= {str(one["id"]): way for one in batch}
                self.promises.handed_over_at |= {str(one["id"]): began for one in batch}
            return
