"""Read the intake streams as a consumer group; entries leave only after the database has them.

Knows entries as bytes; what they mean is for the ingest stage.
"""

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import redis

from notifier.broker.connection import speaking
from notifier.client.wire import PAYLOAD, stream_key
from notifier.events import LANES, Urgency

GROUP = "ingest"


@dataclass(frozen=True, slots=True)
class Entry:
    """One stream entry: its id and the event's JSON."""

    id: bytes
    payload: bytes


class Intake:
    """The streams, one per lane, as one consumer sees them."""

    def __init__(self, client: redis.Redis, consumer: str) -> None:
        self._client, self._consumer = client, consumer

    def read(self, lane: Urgency, count: int) -> list[Entry]:
        """Take up to ``count`` new entries; they stay pending until :meth:`done`.

        Raises:
            BrokerUnavailable: Redis is away.
        """
        key = stream_key(lane)
        with speaking():
            try:
                answer = self._client.xreadgroup(GROUP, self._consumer, {key: ">"}, count=count)
            except redis.ResponseError as error:
                if not str(error).startswith("NOGROUP"):
                    raise
                self._create_group(key)
                answer = self._client.xreadgroup(GROUP, self._consumer, {key: ">"}, count=count)
        return _entries(_pairs(answer))

    def take_over(self, lane: Urgency, idle: timedelta, count: int) -> list[Entry]:
        """Take entries whose reader has been silent for ``idle``: it died, or lost its connection."""
        key = stream_key(lane)
        with speaking():
            try:
                answer = self._client.xautoclaim(
                    key, GROUP, self._consumer, int(idle.total_seconds() * 1000), count=count
                )
            except redis.ResponseError as error:
                if str(error).startswith("NOGROUP"):
                    return []
                raise
        return _entries(answer[1])

    def done(self, lane: Urgency, entries: Iterable[Entry]) -> None:
        """Remove entries for good; call it after the commit that stored them."""
        ids = [entry.id for entry in entries]
        if not ids:
            return
        key = stream_key(lane)
        with speaking(), self._client.pipeline(transaction=False) as pipe:
            # In this order: cut in between, the entry is only pending still, and a take-over clears it away.
            # The other way round it would stay in the stream for ever, and count against its limit.
            pipe.xdel(key, *ids)
            pipe.xack(key, GROUP, *ids)
            pipe.execute()

    def put(self, lane: Urgency, payload: bytes) -> None:
        """Add an entry: a dead letter gets another chance."""
        with speaking():
            self._client.xadd(stream_key(lane), {PAYLOAD: payload})

    def lengths(self) -> dict[Urgency, int]:
        """Return how many entries each lane holds, read or not."""
        with speaking(), self._client.pipeline(transaction=False) as pipe:
            for lane in LANES:
                pipe.xlen(stream_key(lane))
            return dict(zip(LANES, pipe.execute(), strict=True))

    def oldest(self) -> bytes | None:
        """Return the id of the oldest entry of all lanes that is not ingested yet; None where all are."""
        with speaking(), self._client.pipeline(transaction=False) as pipe:
            for lane in LANES:
                pipe.xrange(stream_key(lane), count=1)
            found = [entries[0][0] for entries in pipe.execute() if entries]
        return min(found, key=_place, default=None)

    def mark(self) -> dict[str, bytes]:
        """Return the id of the newest entry of each lane that is not ingested yet; none of an empty lane."""
        with speaking(), self._client.pipeline(transaction=False) as pipe:
            for lane in LANES:
                pipe.xrevrange(stream_key(lane), count=1)
            newest = zip(LANES, pipe.execute(), strict=True)
        return {lane.value: entries[0][0] for lane, entries in newest if entries}

    def is_past(self, mark: Mapping[str, bytes], lane: str) -> bool:
        """Tell whether whatever stood in a lane at a mark has been ingested."""
        if lane not in mark:
            return True
        with speaking():
            oldest: Any = self._client.xrange(stream_key(Urgency(lane)), count=1)
        return not oldest or _place(oldest[0][0]) > _place(mark[lane])

    def wait(self, last: dict[Urgency, bytes], timeout: timedelta) -> list[Urgency]:
        """Block until a lane gets entries newer than ``last``; return those lanes and move ``last`` on.

        Reads ids only to learn that something came; consumes nothing.
        """
        keys = {stream_key(lane): lane for lane in LANES}
        with speaking():
            answer = self._client.xread(
                {key: last.get(lane, b"0") for key, lane in keys.items()},
                count=1,
                block=max(1, int(timeout.total_seconds() * 1000)),  # 0 would be for ever
            )
            lanes = [keys[_text(key)] for key, _ in _streams(answer)]
            for lane in lanes:
                newest: Any = self._client.xrevrange(stream_key(lane), count=1)
                if newest:
                    last[lane] = newest[0][0]
        return lanes

    def _create_group(self, key: str) -> None:
        # From 0: a group that vanished with entries waiting must find them again.
        with contextlib.suppress(redis.ResponseError):
            self._client.xgroup_create(key, GROUP, id="0", mkstream=True)


def _streams(answer: object) -> list[tuple[bytes, object]]:
    if not answer:
        return []
    return list(answer.items()) if isinstance(answer, dict) else list(answer)  # type: ignore[call-overload]


def _pairs(answer: object) -> list[tuple[bytes, dict[bytes, bytes]]]:
    pairs: list[tuple[bytes, dict[bytes, bytes]]] = []
    for _, found in _streams(answer):
        # RESP3 nests the entries one list deeper than RESP2.
        rows = found[0] if found and isinstance(found[0], list) else found  # type: ignore[index]
        pairs.extend(rows)  # type: ignore[arg-type]
    return pairs


def _entries(pairs: Iterable[tuple[bytes, dict[bytes, bytes] | None]]) -> list[Entry]:
    # A pending entry that was deleted meanwhile comes back without fields.
    return [Entry(entry_id, fields.get(PAYLOAD.encode(), b"")) for entry_id, fields in pairs if fields]


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _place(entry: bytes) -> tuple[int, int]:
    moment, _, number = entry.partition(b"-")
    return int(moment), int(number)
