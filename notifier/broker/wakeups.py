"""Wake a stage up, at most once until it has woken: a Celery message is only that.

A wake-up may be lost or doubled; every stage finds its own work, and the sweep wakes what was forgotten.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

import redis

from notifier.broker.connection import BrokerUnavailable, speaking

FLAG_SECONDS = 10
"""How long an unanswered wake-up silences further ones."""


@dataclass(frozen=True, slots=True)
class WakeUp:
    """Which stage has something to do, for which channel and lane."""

    stage: str
    lane: str
    channel: str = ""

    @property
    def queue(self) -> str:
        """The Celery queue: the stage, and the lane, if it has lanes, that keeps urgent work apart."""
        return f"{self.stage}.{self.lane}" if self.lane else self.stage

    @property
    def flag(self) -> str:
        """The key that says a wake-up is on its way."""
        return f"notifier:awake:{self.stage}:{self.channel}:{self.lane}"


class WakeUps:
    """Sends wake-ups and clears their flags."""

    def __init__(self, client: redis.Redis, publish: Callable[[WakeUp], None]) -> None:
        self._client, self._publish = client, publish

    def ring(self, wake_up: WakeUp) -> bool:
        """Send the wake-up unless one is on its way; never raises: the sweep is the safety net."""
        try:
            with speaking():
                if not self._client.set(wake_up.flag, b"1", nx=True, ex=FLAG_SECONDS):
                    return False
                self._publish(wake_up)
        except (BrokerUnavailable, redis.RedisError, OSError):
            self._forget(wake_up)
            return False
        return True

    def _forget(self, wake_up: WakeUp) -> None:
        """Take the flag of a wake-up back that was not sent, so that the next one is."""
        with contextlib.suppress(BrokerUnavailable, redis.RedisError), speaking():
            self._client.delete(wake_up.flag)

    def answer(self, wake_up: WakeUp) -> None:
        """Clear the flag; a stage calls it before its first read, so that nothing after is missed."""
        with speaking():
            self._client.delete(wake_up.flag)
