"""Connections for HTTP under one deadline, and answers under one size.

httpx and httpcore bound each read for itself, so that a server which dribbles bytes is never done. Knows
no provider; judges no answer.
"""

import ssl
import time
from collections.abc import Iterable
from functools import cache

import httpcore
import httpx

from notifier.channels.http_dialect import Answer
from notifier.channels.resolving import look_up

NOT_CONNECTED = (httpcore.ConnectError, httpcore.ConnectTimeout, httpcore.PoolTimeout)
"""Nothing was sent."""
NOT_WRITTEN = (httpcore.WriteError, httpcore.WriteTimeout)
"""A request that was not written whole has a body shorter than it says: no server acts on it."""
NOT_ANSWERED = (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError)
"""Anything may have become of it; catch the other two first."""

SocketOptions = Iterable[
    tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]
]


@cache
def trusted() -> ssl.SSLContext:
    """Return what verifies servers by the system's authorities; reading their bundle takes some 20 ms."""
    return ssl.create_default_context()


class DeadlineBackend(httpcore.NetworkBackend):
    """Opens connections all of whose waits end at ``deadline``, a moment of the monotonic clock."""

    def __init__(self) -> None:
        self.deadline = 0.0
        self.is_cut = False
        """A write failed, so that what was to be sent is incomplete: httpcore reads on, for an early answer."""
        self._backend = httpcore.SyncBackend()

    def left(self, timeout: float | None, over: type[httpcore.TimeoutException]) -> float:
        """Return how long one wait may be; raises ``over`` where it may not be at all."""
        seconds = self.deadline - time.monotonic()
        if seconds <= 0:
            raise over
        return seconds if timeout is None else min(seconds, timeout)

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: SocketOptions | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first of the host's addresses that answers, all of them within ``timeout``."""
        ends = time.monotonic() + self.left(timeout, httpcore.ConnectTimeout)
        failure: Exception = httpcore.ConnectError("unreachable")
        for address in _addresses(host, port, ends):
            # create_connection(), which httpcore uses, would grant the whole time to each address.
            seconds = self.left(max(ends - time.monotonic(), 0.001), httpcore.ConnectTimeout)
            try:
                stream = self._backend.connect_tcp(address, port, seconds, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                return _DeadlineStream(stream, self)
        raise failure


class _DeadlineStream(httpcore.NetworkStream):
    """A connection whose reads and writes end at the backend's deadline."""

    def __init__(self, stream: httpcore.NetworkStream, backend: DeadlineBackend) -> None:
        self._stream, self._backend = stream, backend

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._backend.left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        try:
            self._stream.write(buffer, self._backend.left(timeout, httpcore.WriteTimeout))
        except NOT_WRITTEN:
            self._backend.is_cut = True
            raise

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        seconds = self._backend.left(timeout, httpcore.ConnectTimeout)
        return _DeadlineStream(self._stream.start_tls(ssl_context, server_hostname, seconds), self._backend)

    def get_extra_info(self, info: str) -> object:
        return self._stream.get_extra_info(info)


def read_answer(response: httpcore.Response, limit: int) -> Answer:
    """Return the answer; without its body where that has more than ``limit`` bytes, the rest of it unread."""
    body = bytearray()
    read: bytes | None = None
    for chunk in response.iter_stream():
        body += chunk
        if len(body) > limit:
            break
    else:
        read = bytes(body)
    return Answer(status=response.status, body=read, headers=tuple(response.headers))


def target(url: str) -> httpcore.URL:
    """Return an address as it is asked for on the wire."""
    # httpx knows how a host with umlauts is written there.
    parsed = httpx.URL(url)
    return httpcore.URL(
        scheme=parsed.raw_scheme, host=parsed.raw_host, port=parsed.port, target=parsed.raw_path
    )


def _addresses(host: str, port: int, deadline: float) -> list[str]:
    try:
        return [str(address[0]) for *_, address in look_up(host, port, deadline)]
    except TimeoutError as error:
        raise httpcore.ConnectTimeout("host-lookup-timeout") from error
    except OSError as error:
        raise httpcore.ConnectError("host-not-found") from error
