"""Look whether the hosts of an address are found within a time, before a driver looks for them without one.

Opens no connection; that a host does not exist, the driver says better.
"""

import time
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

from notifier.channels.resolving import look_up

_ANY_PORT = 1


def silent_hosts(url: str, seconds: float) -> list[str]:
    """Return the hosts of a database's or broker's URL for which no resolver answers in time."""
    deadline = time.monotonic() + seconds
    return [host for host in hosts_of(url) if _is_silent(host, deadline)]


def hosts_of(url: str) -> list[str]:
    """Return the hosts of a URL, one or several as PostgreSQL and sentinels have them; sockets are none."""
    try:
        parts = urlsplit(url)
    except ValueError:  # the driver says what is wrong with it
        return []
    places = parts.netloc.rpartition("@")[2].split(",")
    named = [host for value in parse_qs(parts.query).get("host", ()) for host in value.split(",")]
    return list(dict.fromkeys(_names([*places, *named])))


def _names(places: list[str]) -> Iterator[str]:
    for place in places:
        host = place[1:].partition("]")[0] if place.startswith("[") else place.partition(":")[0]
        if host and not host.startswith(("/", "%2F", "%2f")):
            yield host


def _is_silent(host: str, deadline: float) -> bool:
    try:
        look_up(host, _ANY_PORT, deadline)
    except TimeoutError:
        return True
    except OSError:
        return False
    return False
