"""Look up a host's addresses within a deadline.

The system's resolver knows no deadline: it holds its caller for as long as its own servers are silent. So
each lookup runs in a thread of its own, which may outlive those who wait for it. Keeps no answers.
"""

import socket
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

Place = tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]
"""Address and port, as the socket module has them."""
Address = tuple[socket.AddressFamily, socket.SocketKind, int, str, Place]

PATIENCE = 60.0
"""Seconds after which a silent lookup is taken for dead: who comes then begins a new one."""


@dataclass(slots=True)
class _Lookup:
    answer: Future[Sequence[Address]] = field(default_factory=Future)
    began: float = field(default_factory=time.monotonic)


_pending: dict[tuple[str, int], _Lookup] = {}
_lock = threading.Lock()


def look_up(host: str, port: int, deadline: float) -> Sequence[Address]:
    """Return the host's addresses, as ``socket.getaddrinfo`` does, by ``deadline`` of the monotonic clock.

    Whoever asks for the same host at the same time shares one lookup: a resolver that hangs costs one
    thread, however many want to know.

    Raises:
        TimeoutError: no answer came in time.
        OSError: there is no such host, or no way to find out.
    """
    answer = _begun(host, port).answer
    try:
        return answer.result(max(deadline - time.monotonic(), 0))
    except UnicodeError as error:
        raise OSError("the host's name cannot be written in DNS") from error


def _begun(host: str, port: int) -> _Lookup:
    with _lock:
        lookup = _pending.get((host, port))
        if lookup is None or time.monotonic() - lookup.began > PATIENCE:
            lookup = _Lookup()
            name = f"lookup-{port}"
            threading.Thread(target=_run, args=(host, port, lookup), name=name, daemon=True).start()
            _pending[host, port] = lookup
        return lookup


def _run(host: str, port: int, lookup: _Lookup) -> None:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except Exception as error:  # noqa: BLE001 - it is raised where it is waited for
        lookup.answer.set_exception(error)
    else:
        lookup.answer.set_result(found)
    with _lock:
        if _pending.get((host, port)) is lookup:
            del _pending[host, port]
