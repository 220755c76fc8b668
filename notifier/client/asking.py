"""Ask the server what became of an event, and wait for its answer on a list of our own.

Nothing is stored unless asked for. Whatever goes wrong on the way is a timeout, never a failed event.
"""

import json
import time
from typing import Final
from uuid import uuid4

import redis
from redis.exceptions import RedisError

from notifier.client import wire
from notifier.client.addresses import place
from notifier.client.receipts import Result
from notifier.client.redis_link import is_passing, unavailable
from notifier.client.writing import EventKey
from notifier.errors import ResultTimeout

# Shorter than any sensible socket timeout, so that a wait is never mistaken for a dead server.
_SLICE: Final = 1.0
_ASK_AGAIN: Final = 30.0


class RedisAsker:
    """Asks over the lists of a Redis or Valkey server."""

    def __init__(self, client: redis.Redis, url: str) -> None:
        self._redis, self._url = client, url

    def ask(self, event: EventKey, *, timeout: float, until: wire.Until) -> Result:
        """Wait for the result.

        Raises:
            ResultTimeout: none came in time.
            IntakeUnavailable: the server refuses us for good, a login for example.
        """
        deadline = time.monotonic() + timeout
        ask = _ask(event, until, timeout)
        asked_at = float("-inf")
        is_reached = False
        while (left := deadline - time.monotonic()) > 0:
            try:
                # A flushed or failed-over server forgets the question, so it is put again now and then.
                if time.monotonic() - asked_at >= _ASK_AGAIN:
                    self._redis.rpush(wire.ASKED_KEY, ask.dumps())
                    asked_at, is_reached = time.monotonic(), True
                popped = self._redis.blpop([ask.reply], timeout=max(0.01, min(left, _SLICE)))
            except RedisError as error:
                if not is_passing(error):
                    raise unavailable(error, self._url) from error
                asked_at = float("-inf")
                time.sleep(min(0.1, left))
                continue
            if popped is not None:
                return Result.from_json(json.loads(popped[1]))
        raise ResultTimeout(self._too_late(timeout, until, is_reached=is_reached))

    def _too_late(self, timeout: float, until: wire.Until, *, is_reached: bool) -> str:
        if not is_reached:
            reason, mend = f"{place(self._url)} could not be asked within {timeout:g} s", "is the server up?"
        else:
            reason, mend = f"not {until} within {timeout:g} s", "ask again, or see `notifier log`"
        return f"{reason}; the event may still be processed: {mend}"


def _ask(event: EventKey, until: wire.Until, timeout: float) -> wire.Ask:
    tenant, source, event_id = event
    return wire.Ask(
        tenant=tenant, source=source, id=event_id, until=until, reply=wire.result_key(uuid4().hex),
        expires_at=time.time() + timeout,
    )  # fmt: skip
