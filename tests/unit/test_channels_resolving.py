"""Looking a host up ends when its caller's time is over, whatever the system's resolver does."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from notifier.channels import resolving
from notifier.channels.resolving import look_up
from tests.contracts.resolver import HungResolver
from tests.processes import poll


@pytest.fixture
def hung(monkeypatch: pytest.MonkeyPatch) -> Iterator[HungResolver]:
    """A resolver whose servers are silent."""
    with HungResolver() as resolver:
        monkeypatch.setattr(socket, "getaddrinfo", resolver)
        yield resolver


def soon(seconds: float) -> float:
    """Return a deadline."""
    return time.monotonic() + seconds


def test_an_address_is_its_own_answer() -> None:
    """In the form of the socket module, the port with it."""
    found = look_up("127.0.0.1", 2525, soon(5))

    assert [(family, place) for family, _, _, _, place in found] == [(socket.AF_INET, ("127.0.0.1", 2525))]


@pytest.mark.parametrize("host", ["no-such-host.invalid", "x" * 64 + ".example", "a..example"])
def test_a_host_that_is_none_is_an_os_error(host: str) -> None:
    """Also one whose name DNS could not hold."""
    with pytest.raises(OSError, match=r".") as raised:
        look_up(host, 25, soon(20))

    assert not isinstance(raised.value, TimeoutError)


def test_a_silent_resolver_ends_at_the_deadline(hung: HungResolver) -> None:
    """Its own times, half a minute by default, do not matter."""
    started = time.monotonic()

    with pytest.raises(TimeoutError):
        look_up("silent.example", 25, soon(0.2))

    assert 0.2 <= time.monotonic() - started < 5
    assert hung.calls == 1


def test_many_who_wait_cost_one_thread(hung: HungResolver) -> None:
    """And whoever comes later gets the answer to the same question."""

    def wait(_: int) -> str:
        with pytest.raises(TimeoutError) as raised:
            look_up("busy.example", 25, soon(0.2))
        return type(raised.value).__name__

    with ThreadPoolExecutor(8) as pool:
        assert len(list(pool.map(wait, range(8)))) == 8
        assert hung.calls == 1
        later = pool.submit(look_up, "busy.example", 25, soon(30))
        hung.answer("192.0.2.7")

    assert later.result()[0][4] == ("192.0.2.7", 25)
    assert hung.calls <= 2


def test_a_lookup_that_died_is_not_waited_for_twice(
    hung: HungResolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a while whoever comes begins a new one, and the old one's end does not disturb it."""
    monkeypatch.setattr(resolving, "PATIENCE", 0.0)

    for tries in (1, 2):
        with pytest.raises(TimeoutError):
            look_up("dead.example", 25, soon(0.05))
        poll(lambda asked=tries: hung.calls == asked)
    hung.answer("192.0.2.9")

    assert look_up("dead.example", 25, soon(10))[0][4] == ("192.0.2.9", 25)
    assert hung.calls == 3
