"""Find a free loopback port that stays free while its server restarts.

Never picks from the kernel's ephemeral range: a client that keeps dialling a dead port of that range can be
given the very same port as its source, connect to itself, and so keep the server from coming back.
"""

import random
import socket
from pathlib import Path

LOOPBACK = "127.0.0.1"
_LOWEST = 10_240
_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
_TRIES = 200

_given: set[int] = set()


def free_port() -> int:
    """Return a port nobody listens on, and that this process was not given before.

    Raises:
        OSError: no port is free.
    """
    highest = _ephemeral_start()
    for _ in range(_TRIES):
        port = random.randrange(_LOWEST, highest)  # noqa: S311 - no secret, only spread
        if port not in _given and is_free(port):
            _given.add(port)
            return port
    raise OSError(f"no free port found between {_LOWEST} and {highest}")


def is_free(port: int) -> bool:
    """Tell whether a server could bind the port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def _ephemeral_start() -> int:
    try:
        start = int(_EPHEMERAL.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        start = 49_152  # RFC 6335 §6, and what macOS uses
    return start if start > _LOWEST + _TRIES else 32_768
