"""Keep the processes that read mails: lend one per mail, end the one that hangs, start another in its place.

Knows frames and signals; nothing of mails.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from datetime import datetime
from pathlib import Path
from typing import Final

import notifier
from notifier.errors import NotifierError
from notifier.events import Json
from notifier.logs import get_logger
from notifier.mailin.child import HEAD, LARGEST_ANSWER, LENGTH, READY
from notifier.setting_tables import MailIn

log = get_logger("mail_in")

_START_SECONDS: Final = 30.0
_WAITING: Final = 3
"""So many times its processor's time a mail may take by the clock: other processes want to run too."""
_MAILS: Final = 1000
"""So many mails one process reads: what one mail left behind does not stay for ever."""
_FROM_OUTSIDE: Final = {signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP}


class Unreadable(NotifierError):
    """The mail cannot be read within the limits; the message says which."""


class ReadersAway(NotifierError):
    """No process can be started to read mails, for reasons of this machine: the mail must come again."""


class _Reader:
    """One process."""

    def __init__(self, process: Process) -> None:
        self._process, self.read = process, 0

    async def ask(self, mail: bytes, received_at: datetime) -> bytes:
        """Return its answer; EOFError or OSError where it ended."""
        self.read += 1
        stdin = self._process.stdin
        assert stdin is not None  # noqa: S101 - it was asked for
        stdin.write(HEAD.pack(len(mail), received_at.timestamp()) + mail)
        await stdin.drain()
        return await self.answer()

    async def answer(self) -> bytes:
        """Return the next frame."""
        stdout = self._process.stdout
        assert stdout is not None  # noqa: S101
        (length,) = LENGTH.unpack(await stdout.readexactly(LENGTH.size))
        if length > LARGEST_ANSWER:
            raise EOFError
        return await stdout.readexactly(length)

    async def end(self) -> int:
        """Kill it, unless it is dead; return the signal that ended it, 0 for none."""
        if self._process.returncode is None:
            # Not by Process.kill(), which looks whether it still runs, and so takes its end from under whoever waits.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGKILL)
        return -min(await self._process.wait(), 0)

    @property
    def is_alive(self) -> bool:
        """Whether it runs, as far as is known."""
        return self._process.returncode is None


class Readers:
    """A few processes that read mails.

    Args:
        settings: How many, and what each may use.
        target: ``module:function`` that reads a mail and returns JSON.
    """

    def __init__(self, settings: MailIn, target: str) -> None:
        seconds = settings.read_timeout.total_seconds()
        self._timeout = seconds * _WAITING
        self._arguments = (target, str(seconds), str(settings.read_memory))
        self._idle: asyncio.Queue[_Reader | None] = asyncio.Queue()
        for _ in range(settings.readers):
            self._idle.put_nowait(None)  # started when needed first

    async def read(self, mail: bytes, received_at: datetime) -> Json:
        """Return what the mail says.

        Raises:
            Unreadable: reading failed, hung, or ended the process.
            ReadersAway: it is not the mail's fault.
        """
        reader, kept = await self._idle.get(), None
        try:
            if reader is None or not reader.is_alive:
                reader = await self._started()
            answer = await self._asked(reader, mail, received_at)
            kept = reader if reader.read < _MAILS else None
        finally:
            # Also when whoever waits gave up: its answer would be taken for the next mail's.
            if reader is not None and kept is None:
                await asyncio.shield(reader.end())
            self._idle.put_nowait(kept)
        return _said(answer)

    async def close(self) -> None:
        """End all that are idle."""
        while not self._idle.empty():
            reader = self._idle.get_nowait()
            if reader is not None:
                await reader.end()

    async def _asked(self, reader: _Reader, mail: bytes, received_at: datetime) -> bytes:
        try:
            return await asyncio.wait_for(reader.ask(mail, received_at), self._timeout)
        except TimeoutError:
            raise Unreadable("too slow") from None
        except (EOFError, OSError):
            # Asked before it is killed: who waited for it has its own signal to tell.
            ended_by = await reader.end()
        if (
            ended_by in _FROM_OUTSIDE
        ):  # by the system, short of memory, or by an operator: the mail comes again
            raise ReadersAway(f"a process that read a mail was ended by signal {ended_by}")
        raise Unreadable("too much processor time" if ended_by == signal.SIGXCPU else "crashed")

    async def _started(self) -> _Reader:
        arguments = (sys.executable, "-P", "-m", "notifier.mailin.child", *self._arguments)
        try:
            process = await asyncio.create_subprocess_exec(
                *arguments,
                stdin=PIPE,
                stdout=PIPE,
                stderr=DEVNULL,
                env=_environment(),
                start_new_session=True,
            )
        except OSError as error:
            raise ReadersAway(f"no process can be started: {error.strerror}") from None
        reader = _Reader(process)
        try:
            if await asyncio.wait_for(reader.answer(), _START_SECONDS) == READY:
                return reader
        except (EOFError, OSError, TimeoutError):
            pass
        await reader.end()
        raise ReadersAway("a process to read mails does not start")


def _environment() -> dict[str, str]:
    """Return the variables of a reader: where Python finds us, and no secret of ours."""
    here = str(Path(notifier.__file__).parent.parent)
    return {"PYTHONPATH": os.pathsep.join([here, *filter(None, sys.path)]), "LC_ALL": "C.UTF-8"}


def _said(answer: bytes) -> Json:
    try:
        said = json.loads(answer)
        if "read" in said:
            found: Json = said["read"]
            return found
        raise Unreadable(f"error {str(said['error'])[:40]}")
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Unreadable("no answer that makes sense") from None
