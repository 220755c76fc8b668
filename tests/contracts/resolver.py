"""A resolver that is silent until it is told an answer; stands in for ``socket.getaddrinfo``."""

import socket
import threading
from typing import Any, Self


class HungResolver:
    """Holds everyone who asks until the end of its context, at the latest."""

    def __init__(self) -> None:
        self._calls: list[str] = []
        self._over = threading.Event()
        self._address: str | None = None

    @property
    def calls(self) -> int:
        """How often it was asked."""
        return len(self._calls)

    def __call__(self, host: str, port: int, **__: Any) -> list[tuple[Any, ...]]:
        """Answer as late as can be."""
        self._calls.append(host)
        self._over.wait()
        if self._address is None:
            raise socket.gaierror(socket.EAI_AGAIN, "temporary failure in name resolution")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (self._address, port))]

    def answer(self, address: str) -> None:
        """Give everyone, from now on, this address."""
        self._address = address
        self._over.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
