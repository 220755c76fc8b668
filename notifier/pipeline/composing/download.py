"""Get something over HTTP within a time for all of it, and within a size.

Decides nothing about what is worth a second try: a caller knows whose address it was.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import httpx

from notifier.errors import NotifierError

_PORTS = 65_535


class TooLong(NotifierError):
    """The answer is longer than allowed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """What the server answered."""

    status: int
    content: bytes


def download(url: str, *, seconds: float, most: int, headers: Mapping[str, str] | None = None) -> Download:
    """Return the answer to a GET; redirects are not followed: they could lead out of the allowed places.

    Args:
        url: What to get.
        seconds: For all of it: a server that drips gets no more than one that is silent.
        most: Bytes of the answer; the content of an error is not read.
        headers: To send along.

    Raises:
        TooLong: the answer has more bytes.
        httpx.HTTPError: no answer in time, or none at all.
        httpx.InvalidURL: the URL is none.
    """
    if (httpx.URL(url).port or 0) > _PORTS:  # httpx would call it a failure to connect
        raise httpx.InvalidURL("the port is none")
    with _deadline(seconds) as watch:
        content = bytearray()
        with (
            httpx.Client(timeout=seconds, headers=dict(headers or {}), follow_redirects=False) as client,
            client.stream("GET", url, extensions={"trace": watch}) as answer,
        ):
            if answer.status_code == httpx.codes.OK:
                for piece in answer.iter_bytes():
                    content += piece
                    if len(content) > most:
                        raise TooLong(f"the answer is longer than {most} bytes")
            return Download(status=answer.status_code, content=bytes(content))


@contextlib.contextmanager
def _deadline(seconds: float) -> Iterator[Callable[[str, dict[str, object]], None]]:
    """Cut the connections that the tracing function sees once the time is over.

    httpx limits each read; only the socket's end limits them all, the headers' included.
    """
    sockets: list[socket.socket] = []
    end = time.monotonic() + seconds

    def trace(event: str, info: dict[str, object]) -> None:
        # Behind start_tls the bytes go through another object on the same connection.
        if event in {"connection.connect_tcp.complete", "connection.start_tls.complete"}:
            stream = info["return_value"]
            sockets.append(stream.get_extra_info("socket"))  # type: ignore[attr-defined]

    def cut() -> None:
        for one in sockets:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(one, socket.SHUT_RDWR)

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield trace
    except httpx.HTTPError as error:
        if time.monotonic() >= end and not isinstance(error, httpx.TimeoutException):
            raise httpx.ReadTimeout("the time for all of it is over") from error
        raise
    else:
        if time.monotonic() >= end:  # cut where the body has no length, it looks complete
            raise httpx.ReadTimeout("the time for all of it is over")
    finally:
        timer.cancel()
