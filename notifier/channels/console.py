"""The console: each message is a line on a stream, for a person who watches a demo.

Not a log: the line shows the address. Never styles, never buffers.
"""

import re
import threading
from typing import TextIO

from notifier.channels.base import Prepared, Session
from notifier.channels.unconnected import UnconnectedSession
from notifier.errors import Fault, Phase, Reply, TemporaryFailure
from notifier.messages import Accepted, ChannelName, Outgoing

_PREVIEW = 120
# A terminal would obey these; message text must not steer it.
_STEERING = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


class ConsoleChannel:
    """Messages as lines on one stream."""

    name = ChannelName.CONSOLE
    relay = "console"
    connections = 1
    phase_seconds = 1.0
    is_encrypted = True
    """It stays within."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def prepare(self, message: Outgoing) -> Prepared:
        """Write the line: recipient, type, and how the message begins."""
        content = message.content
        text = _STEERING.sub(" ", f"{content.subject} {content.text}").strip()
        line = f"{_STEERING.sub(' ', message.to)}  {message.type}  {text[:_PREVIEW]}\n"
        return Prepared(outgoing=message, wire=line.encode("utf-8", "replace"), to=message.to)

    def open(self) -> Session:
        """Return a session on the stream."""
        return ConsoleSession(self._stream, self._lock)


class ConsoleSession(UnconnectedSession):
    """The right to write lines."""

    def __init__(self, stream: TextIO, lock: threading.Lock) -> None:
        super().__init__(ConsoleChannel.relay)
        self._stream, self._lock = stream, lock

    def send(self, message: Prepared) -> Accepted:
        """Write the line.

        Raises:
            TemporaryFailure: the stream is closed, or its reader is gone.
        """
        try:
            with self._lock:
                self._stream.write(message.wire.decode())
                self._stream.flush()
        except (OSError, ValueError) as error:
            self._is_usable = False
            raise TemporaryFailure(
                "the console cannot be written to",
                fault=Fault.PROVIDER, reply=Reply(phase=Phase.REQUEST), reason="stream-closed",
            ) from error  # fmt: skip
        return Accepted(reply=Reply(phase=Phase.REQUEST, text="written"), relay=self.relay)
