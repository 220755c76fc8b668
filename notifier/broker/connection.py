"""Connect to Redis or Valkey, with time limits on everything; say clearly when it is away."""

import contextlib
from collections.abc import Iterator

import redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from notifier.client.redis_link import is_out_of_memory, is_passing, open_redis
from notifier.errors import ConfigError, NotifierError

_ANSWER = 15.0
_LIMITS = {
    "socket_timeout": _ANSWER,
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

    Raises:
        ConfigError: the URL cannot be read.
    """
    short = {} if within is None else {"socket_timeout": within, "socket_connect_timeout": within}
    limits = _LIMITS | short
    retry = Retry(ExponentialBackoff(cap=0.5, base=0.05), 2 if within is None else 0)
    if url.startswith("sentinel://"):
        return open_redis(url, answer_timeout=_ANSWER if within is None else within)
    try:
        return redis.Redis.from_url(url, retry=retry, **limits)
    except ValueError:
        # The library's text may quote a piece of the password.
        raise ConfigError(
            "cannot be read as an address", field="redis_url",
            mend="write redis://:password@host:6379/0, with special characters of the password as %XX",
        ) from None  # fmt: skip


@contextlib.contextmanager
def speaking() -> Iterator[None]:
    """Turn the library's connection errors into :class:`BrokerUnavailable`."""
    try:
        yield
    except (redis.ConnectionError, redis.TimeoutError) as error:
        raise BrokerUnavailable(f"Redis cannot be reached: {type(error).__name__}") from error
    except redis.ResponseError as error:
        # Starting up, out of memory or disk, or a replica after a fail-over: the same as away.
        if is_passing(error) or is_out_of_memory(error):
            # The library gives some codes a class of their own, and takes them out of the text.
            is_plain = type(error) is redis.ResponseError
            code = str(error).split()[0] if is_plain else type(error).__name__
            raise BrokerUnavailable(f"Redis is not ready: {code}") from error
        raise
