"""A relay that accepts every mail and remembers it: the ledger's witness outside of notifier.

Several ports, one per sending process, so that a cut connection names who held it. A mail counts as accepted
when its final dot is in, whether or not the answer still reaches anybody: that is what a real server does.
"""

import asyncio
import re
import threading
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

from notifier.embedded.ports import LOOPBACK, free_port

_EHLO = b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n"
_OK, _GO, _BYE = b"250 2.0.0 Ok\r\n", b"354 Go on\r\n", b"221 2.0.0 Bye\r\n"
_DOT = b"\r\n.\r\n"
_REPLIES = {b"EHLO": _EHLO, b"DATA": _GO, b"QUIT": _BYE}
_MESSAGE_ID = re.compile(rb"^message-id:\s*<([0-9a-f]{32})\.", re.IGNORECASE | re.MULTILINE)
_RECIPIENT = re.compile(rb"<([^@>]+)@")


@dataclass(frozen=True, slots=True)
class Mail:
    """One accepted mail: whom it was for (before the @), its message's id, the port it came by."""

    event: str
    message: str
    port: str


class RecordingSink:
    """The relay; listens while the context lasts.

    Args:
        names: a port for each, of that name.
        delay: seconds between the final dot and its answer, so that a kill meets mails halfway.
    """

    def __init__(self, *names: str, delay: float = 0.02) -> None:
        self.ports = {name: free_port() for name in names}
        self.delay = delay
        self.mails: list[Mail] = []
        self.opened: Counter[str] = Counter()
        self.torn: Counter[str] = Counter()
        """Connections that ended without QUIT, by port."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="sink", daemon=True)
        self._servers: list[asyncio.Server] = []

    def open_now(self, name: str) -> int:
        """Return how many connections the port holds."""
        return int(self._do(self._count(name)))

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _count(self, name: str) -> int:
        return len(self._connections[name])

    async def _listen(self) -> None:
        self._connections: dict[str, set[_Dialogue]] = {name: set() for name in self.ports}
        for name, port in self.ports.items():
            server = await self._loop.create_server(partial(_Dialogue, self, name), LOOPBACK, port)
            self._servers.append(server)

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        for dialogue in [one for group in self._connections.values() for one in group]:
            dialogue.drop()
        await asyncio.sleep(0)


class _Dialogue(asyncio.Protocol):
    """One connection: just enough of RFC 5321 with PIPELINING."""

    def __init__(self, sink: RecordingSink, name: str) -> None:
        self._sink, self._name = sink, name
        self._buffer = bytearray()
        self._event = ""
        self._is_data = self._has_quit = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._sink.opened[self._name] += 1
        self._sink._connections[self._name].add(self)
        transport.write(b"220 sink ESMTP\r\n")

    def connection_lost(self, _exc: Exception | None) -> None:
        self._sink._connections[self._name].discard(self)
        if not self._has_quit:
            self._sink.torn[self._name] += 1

    def drop(self) -> None:
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while self._swallow() if self._is_data else self._obey():
            pass

    def _obey(self) -> bool:
        line, separator, rest = bytes(self._buffer).partition(b"\r\n")
        if not separator:
            return False
        self._buffer = bytearray(rest)
        verb = line[:4].upper()
        if verb == b"RCPT" and (match := _RECIPIENT.search(line)):
            self._event = match[1].decode()
        self._is_data = verb == b"DATA"
        self._has_quit = verb == b"QUIT"
        self._transport.write(_REPLIES.get(verb, _OK))
        if self._has_quit:
            self._transport.close()
        return not self._has_quit

    def _swallow(self) -> bool:
        end = self._buffer.find(_DOT)
        if end < 0:
            return False
        match = _MESSAGE_ID.search(self._buffer, 0, end)
        self._sink.mails.append(Mail(self._event, match[1].decode() if match else "", self._name))
        del self._buffer[: end + len(_DOT)]
        self._is_data = False
        self._sink._loop.call_later(self._sink.delay, self._answer)
        return True

    def _answer(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(_OK)
