"""Carry events into the intake streams of Redis or Valkey: one stream per lane, never trimmed.

Never reads the streams and never drops an entry: at the limit the producer is told.
"""

import time
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Final, TypeAlias

from redis.connection import AbstractConnection
from redis.exceptions import RedisError, ResponseError

from notifier.client import wire
from notifier.client.addresses import place
from notifier.client.asking import RedisAsker
from notifier.client.patience import try_again
from notifier.client.redis_link import ANSWER_TIMEOUT, is_out_of_memory, is_passing, open_redis, unavailable
from notifier.client.transport import Handed
from notifier.client.writing import Written
from notifier.errors import IntakeFull, NotDurable
from notifier.events import LANES, Urgency

Command: TypeAlias = tuple[str | bytes | int, ...]
Batch: TypeAlias = tuple[Urgency, list[Written]]

# Limit check and adds are one atomic step: producers together never pass the limit. As much of the batch
# as fits is added, from its start. One call adds 500 events in under a millisecond of server time.
ADD_SCRIPT: Final = """\
local room = tonumber(ARGV[1]) - redis.call('XLEN', KEYS[1])
local added = 0
for i = 2, #ARGV do
  if added >= room then break end
  redis.call('XADD', KEYS[1], '*', 'e', ARGV[i])
  added = added + 1
end
return added"""

BATCH: Final = 500
_PUBLISHED_FRESH: Final = 60.0


class StreamTransport:
    """The intake streams behind a Redis URL."""

    def __init__(
        self, url: str, *, max_pending: int | None, durable_timeout: float, retry_for: float
    ) -> None:
        self._url, self._max_pending, self._retry_for = url, max_pending, retry_for
        self._durable_timeout = durable_timeout
        # WAITAOF holds its answer back for as long as we let it: the socket must wait longer.
        self._redis = open_redis(url, answer_timeout=max(ANSWER_TIMEOUT, durable_timeout + 2))
        self._lanes: Mapping[str, Urgency] = {}
        self._published_limit = wire.MAX_PENDING
        self._published_until = 0.0
        self._is_durability_checked = False
        self._asker = RedisAsker(self._redis, url)

    @property
    def asker(self) -> RedisAsker:
        """Who asks for results on the same server."""
        return self._asker

    def hand_over(self, events: Sequence[Written], *, is_durable: bool) -> Handed:
        """Add the events to their lanes' streams.

        Raises:
            IntakeUnavailable: the server stayed away, or refused.
            NotDurable: the server has no append-only file, or did not write in time.
        """
        try:
            return try_again(
                lambda: self._try(events, is_durable=is_durable), passing=is_passing, limit=self._retry_for
            )
        except RedisError as error:
            raise unavailable(error, self._url) from error

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()

    def _try(self, events: Sequence[Written], *, is_durable: bool) -> Handed:
        if is_durable and not self._is_durability_checked:
            self._check_durability()
        batches = self._batches(events)
        commands: list[Command] = [self._add(lane, batch) for lane, batch in batches]
        if is_durable:
            commands.append(("WAITAOF", 1, 0, int(self._durable_timeout * 1000)))
        replies = self._exchange(commands)
        handed = self._outcome(batches, replies[: len(batches)])
        if is_durable and handed.accepted:
            self._require_on_disk(replies[-1])
        return handed

    def _batches(self, events: Sequence[Written]) -> list[Batch]:
        lanes: dict[Urgency, list[Written]] = {}
        for event in events:
            lanes.setdefault(event.urgency or self._lane_of(event.type), []).append(event)
        return [
            (lane, waiting[start : start + BATCH])
            for lane in LANES
            if (waiting := lanes.get(lane))
            for start in range(0, len(waiting), BATCH)
        ]

    def _lane_of(self, event_type: str) -> Urgency:
        self._look()
        return self._lanes.get(event_type, Urgency.NORMAL)

    def _limit(self) -> int:
        if self._max_pending is not None:
            return self._max_pending
        self._look()
        return self._published_limit

    def _look(self) -> None:
        """Read what the server published, unless that was done within the minute."""
        if time.monotonic() < self._published_until:
            return
        published = {_text(name): _text(raw) for name, raw in self._redis.hgetall(wire.LANES_KEY).items()}
        limit = published.pop(wire.LIMIT_FIELD, "")
        self._published_limit = int(limit) if limit.isdecimal() and int(limit) else wire.MAX_PENDING
        self._lanes = {name: Urgency(lane) for name, lane in published.items() if lane in LANES}
        self._published_until = time.monotonic() + _PUBLISHED_FRESH

    def _add(self, lane: Urgency, batch: Sequence[Written]) -> Command:
        payloads = (event.payload for event in batch)
        return ("EVAL", ADD_SCRIPT, 1, wire.stream_key(lane), self._limit(), *payloads)

    def _exchange(self, commands: Sequence[Command]) -> list[object]:
        """Send the commands in one go and read their replies; refusals come back in the place of replies.

        One connection, because WAITAOF speaks of the writes of its own; and without the client's call
        layers, which cost twice the round trip.
        """
        pool = self._redis.connection_pool
        connection = pool.get_connection()
        try:
            packed = connection.pack_commands(commands)  # type: ignore[no-untyped-call]
            connection.send_packed_command(packed)  # type: ignore[no-untyped-call]
            replies = [_reply(connection) for _ in commands]
        except BaseException:  # unread replies would be taken for those of the next command
            connection.disconnect()  # type: ignore[no-untyped-call]
            raise
        finally:
            pool.release(connection)
        for reply in replies:
            if isinstance(reply, ResponseError) and is_passing(reply):
                raise reply
        return replies

    def _outcome(self, batches: Sequence[Batch], replies: Sequence[object]) -> Handed:
        accepted: list[tuple[Written, Urgency]] = []
        left: list[Written] = []
        full: IntakeFull | None = None
        for (lane, batch), reply in zip(batches, replies, strict=True):
            added = self._added(reply)
            accepted += ((event, lane) for event in islice(batch, added))
            left += batch[added:]
            if added < len(batch):
                full = full or self._full(lane, reply)
        return Handed(accepted=tuple(accepted), left=tuple(left), full=full)

    def _added(self, reply: object) -> int:
        if isinstance(reply, int):
            return reply
        if isinstance(reply, Exception) and is_out_of_memory(reply):
            return 0
        raise reply if isinstance(reply, Exception) else ResponseError(f"unexpected reply {reply!r}")

    def _full(self, lane: Urgency, reply: object) -> IntakeFull:
        if isinstance(reply, Exception):
            return IntakeFull(
                f"{place(self._url)} is at its maxmemory: wait until ingest has caught up, or raise it"
            )
        return IntakeFull(
            f"the {lane} lane holds {self._limit()} events or more, its limit: "
            "wait until ingest has caught up, then send the rest again with the same ids"
        )

    def _check_durability(self) -> None:
        # Asked before anything is sent; only an error counts, a number may be low within a millisecond.
        reply = self._exchange([("WAITAOF", 1, 0, 1)])[0]
        if isinstance(reply, Exception):
            self._require_on_disk(reply)
        self._is_durability_checked = True

    def _require_on_disk(self, reply: object) -> None:
        where = place(self._url)
        if isinstance(reply, ResponseError):
            if "appendonly" in str(reply):
                raise NotDurable(
                    f"{where} has no append-only file: set `appendonly yes` there, or leave durable off"
                )
            if "unknown command" in str(reply).lower():
                raise NotDurable(
                    f"{where} knows no WAITAOF: use Redis 7.2, Valkey 7.2 or newer, or leave durable off"
                )
            raise reply
        if not isinstance(reply, list) or int(reply[0]) < 1:
            raise NotDurable(
                f"{where} took the event but did not confirm it on disk within {self._durable_timeout:g} s: "
                "check its disk and appendfsync; sending it again with the same id is safe"
            )


def _reply(connection: AbstractConnection) -> object:
    try:
        return connection.read_response()
    except ResponseError as refusal:
        return refusal


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
