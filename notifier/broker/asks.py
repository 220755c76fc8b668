"""Take producers' requests for results, and answer them."""

import json
from dataclasses import replace
from math import isnan
from typing import Any

import redis

from notifier.broker.connection import speaking
from notifier.client.receipts import Result
from notifier.client.wire import ASKED_KEY, Ask, result_key

_PENDING = "notifier:asks:pending"

LONGEST_SECONDS = 3600.0
"""How long a request is kept at most: who listens for longer asks again, every half a minute."""


class Asks:
    """Requests that wait for an answer, kept in Redis: a lost one is asked again by the client."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def take(self, now: float, limit: int = 500) -> list[Ask]:
        """Move new requests among the pending ones; return all pending that somebody still listens to."""
        with speaking():
            asked: Any = self._client.lpop(ASKED_KEY, limit)
            for text in asked or []:
                ask = _read(text)
                if ask is not None:
                    ask = replace(ask, expires_at=min(ask.expires_at, now + LONGEST_SECONDS))
                    self._client.hset(_PENDING, ask.reply, ask.dumps())
            pending: Any = self._client.hgetall(_PENDING)
            asks = {key: _read(text) for key, text in pending.items()}
            open_asks = {
                key: ask
                for key, ask in asks.items()
                if ask is not None and now < ask.expires_at <= now + LONGEST_SECONDS
            }
            if over := asks.keys() - open_asks.keys():
                self._client.hdel(_PENDING, *over)
        return list(open_asks.values())

    def answer(self, ask: Ask, result: Result) -> None:
        """Send the result to who asked."""
        with speaking(), self._client.pipeline() as pipe:
            pipe.rpush(ask.reply, json.dumps(result.to_json()))
            pipe.expireat(ask.reply, int(ask.expires_at) + 1)
            pipe.hdel(_PENDING, ask.reply)
            pipe.execute()

    def drop(self, ask: Ask) -> None:
        """Let a request go that cannot be answered."""
        with speaking():
            self._client.hdel(_PENDING, ask.reply)

    def wait(self, seconds: int) -> bool:
        """Block until a new request comes, at most ``seconds``; return whether any request is open."""
        with speaking():
            moved = self._client.blmove(ASKED_KEY, ASKED_KEY, seconds, "LEFT", "LEFT")
            return moved is not None or bool(self._client.hlen(_PENDING))


def _read(text: bytes) -> Ask | None:
    """Read a request, or None: one that could never be answered must not stand before the others."""
    try:
        ask = Ask.loads(text)
        texts = (ask.tenant, ask.source, ask.id, ask.reply)
        # What the database and Redis cannot hold: NUL, and half of a surrogate pair.
        is_sound = not any(b"\0" in one.encode() for one in texts) and isinstance(ask.expires_at, int | float)
        ask = replace(ask, expires_at=float(ask.expires_at))
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return None
    return ask if is_sound and not isnan(ask.expires_at) and ask.reply.startswith(result_key("")) else None
