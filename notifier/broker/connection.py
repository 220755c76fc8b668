"""Connect to Redis or Valkey, with time limits on everything; say clearly when it is away."""

import contextlib
from collections.abc import Iterator

import redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from notifier.client.redis_link import open_redis
from notifier.errors import NotifierError

_LIMITS = {
    "socket_timeout": 15.0,
    "socket_connect_timeout": 5.0,
    "socket_keepalive": True,
    "health_check_interval": 25,
}


class BrokerUnavailable(NotifierError):
    """Redis cannot be reached right now: wait and try again."""


def connect(url: str, *, within: float | None = None) -> redis.Redis:
    """Return a client for a ``redis://``, ``rediss://`` or ``sentinel://`` URL; connects on first use.

    Args:
        url: Where it is.
        within: For probes: give up on each step after so many seconds, without a second try.
    """
    short = {} if within is None else {"socket_timeout": within, "socket_connect_timeout": within}
    limits = _LIMITS | short
    retry = Retry(ExponentialBackoff(cap=0.5, base=0.05), 2 if within is None else 0)
    if not url.startswith("sentinel://"):
        return redis.Redis.from_url(url, retry=retry, **limits)
    return open_redis(url, answer_timeout=_LIMITS["socket_timeout"])


@contextlib.contextmanager
def speaking() -> Iterator[None]:
    """Turn the library's connection errors into :class:`BrokerUnavailable`."""
    try:
        yield
    except (redis.ConnectionError, redis.TimeoutError) as error:
        raise BrokerUnavailable(f"Redis cannot be reached: {type(error).__name__}") from error
    except redis.ResponseError as error:
        # Starting up, or a replica after a fail-over: the same as away.
        if str(error).startswith(("LOADING", "READONLY", "MASTERDOWN", "NOREPLICAS")):
            raise BrokerUnavailable(f"Redis is not ready: {str(error).split()[0]}") from error
        raise
