"""A scripted SMTP server for tests: real sockets, optional TLS and AUTH, any mischief at any step.

    with SmtpServer() as server:
        server.on(At.RCPT, Say("450 4.7.1 greylisted"))          # the next RCPT only
        server.always(At.DOT, Say("250 2.0.0 Ok: queued as X"))   # from now on
        server.for_recipient("bob@example.org", Say("550 5.1.1 unknown"))
        ...
        server.received[0].data

A step without a script is answered as a good server would.
"""

import base64
import contextlib
import socket
import ssl
import struct
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Literal, NoReturn, Self


class At(StrEnum):
    """Where in the dialogue something happens."""

    GREETING = "greeting"
    EHLO = "ehlo"
    STARTTLS = "starttls"
    HANDSHAKE = "handshake"
    AUTH = "auth"
    RSET = "rset"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    BODY = "body"
    """Within the body, after the first bytes of it."""
    DOT = "dot"
    """The final dot is in: the mail counts as received only if the answer is 2xx or missing."""


@dataclass(frozen=True, slots=True)
class Say:
    """Answer with this text; lines are written as given, so it may be garbage."""

    text: str
    after: float = 0
    """Seconds to wait first; the wait ends with the server."""
    then_close: bool = False


@dataclass(frozen=True, slots=True)
class Hang:
    """Say nothing and keep the connection open until the server stops."""


@dataclass(frozen=True, slots=True)
class Close:
    """Hang up without a word."""


@dataclass(frozen=True, slots=True)
class Reset:
    """Drop the connection hard, as a crashed server or a firewall does: a TCP reset instead of an end."""


@dataclass(frozen=True, slots=True)
class Dribble:
    """Write the text byte by byte, for ever slower than any patience."""

    text: str
    every: float = 0.05


Act = Say | Hang | Close | Reset | Dribble


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One mail the server has taken; ``data`` as sent, without the dots of the protocol."""

    sender: str
    recipient: str
    data: bytes
    connection: int
    """Which connection it came over, from 1."""
    is_tls: bool
    is_answered: bool
    """False where the server hung up behind the final dot: it has the mail, the client cannot know."""


@dataclass(slots=True)
class _Script:
    """What is to happen, shared by all connections."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    queued: dict[At, deque[Act]] = field(default_factory=lambda: defaultdict(deque))
    standing: dict[At, Act] = field(default_factory=dict)
    recipients: dict[str, deque[Act]] = field(default_factory=dict)

    def act(self, at: At, good: Act, recipient: str = "") -> Act:
        """Return the next act of this step."""
        with self.lock:
            if at is At.RCPT and self.recipients.get(recipient):
                acts = self.recipients[recipient]
                return acts.popleft() if len(acts) > 1 else acts[0]
            return self.queued[at].popleft() if self.queued[at] else self.standing.get(at, good)


class SmtpServer:
    """The server; starts with ``with`` and stops, hanging connections and all, at its end."""

    def __init__(
        self,
        *,
        tls: Literal["none", "starttls", "implicit"] = "none",
        certificate: Path | None = None,
        users: Mapping[str, str] | None = None,
        mechanisms: str = "PLAIN LOGIN",
        is_pipelining: bool = True,
        size: int | None = None,
        port: int = 0,
    ) -> None:
        self.received: list[Received] = []
        self.commands: list[tuple[int, str]] = []
        """Every command line with the number of its connection; passwords as they came."""
        self.connections = 0
        self.tls, self.users, self.size = tls, dict(users or {}), size
        self.mechanisms, self.is_pipelining = mechanisms, is_pipelining
        self.script = _Script()
        self.stopping = threading.Event()
        self.hanging = threading.Event()
        """Set once a client is being kept waiting by a :class:`Hang`."""
        self.lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", port), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self.context: ssl.SSLContext | None = None
        if tls != "none":
            if certificate is None:
                raise ValueError("a server with TLS needs a certificate: see tests/contracts/certificate.py")
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(certificate)

    def on(self, at: At, *acts: Act) -> None:
        """Do these at the next times this step is reached, one after the other."""
        with self.script.lock:
            self.script.queued[at].extend(acts)

    def always(self, at: At, act: Act | None) -> None:
        """Do this whenever nothing is queued for the step; None ends it."""
        with self.script.lock:
            self.script.standing.pop(at, None)
            if act is not None:
                self.script.standing[at] = act

    def for_recipient(self, address: str, *acts: Act) -> None:
        """Do these at RCPT of this address; the last of them for ever."""
        with self.script.lock:
            self.script.recipients[address] = deque(acts)

    def hang_up(self) -> None:
        """Close every open connection at once, as a restarted server does; go on listening."""
        with self.lock:
            for sock in self._open:
                with contextlib.suppress(OSError):
                    # Below TLS: SSLSocket.shutdown() would pull it from under the thread that reads.
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        # Linux wakes a blocked accept() on shutdown, not on close.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.hang_up()
        for thread in self._threads:
            thread.join(10)

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True, name="smtp-server")
        with self.lock:
            self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self.stopping.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            with self.lock:
                self.connections += 1
                number = self.connections
            self._start(self._serve, sock, number)

    def _serve(self, sock: socket.socket, number: int) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        dialogue = _Dialogue(self, sock, number)
        with self.tracked(sock), contextlib.suppress(OSError, _Over):
            dialogue.run()
        dialogue.close()

    @contextlib.contextmanager
    def tracked(self, sock: socket.socket) -> Iterator[None]:
        """Know an open connection, to be able to hang it up."""
        with self.lock:
            self._open.add(sock)
        try:
            yield
        finally:
            with self.lock:
                self._open.discard(sock)


class _Over(Exception):
    """This dialogue has ended."""


class _Dialogue:
    """One connection."""

    def __init__(self, server: SmtpServer, sock: socket.socket, number: int) -> None:
        self._server, self._socket, self._number = server, sock, number
        self._buffer = b""
        self._sender: str | None = None
        self._recipient: str | None = None
        self._is_tls = False
        self._known = contextlib.ExitStack()

    def run(self) -> None:
        if self._server.tls == "implicit":
            self._handshake()
        self._do(At.GREETING, Say("220 test.example ESMTP"))
        while True:
            line = self._line()
            self._server.commands.append((self._number, line))
            verb, _, rest = line.partition(" ")
            handler = getattr(self, f"_on_{verb.lower()}", None)
            if handler is None:
                self._write("500 5.5.2 Error: command not recognized")
            else:
                handler(rest)

    def close(self) -> None:
        self._known.close()
        with contextlib.suppress(OSError):
            self._socket.close()

    def _on_ehlo(self, _: str) -> None:
        server = self._server
        offers = ["test.example", "8BITMIME", "ENHANCEDSTATUSCODES"]
        offers += ["PIPELINING"] if server.is_pipelining else []
        offers += [f"SIZE {server.size}"] if server.size is not None else []
        offers += ["STARTTLS"] if server.tls == "starttls" and not self._is_tls else []
        offers += [f"AUTH {server.mechanisms}"] if server.users else []
        lines = [f"250-{offer}" for offer in offers[:-1]] + [f"250 {offers[-1]}"]
        self._do(At.EHLO, Say("\r\n".join(lines)))

    def _on_starttls(self, _: str) -> None:
        if self._do(At.STARTTLS, Say("220 2.0.0 Ready to start TLS")):
            self._handshake()

    def _handshake(self) -> None:
        act = self._server.script.act(At.HANDSHAKE, Say(""))
        if act != Say(""):
            self._perform(act)
            return
        if self._server.context is None:
            raise _Over
        self._socket = self._server.context.wrap_socket(self._socket, server_side=True)
        # Wrapping has emptied the socket that was known.
        self._known.enter_context(self._server.tracked(self._socket))
        self._is_tls = True

    def _on_auth(self, rest: str) -> None:
        mechanism, _, initial = rest.partition(" ")
        if mechanism == "PLAIN":
            _, user, password = _decoded(initial or self._prompt("")).split("\0")
        else:
            user, password = (
                _decoded(self._prompt(base64.b64encode(what).decode()))
                for what in (b"Username:", b"Password:")
            )
        is_right = self._server.users.get(user) == password
        said = "235 2.7.0 Authentication successful" if is_right else "535 5.7.8 Authentication failed"
        self._do(At.AUTH, Say(said))

    def _prompt(self, text: str) -> str:
        self._write(f"334 {text}")
        return self._line()

    def _on_mail(self, rest: str) -> None:
        if self._sender is not None:
            self._write("503 5.5.1 Error: nested MAIL command")
        elif self._do(At.MAIL, Say("250 2.1.0 Ok")):
            self._sender = rest.partition("<")[2].partition(">")[0]

    def _on_rcpt(self, rest: str) -> None:
        address = rest.partition("<")[2].partition(">")[0]
        if self._sender is None and At.RCPT not in self._server.script.standing:
            self._write("503 5.5.1 Error: need MAIL command")
        elif self._do(At.RCPT, Say("250 2.1.5 Ok"), address):
            self._recipient = address

    def _on_data(self, _: str) -> None:
        good = Say("354 End data with <CR><LF>.<CR><LF>")
        if self._recipient is None:
            good = Say("554 5.5.1 Error: no valid recipients")
        if not self._do(At.DATA, good):
            return
        data = self._body()
        sender, recipient = self._sender or "", self._recipient
        self._sender = self._recipient = None
        if recipient is None:
            self._write("554 5.5.1 Error: no valid recipients")
            return
        act = self._server.script.act(At.DOT, Say("250 2.0.0 Ok: queued as 4TeSt"))
        is_answered = isinstance(act, Say | Dribble)
        if not is_answered or act.text.startswith("2"):  # type: ignore[union-attr]
            self._server.received.append(
                Received(
                    sender=sender, recipient=recipient, data=data, connection=self._number,
                    is_tls=self._is_tls, is_answered=is_answered,
                )
            )  # fmt: skip
        self._perform(act)

    def _body(self) -> bytes:
        act = self._server.script.act(At.BODY, Say(""))
        if act != Say(""):
            self._more()
            self._perform(act)
        while (end := self._buffer.find(b"\r\n.\r\n")) < 0:
            if self._buffer.startswith(b".\r\n"):
                self._buffer = self._buffer[3:]
                return b""
            self._more()
        data, self._buffer = self._buffer[: end + 2], self._buffer[end + 5 :]
        return data.removeprefix(b".").replace(b"\r\n..", b"\r\n.")

    def _on_rset(self, _: str) -> None:
        self._sender = self._recipient = None
        self._do(At.RSET, Say("250 2.0.0 Ok"))

    def _on_noop(self, _: str) -> None:
        self._write("250 2.0.0 Ok")

    def _on_quit(self, _: str) -> None:
        self._write("221 2.0.0 Bye")
        raise _Over

    def _do(self, at: At, good: Say, recipient: str = "") -> bool:
        return self._perform(self._server.script.act(at, good, recipient))

    def _perform(self, act: Act) -> bool:
        """Do it; return whether the client was told yes."""
        if not isinstance(act, Say):
            self._end(act)
        self._wait(act.after)
        self._write(act.text)
        if act.then_close:
            raise _Over
        return act.text[:1] in {"2", "3"}

    def _end(self, act: Hang | Close | Reset | Dribble) -> NoReturn:
        if isinstance(act, Hang):
            self._server.hanging.set()
            self._wait(3600)
        if isinstance(act, Reset):
            # To linger for no time at all makes close() throw away what is unsent and reset.
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if isinstance(act, Dribble):
            for char in act.text:
                self._socket.sendall(char.encode())
                self._wait(act.every)
        raise _Over

    def _wait(self, seconds: float) -> None:
        if seconds and self._server.stopping.wait(seconds):
            raise _Over

    def _write(self, text: str) -> None:
        self._socket.sendall(text.encode("latin-1") + b"\r\n")

    def _line(self) -> str:
        while b"\n" not in self._buffer:
            self._more()
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.decode("latin-1").removesuffix("\r")

    def _more(self) -> None:
        data = self._socket.recv(1 << 20)
        if not data:
            raise _Over
        self._buffer += data


def _decoded(text: str) -> str:
    return base64.b64decode(text).decode()
