"""A stand-in for an HTTP API, for tests: real sockets, the documented request demanded, any mischief in answers.

A provider's server says what is wrong with a request (:meth:`HttpServer.check`), how a good one is answered
(:meth:`HttpServer.accept`) and what is kept of it (:meth:`HttpServer.read`). Then:

    with SomeServer() as server:
        server.on(Answer(429, '{"code": 20429}', {"Retry-After": "7"}))   # the next request only
        server.always(Silence())                                         # from now on
        ...
        server.received[0]
"""

import contextlib
import itertools
import json
import socket
import ssl
import struct
import threading
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

KeptT = TypeVar("KeptT")


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer with this status and body; a 2xx counts as received."""

    status: int
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Silence:
    """Take the request and say nothing until the server stops."""


@dataclass(frozen=True, slots=True)
class HangUp:
    """Take the request and close the connection."""


@dataclass(frozen=True, slots=True)
class Slam:
    """Drop the connection hard at the request's headers: its body is never taken."""


@dataclass(frozen=True, slots=True)
class Dribble:
    """Write these bytes of an answer as they stand, one by one, and close."""

    text: str
    every: float = 0.05


Act = Answer | Silence | HangUp | Slam | Dribble


def as_json(status: int, **words: Any) -> Answer:
    """Return an answer of JSON."""
    return Answer(status, json.dumps(words))


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What came in; names of headers in lower case."""

    path: str
    headers: dict[str, str]
    body: bytes
    method: str = "POST"


class HttpServer(Generic[KeptT]):
    """The server; starts with ``with`` and stops, silent connections and all, at its end."""

    def __init__(self, *, port: int = 0, certificate: Path | None = None) -> None:
        self.received: list[KeptT] = []
        """What was taken, also that whose answer was withheld."""
        self.questions: list[Request] = []
        """What was asked by GET or PUT."""
        self.requests = 0
        self.clients: set[tuple[str, int]] = set()
        """The connections the requests came over."""
        self.connections: list[socket.socket] = []
        self.stopping = threading.Event()
        self.silent = threading.Event()
        """Set once a client is being kept waiting by a :class:`Silence`."""
        self.numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._queued: deque[Act] = deque()
        self._always: Act | None = None
        self._httpd = _Server(("127.0.0.1", port), self)
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._httpd.socket = context.wrap_socket(
                self._httpd.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(target=self._httpd.serve_forever, args=(0.02,), name="http-server")
        scheme = "https" if certificate is not None else "http"
        host = "localhost" if certificate is not None else "127.0.0.1"
        self.url = f"{scheme}://{host}:{self._httpd.server_address[1]}"

    # What a provider is

    def check(self, request: Request) -> Answer | None:
        """Return the documented refusal of a request that is not as documented."""
        del request
        return None

    def accept(self, kept: KeptT) -> Answer:
        """Return the documented answer to a good request."""
        raise NotImplementedError

    def read(self, request: Request) -> KeptT:
        """Return what is kept of a request."""
        raise NotImplementedError

    def tell(self, request: Request) -> Answer:
        """Return the documented answer to a question: whatever is no POST."""
        del request
        return Answer(404, "")

    def is_yes(self, answer: Answer) -> bool:
        """Say whether whoever answers so has taken the message."""
        return 200 <= answer.status < 300

    def standing(self, kept: KeptT) -> Act | None:
        """Return what is to be done whenever such a request comes."""
        del kept
        return self._always

    # What a test wants

    def on(self, *acts: Act) -> None:
        """Do these with the next requests, one after the other."""
        with self._lock:
            self._queued.extend(acts)

    def always(self, act: Act) -> None:
        """Do this from now on."""
        with self._lock:
            self._always = act

    def asked(self, request: Request) -> Act:
        """Return what to do with a question."""
        with self._lock:
            self.questions.append(request)
            return self._queued.popleft() if self._queued else self._always or self.tell(request)

    def hang_up(self) -> None:
        """Close the connections that are kept alive."""
        with self._lock:
            open_, self.connections = self.connections, []
        for connection in open_:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def is_slamming(self) -> bool:
        """Say whether the next request's body is not to be read."""
        with self._lock:
            if self._queued and isinstance(self._queued[0], Slam):
                self._queued.popleft()
                return True
            return False

    def act(self, kept: KeptT) -> Act:
        """Return what to do with a request, and note it."""
        with self._lock:
            self.requests += 1
            good = self.accept(kept)
            act = self._queued.popleft() if self._queued else self.standing(kept) or good
            if not isinstance(act, Answer) or self.is_yes(act):
                self.received.append(kept)
            return act

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._httpd.shutdown()
        self._httpd.server_close()
        self._thread.join(10)


class _Server(ThreadingHTTPServer):
    # Kept-alive connections of clients that are still open must not hold up the end of a test.
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], owner: HttpServer[Any]) -> None:
        self.owner = owner
        super().__init__(address, _Handler, bind_and_activate=False)
        # Small, and inherited by connections: a large body cannot disappear in it.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        self.server_bind()
        self.server_activate()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of handshakes that fail: a test wants them to."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.server.owner.connections.append(self.connection)

    def do_POST(self) -> None:
        owner = self.server.owner
        owner.clients.add(self.client_address)
        if owner.is_slamming():
            self._slam()
            return
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(path=self.path, headers=headers, body=body)
        wrong = owner.check(request)
        if wrong is not None:
            owner.requests += 1
            self._answer(wrong)
        else:
            self._perform(owner.act(owner.read(request)))

    def do_GET(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length", "0")))
        request = Request(path=self.path, headers=headers, body=body, method=self.command)
        self._perform(self.server.owner.asked(request))

    def do_PUT(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Stay silent."""

    def _slam(self) -> None:
        # With no time to linger a close is a reset.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True

    def _perform(self, act: Act) -> None:
        if isinstance(act, Answer):
            self._answer(act)
            return
        if isinstance(act, Dribble):
            self._dribble(act)
        if isinstance(act, Silence):
            self.server.owner.silent.set()
            self.server.owner.stopping.wait(3600)
        self.close_connection = True

    def _dribble(self, act: Dribble) -> None:
        # The client is expected to hang up in the midst of it.
        with contextlib.suppress(OSError):
            for char in act.text:
                self.wfile.write(char.encode())
                if self.server.owner.stopping.wait(act.every):
                    return

    def _answer(self, answer: Answer) -> None:
        body = answer.body.encode()
        self.send_response(answer.status)
        for name, value in {"Content-Type": "application/json", **answer.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        # A client that has read enough of a long answer hangs up.
        with contextlib.suppress(OSError):
            self.wfile.write(body)
