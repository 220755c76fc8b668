"""Open Redis or Valkey by URL, directly or through sentinels, and say what its errors mean.

Sends no command of its own; what is tried again, and for how long, is the caller's.
"""

from typing import Final

import redis
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    ClusterDownError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry
from redis.sentinel import MasterNotFoundError, Sentinel

from notifier.client.addresses import place, read_sentinel
from notifier.errors import ConfigError, IntakeUnavailable

CONNECT_TIMEOUT: Final = 3.0
ANSWER_TIMEOUT: Final = 5.0

# Answers of a server that is starting, failing over, busy with a script, or out of disk: they pass.
_PASSING_CODES: Final = ("LOADING", "BUSY", "MISCONF", "NOREPLICAS", "MASTERDOWN", "UNBLOCKED")


def open_redis(url: str, *, answer_timeout: float = ANSWER_TIMEOUT) -> redis.Redis:
    """Return a client for ``redis://``, ``rediss://`` or ``sentinel://``; connects on first use.

    Raises:
        ConfigError: the URL cannot be read.
    """
    timeouts = {"socket_connect_timeout": CONNECT_TIMEOUT, "socket_timeout": answer_timeout}
    # Retrying is ours: it must be bounded in time and keep the pipeline whole.
    retry = Retry(NoBackoff(), 0)
    if url.startswith("sentinel://"):
        return _through_sentinels(url, timeouts, retry)
    try:
        client = redis.Redis.from_url(url, retry=retry, **timeouts)
    except ValueError as error:
        raise ConfigError(str(error), field="url", mend="write redis://:password@host:6379/0") from None
    _check_options(client)
    return client


def is_passing(error: Exception) -> bool:
    """Return whether the same command may succeed a moment later."""
    if isinstance(error, AuthenticationError | AuthorizationError):
        return False
    if isinstance(error, ResponseError):
        return isinstance(error, ReadOnlyError | ClusterDownError | TryAgainError) or str(error).startswith(
            _PASSING_CODES
        )
    return isinstance(error, RedisConnectionError | RedisTimeoutError)


def is_out_of_memory(error: Exception) -> bool:
    """Return whether the server refused a write at its ``maxmemory``."""
    return isinstance(error, OutOfMemoryError) or (isinstance(error, ResponseError) and "OOM " in str(error))


def unavailable(error: Exception, url: str) -> IntakeUnavailable:
    """Say what stands between us and the server at ``url``, and the mend."""
    where = place(url)
    if isinstance(error, AuthenticationError | AuthorizationError) or str(error).startswith(
        ("NOAUTH", "WRONGPASS")
    ):
        return IntakeUnavailable(f"{where} refused the login: check user and password in the URL")
    if isinstance(error, NoPermissionError):
        return IntakeUnavailable(
            f"{where} forbids the command to this user: grant ~notifier:* and "
            "+eval +xadd +xlen +hgetall +waitaof +rpush +blpop"
        )
    if isinstance(error, MasterNotFoundError):
        return IntakeUnavailable(
            f"{where}: no sentinel knows a primary: check the service's name and the sentinels"
        )
    if isinstance(error, RedisTimeoutError):
        return IntakeUnavailable(f"{where} does not answer: check host, port and firewall, then send again")
    if isinstance(error, RedisConnectionError) and not is_busy_loading(error):
        return IntakeUnavailable(
            f"{where} cannot be reached ({_cause(error)}): is the server up? Then send again"
        )
    return IntakeUnavailable(f"{where} refused the command: {str(error)[:200]}")


def is_busy_loading(error: Exception) -> bool:
    """Return whether the server is still reading its data from disk."""
    return isinstance(error, redis.exceptions.BusyLoadingError)


def _through_sentinels(url: str, timeouts: dict[str, float], retry: Retry) -> redis.Redis:
    address = read_sentinel(url)
    tls = {"ssl": True} if address.is_tls else {}
    sentinel = Sentinel(  # type: ignore[no-untyped-call]
        list(address.sentinels),
        sentinel_kwargs={
            "username": address.sentinel_username, "password": address.sentinel_password, "retry": retry,
            **timeouts, **tls,
        },
    )  # fmt: skip
    client: redis.Redis = sentinel.master_for(  # type: ignore[no-untyped-call]
        address.service, db=address.db, username=address.username, password=address.password, retry=retry,
        **timeouts, **tls,
    )  # fmt: skip
    return client


def _check_options(client: redis.Redis) -> None:
    """Refuse an unknown ``?option`` now rather than at the first command."""
    pool = client.connection_pool
    try:
        pool.connection_class(**pool.connection_kwargs)
    except TypeError as error:
        option = str(error).rpartition("argument ")[2]
        raise ConfigError(
            f"the Redis URL has an unknown option {option}", field="url", mend="remove it"
        ) from None


def _cause(error: Exception) -> str:
    cause = error.__cause__ or error.__context__
    return getattr(cause, "strerror", None) or type(cause or error).__name__
