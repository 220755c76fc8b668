"""A loopback TCP proxy that breaks the network on demand, for fault tests.

Knows bytes only. Runs an event loop in a thread of its own.
"""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Coroutine
from enum import StrEnum
from typing import Any, Self, TypeVar

from notifier.embedded.ports import LOOPBACK, free_port

_RESET = struct.pack("ii", 1, 0)  # linger for zero seconds: close() sends RST (socket(7), SO_LINGER)
_CHUNK = 65_536

ResultT = TypeVar("ResultT")


class Mode(StrEnum):
    """What the network does."""

    PASS = "pass"  # noqa: S105 - a mode
    CUT = "cut"
    """Open connections are reset, new ones refused."""
    HALF_OPEN = "half_open"
    """Everything is accepted and swallowed; nobody is told."""
    SLOW = "slow"
    """Every chunk waits for the latency, then for its share of the bandwidth."""


class Proxy:
    """Stands before a TCP server on a port of its own; starts in mode ``pass``."""

    def __init__(self, port: int, *, host: str = LOOPBACK) -> None:
        self.target = (host, port)
        self.port = free_port()
        self._mode = Mode.PASS
        self._latency, self._bandwidth = 0.0, 0.0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    def start(self) -> Self:
        """Listen."""
        self._thread.start()
        self._do(self._listen())
        return self

    def stop(self) -> None:
        """Reset every connection and end the thread."""
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def set_mode(self, mode: Mode, *, latency: float = 0.0, bandwidth: float = 0.0) -> None:
        """Change what the network does, for open connections too.

        Args:
            mode: what from now on.
            latency: seconds each chunk waits, in mode ``slow``.
            bandwidth: bytes a second and direction, in mode ``slow``; 0 is unlimited.
        """
        self._do(self._change(mode, latency, bandwidth))

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _do(self, work: Coroutine[Any, Any, ResultT]) -> ResultT:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _change(self, mode: Mode, latency: float, bandwidth: float) -> None:
        # What was swallowed is lost: a stream must not go on behind the gap.
        if mode is Mode.CUT or (self._mode is Mode.HALF_OPEN and mode is not Mode.HALF_OPEN):
            await self._close()
        self._mode, self._latency, self._bandwidth = mode, latency, bandwidth
        if mode is not Mode.CUT and self._server is None:
            await self._listen()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, LOOPBACK, self.port)

    async def _close(self) -> None:
        if self._server:
            self._server.close()
            self._server = None
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._carry(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        with contextlib.suppress(asyncio.CancelledError):
            await task

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends = [writer]
        try:
            if self._mode is Mode.HALF_OPEN:
                await self._pump(reader, None)
            far_reader, far = await asyncio.open_connection(*self.target)
            ends.append(far)
            await asyncio.gather(self._pump(reader, far), self._pump(far_reader, writer))
        except (OSError, asyncio.CancelledError):  # an end is gone, the target refuses, or we were told to
            for end in ends:
                _reset(end)
        else:
            for end in ends:
                end.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter | None) -> None:
        while chunk := await reader.read(_CHUNK):
            if self._mode is Mode.SLOW:
                share = len(chunk) / self._bandwidth if self._bandwidth else 0.0
                await asyncio.sleep(self._latency + share)
            if writer is not None and self._mode is not Mode.HALF_OPEN:
                writer.write(chunk)
                await writer.drain()
        if writer is None or self._mode is Mode.HALF_OPEN:
            await asyncio.Event().wait()  # an end of file is swallowed like the rest
        elif writer.can_write_eof():
            writer.write_eof()


def _reset(writer: asyncio.StreamWriter) -> None:
    sock: socket.socket | None = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
