"""Take producers' requests for results, and answer them."""

import json
from typing import Any

import redis

from notifier.broker.connection import speaking
from notifier.client.receipts import Result
from notifier.client.wire import ASKED_KEY, Ask, result_key

_PENDING = "notifier:asks:pending"


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
                    self._client.hset(_PENDING, ask.reply, text)
            pending: Any = self._client.hvals(_PENDING)
            asks = [ask for ask in map(_read, pending) if ask is not None]
            late = [ask.reply for ask in asks if ask.expires_at <= now]
            if late:
                self._client.hdel(_PENDING, *late)
        return [ask for ask in asks if ask.expires_at > now]

    def answer(self, ask: Ask, result: Result) -> None:
        """Send the result to who asked."""
        with speaking(), self._client.pipeline() as pipe:
            pipe.rpush(ask.reply, json.dumps(result.to_json()))
            pipe.expireat(ask.reply, int(ask.expires_at) + 1)
            pipe.hdel(_PENDING, ask.reply)
            pipe.execute()

    def wait(self, seconds: int) -> bool:
        """Block until a new request comes, at most ``seconds``; return whether any request is open."""
        with speaking():
            moved = self._client.blmove(ASKED_KEY, ASKED_KEY, seconds, "LEFT", "LEFT")
            return moved is not None or bool(self._client.hlen(_PENDING))


def _read(text: bytes) -> Ask | None:
    """Read a request, or None: one that could never be answered must not stand before the others."""
    try:
        ask = Ask.loads(text)
    except ValueError:
        return None
    texts = (ask.tenant, ask.source, ask.id, ask.reply)
    is_sound = all(isinstance(one, str) for one in texts) and isinstance(ask.expires_at, int | float)
    return ask if is_sound and ask.reply.startswith(result_key("")) else None
