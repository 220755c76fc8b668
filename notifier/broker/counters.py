"""Count what happened, across processes, for ``/metrics``: cheap, and only for the eye.

The truth is the log; these start again when Redis loses its memory, as Prometheus counters may.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import redis

from notifier.broker.connection import BrokerUnavailable, speaking

_COUNTS, _SECONDS, _RECEIPTS = "notifier:counts", "notifier:seconds", "notifier:receipts"
BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)
"""Upper bounds of the latency histogram, in seconds."""


class Counters:
    """Sums in Redis hashes; losing a count never stops the work."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def add(self, counts: Counter[str], latencies: Iterable[tuple[str, float]] = ()) -> None:
        """Add counts by label text, and (label, seconds) observations."""
        sums: Counter[str] = Counter()
        totals: dict[str, float] = {}
        for label, seconds in latencies:
            bound = next((str(bucket) for bucket in BUCKETS if seconds <= bucket), "+Inf")
            sums[f"{label}|{bound}"] += 1
            totals[label] = totals.get(label, 0.0) + seconds
        try:
            with speaking(), self._client.pipeline(transaction=False) as pipe:
                for label, count in counts.items():
                    pipe.hincrby(_COUNTS, label, count)
                for label, count in sums.items():
                    pipe.hincrby(_SECONDS, label, count)
                for label, total in totals.items():
                    pipe.hincrbyfloat(_SECONDS, f"{label}|sum", total)
                pipe.execute()
        except BrokerUnavailable:
            return

    def add_receipts(self, counts: Counter[str]) -> None:
        """Add what was reported of messages, by label text ``channel|kind|class``."""
        try:
            with speaking(), self._client.pipeline(transaction=False) as pipe:
                for label, count in counts.items():
                    pipe.hincrby(_RECEIPTS, label, count)
                pipe.execute()
        except BrokerUnavailable:
            return

    def receipts(self) -> dict[str, int]:
        """Return what was reported of messages, by label."""
        with speaking():
            counts: dict[Any, Any] = self._client.hgetall(_RECEIPTS)
        return {key.decode(): int(value) for key, value in counts.items()}

    def read(self) -> tuple[dict[str, int], dict[str, float]]:
        """Return the counts by label, and the histogram's fields ``label|bound`` and ``label|sum``."""
        with speaking():
            counts: dict[Any, Any] = self._client.hgetall(_COUNTS)
            seconds: dict[Any, Any] = self._client.hgetall(_SECONDS)
        return (
            {key.decode(): int(value) for key, value in counts.items()},
            {key.decode(): float(value) for key, value in seconds.items()},
        )
