"""One TCP connection to an SMTP server: bytes out, replies in, TLS on top, a deadline for each.

Knows lines and replies, not what a mail is. Replaces smtplib, which has one timeout for all phases and
cannot pipeline.
"""

import contextlib
import functools
import re
import select
import socket
import ssl
import time

from notifier.channels.resolving import Place, look_up
from notifier.errors import Fault, OutcomeUnknown, Phase, Reply, SendError, TemporaryFailure

# RFC 5321 §4.5.3.1.5 allows 512 octets a line; real servers pass it, hostile ones never stop.
LINE_LIMIT = 4096
LINES_LIMIT = 128
TEXT_LIMIT = 2000
_RECEIVE = 65536
_TLS_RECORD = 16384

_LINE = re.compile(rb"([2-5]\d\d)(?:([ -])(.*))?", re.DOTALL)
_ENHANCED = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?:\s|$)")


class Cut(Exception):
    """The connection ended or went silent; of a write, at most ``written`` bytes left us."""

    def __init__(self, reason: str, written: int = 0) -> None:
        self.reason, self.written = reason, written
        super().__init__(reason)


class Connection:
    """A socket with a reply buffer."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._buffer = bytearray()
        self._timeout: float | None = None
        self.is_tls = isinstance(sock, ssl.SSLSocket)

    @property
    def has_leftover(self) -> bool:
        """Say whether bytes have come that nobody asked for yet."""
        return bool(self._buffer)

    @property
    def is_stale(self) -> bool:
        """Say whether the server has hung up, or spoken unasked, since its last reply.

        On an idle line nothing is expected: whatever has come is a good-bye, or out of step.
        """
        if self._buffer or (isinstance(self._socket, ssl.SSLSocket) and self._socket.pending()):
            return True
        # Unlike select(), poll() knows descriptors above 1023.
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(0))

    def write(self, data: bytes, deadline: float) -> None:
        """Hand all bytes to the kernel.

        Raises:
            Cut: with the most bytes that may have been handed over.
        """
        view, written = memoryview(data), 0
        try:
            while written < len(data):
                # SSL_write hands over one record of at most this size at a time.
                piece = view[written : written + _TLS_RECORD] if self.is_tls else view[written:]
                self._set_timeout(deadline)
                written += self._socket.send(piece)
        except OSError as error:
            # A failed send took nothing; of a failed TLS record nobody can say what the kernel holds.
            most = written + len(piece) if self.is_tls else written
            raise Cut(_why(error), most) from error

    def read_reply(self, phase: Phase, deadline: float) -> Reply:
        """Read one reply, of one line or many.

        Raises:
            Cut: nothing whole came in time.
            SendError: what came is not SMTP.
        """
        line = self._read_line(phase, deadline)
        if line[3:4] != b"-":
            return _single(phase, line)
        texts: list[str] = []
        while True:
            match = _LINE.fullmatch(line)
            if match is None or len(texts) >= LINES_LIMIT:
                raise not_smtp(phase)
            texts.append(_text(match))
            if match[2] != b"-":
                return _reply(phase, int(match[1]), texts)
            line = self._read_line(phase, deadline)

    def start_tls(self, context: ssl.SSLContext, host: str, deadline: float) -> None:
        """Put TLS over the connection.

        Raises:
            TemporaryFailure: the certificate or the handshake is not good enough.
        """
        try:
            self._set_timeout(deadline)
            self._socket = context.wrap_socket(self._socket, server_hostname=host)
        except ssl.SSLCertVerificationError as error:
            raise _tls_failure("certificate", "the server's certificate does not verify") from error
        except TimeoutError as error:
            raise network(Phase.TLS, "timeout") from error
        except (OSError, ValueError) as error:
            raise _tls_failure("tls-handshake", "the TLS handshake failed") from error
        self._timeout, self.is_tls = None, True

    def close(self) -> None:
        """Drop the connection."""
        with contextlib.suppress(OSError):
            self._socket.close()

    def _read_line(self, phase: Phase, deadline: float) -> bytes:
        start = 0
        while (end := self._buffer.find(b"\n", start)) < 0:
            start = len(self._buffer)
            if start > LINE_LIMIT:
                raise not_smtp(phase)
            self._buffer += self._receive(deadline)
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        if end > LINE_LIMIT:
            raise not_smtp(phase)
        return line.removesuffix(b"\r")

    def _receive(self, deadline: float) -> bytes:
        try:
            self._set_timeout(deadline)
            data = self._socket.recv(_RECEIVE)
        except OSError as error:
            raise Cut(_why(error)) from error
        if not data:
            raise Cut("disconnected")
        return data

    def _set_timeout(self, deadline: float) -> None:
        seconds = _left(deadline)
        # settimeout is a system call, and most phases find their whole reply at the first read.
        if self._timeout is None or not self._timeout * 0.99 < seconds <= self._timeout:
            self._socket.settimeout(seconds)
            self._timeout = seconds


def connect(host: str, port: int, deadline: float) -> Connection:
    """Open a connection, trying each of the host's addresses within the one deadline.

    Raises:
        TemporaryFailure: nobody answers.
    """
    reason, phase = "unreachable", Phase.CONNECT
    try:
        found = look_up(host, port, deadline)
    except TimeoutError as error:
        raise network(Phase.CONNECT, "host-lookup-timeout") from error
    except OSError as error:
        raise network(Phase.CONNECT, "host-not-found") from error
    for family, kind, protocol, _, address in found:
        try:
            return Connection(_dial(socket.socket(family, kind, protocol), address, deadline))
        except OSError as error:
            # Also a family this machine does not speak, and no descriptor being left: not the mail's fault.
            reason, phase = "timeout" if isinstance(error, TimeoutError) else "unreachable", Phase.CONNECT
            # Somebody answered, and dropped the line before it said a word, or before we could listen.
            if isinstance(error, ConnectionResetError):
                reason, phase = "disconnected", Phase.GREETING
    raise network(phase, reason)


def _dial(sock: socket.socket, address: Place, deadline: float) -> socket.socket:
    try:
        sock.settimeout(_left(deadline))
        sock.connect(address)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        sock.close()
        raise
    return sock


def network(phase: Phase, reason: str) -> TemporaryFailure:
    """Return the failure of a line that was cut before anything could have been accepted."""
    return TemporaryFailure(
        f"no answer at {phase.value}: {reason}", fault=Fault.NETWORK, reply=Reply(phase=phase), reason=reason
    )


def unknown(reason: str) -> OutcomeUnknown:
    """Return the outcome of a line that was cut between the final dot and its answer (RFC 1047)."""
    return OutcomeUnknown(
        f"no valid answer to the final dot: {reason}",
        fault=Fault.NETWORK,
        reply=Reply(phase=Phase.DOT),
        reason=reason,
    )


def not_smtp(phase: Phase) -> SendError:
    """Return the failure of a server that answers something else than SMTP allows."""
    if phase is Phase.DOT:
        return unknown("protocol")
    return TemporaryFailure(
        f"the server's answer at {phase.value} is not SMTP",
        fault=Fault.PROVIDER, reply=Reply(phase=phase), reason="protocol",
    )  # fmt: skip


def _tls_failure(reason: str, problem: str) -> TemporaryFailure:
    return TemporaryFailure(problem, fault=Fault.TLS, reply=Reply(phase=Phase.TLS), reason=reason)


def _left(deadline: float) -> float:
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise TimeoutError
    return seconds


def _why(error: OSError) -> str:
    return "timeout" if isinstance(error, TimeoutError) else "disconnected"


@functools.lru_cache(maxsize=256)
def _single(phase: Phase, line: bytes) -> Reply:
    """Read a reply of one line; a server says the same to mail after mail."""
    match = _LINE.fullmatch(line)
    if match is None:
        raise not_smtp(phase)
    return _reply(phase, int(match[1]), [_text(match)])


def _text(match: re.Match[bytes]) -> str:
    return (match[3] or b"").decode("utf-8", "replace").strip()


def _reply(phase: Phase, code: int, texts: list[str]) -> Reply:
    match = _ENHANCED.match(texts[-1]) or _ENHANCED.match(texts[0])
    return Reply(
        phase=phase, code=code, enhanced=match[1] if match else None, text="\n".join(texts)[:TEXT_LIMIT]
    )
