"""Whether somebody listens on a port of this machine."""

import socket

from notifier.embedded.ports import LOOPBACK


def answers(port: int) -> bool:
    """Tell whether a connection to the port is taken."""
    try:
        socket.create_connection((LOOPBACK, port), timeout=1).close()
    except OSError:
        return False
    return True
