"""Swallow mails as fast as Python can: the benchmarks' end of the line where ``smtp-sink`` is missing.

Keeps nothing but counts. Speaks just enough of RFC 5321 with PIPELINING (RFC 2920).
"""

import asyncio
import contextlib
import json
import signal
from dataclasses import asdict, dataclass

_EHLO = (
    b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-ENHANCEDSTATUSCODES\r\n250 SIZE 0\r\n"
)
_OK = b"250 2.0.0 Ok\r\n"
_GO = b"354 Go on\r\n"
_BYE = b"221 2.0.0 Bye\r\n"
_UNKNOWN = b"500 5.5.2 Unknown command\r\n"
_DOT = b"\r\n.\r\n"
_REPLIES = {
    b"MAIL": _OK, b"RCPT": _OK, b"DATA": _GO, b"EHLO": _EHLO, b"HELO": b"250 sink\r\n",
    b"RSET": _OK, b"NOOP": _OK, b"QUIT": _BYE,
}  # fmt: skip


@dataclass(slots=True, kw_only=True)
class Counts:
    """What came so far."""

    mails: int = 0
    recipients: int = 0
    bytes: int = 0
    connections: int = 0
    open: int = 0


class Sink(asyncio.Protocol):
    """One connection."""

    def __init__(self, counts: Counts, latency: float) -> None:
        self._counts, self._latency = counts, latency
        self._buffer = bytearray()
        self._searched = 0
        self._is_data = False
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        self._transport = transport  # type: ignore[assignment] # TCP gives a WriteTransport
        self._counts.connections += 1
        self._counts.open += 1
        self._reply(b"220 sink ESMTP\r\n")

    def connection_lost(self, _exc: Exception | None) -> None:
        """Count the end."""
        self._counts.open -= 1
        self._transport = None

    def data_received(self, data: bytes) -> None:
        """Answer every command of the chunk in one write, as a pipelining server may."""
        self._buffer += data
        replies: list[bytes] = []
        while self._swallow(replies) if self._is_data else self._obey(replies):
            pass
        if replies:
            self._reply(b"".join(replies))

    def _obey(self, replies: list[bytes]) -> bool:
        end = self._buffer.find(b"\r\n")
        if end < 0:
            return False
        verb = bytes(self._buffer[:4]).upper()
        del self._buffer[: end + 2]
        reply = _REPLIES.get(verb, _UNKNOWN)
        replies.append(reply)
        if reply is _GO:
            # The line break before the data may be the one before the dot: an empty mail.
            self._buffer[:0] = b"\r\n"
            self._is_data, self._searched = True, 0
        elif verb == b"RCPT":
            self._counts.recipients += 1
        return reply is not _BYE

    def _swallow(self, replies: list[bytes]) -> bool:
        end = self._buffer.find(_DOT, self._searched)
        if end < 0:
            self._searched = max(0, len(self._buffer) - len(_DOT) + 1)
            return False
        self._counts.mails += 1
        self._counts.bytes += end
        del self._buffer[: end + len(_DOT)]
        self._is_data = False
        replies.append(_OK)
        return True

    def _reply(self, reply: bytes) -> None:
        if self._latency:
            asyncio.get_running_loop().call_later(self._latency, self._write, reply)
        else:
            self._write(reply)

    def _write(self, reply: bytes) -> None:
        if self._transport is None:
            return
        self._transport.write(reply)
        if reply.endswith(_BYE):
            self._transport.close()


async def serve(
    *, host: str, port: int, count_port: int | None, latency: float = 0.0, counts: Counts | None = None
) -> None:
    """Listen until cancelled; whoever connects to ``count_port`` is told the counts over HTTP as JSON."""
    loop, counted = asyncio.get_running_loop(), counts or Counts()
    async with contextlib.AsyncExitStack() as servers:
        await servers.enter_async_context(
            await loop.create_server(lambda: Sink(counted, latency), host, port)
        )
        if count_port is not None:
            await servers.enter_async_context(
                await asyncio.start_server(lambda r, w: _tell(counted, r, w), host, count_port)
            )
        await asyncio.Event().wait()


async def _tell(counts: Counts, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        await reader.readuntil(b"\r\n\r\n")
        body = json.dumps(asdict(counts)).encode()
        head = f"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
    writer.close()


def run(*, host: str, port: int, count_port: int | None, latency: float) -> None:
    """Serve until SIGTERM or Ctrl-C."""

    async def main() -> None:
        task = asyncio.current_task()
        if task is not None:
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await serve(host=host, port=port, count_port=count_port, latency=latency)

    asyncio.run(main())
