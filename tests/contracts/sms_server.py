"""A stand-in for Twilio's Messages API, for tests: real HTTP, any mischief in its answers.

with SmsServer() as server:
    server.on(Answer(429, '{"code": 20429}', {"Retry-After": "7"}))   # the next request only
    server.for_number("+15005550001", error(400, 21211))              # whenever this number is meant
    ...
    server.received[0]["Body"]
"""

import base64
import contextlib
import json
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import parse_qsl

ACCOUNT = "AC00000000000000000000000000000001"
TOKEN = "0123456789abcdef0123456789abcdef"


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
class Dribble:
    """Write these bytes of an answer as they stand, one by one, and close."""

    text: str
    every: float = 0.05


Act = Answer | Silence | HangUp | Dribble


def error(status: int, code: int, message: str = "An error") -> Answer:
    """Return an answer as Twilio words its errors."""
    return Answer(status, json.dumps({"code": code, "message": message, "status": status}))


class SmsServer:
    """The server; starts with ``with`` and stops, silent connections and all, at its end."""

    def __init__(self, *, account: str = ACCOUNT, token: str = TOKEN, port: int = 0) -> None:
        self.received: list[dict[str, str]] = []
        """The form of each message that was taken, also of those whose answer was withheld."""
        self.requests = 0
        self.clients: set[tuple[str, int]] = set()
        """The connections the requests came over."""
        self.account, self.token = account, token
        self.stopping = threading.Event()
        self.silent = threading.Event()
        """Set once a client is being kept waiting by a :class:`Silence`."""
        self._lock = threading.Lock()
        self._queued: deque[Act] = deque()
        self._numbers: dict[str, Act] = {}
        self._httpd = _Server(("127.0.0.1", port), self)
        self._thread = threading.Thread(target=self._httpd.serve_forever, args=(0.02,), name="sms-server")
        self.url = f"http://127.0.0.1:{self._httpd.server_address[1]}"

    def on(self, *acts: Act) -> None:
        """Do these with the next requests, one after the other."""
        with self._lock:
            self._queued.extend(acts)

    def for_number(self, number: str, act: Act) -> None:
        """Do this whenever a message is for this number."""
        with self._lock:
            self._numbers[number] = act

    def act(self, form: dict[str, str]) -> Act:
        """Return what to do with a request, and note it."""
        with self._lock:
            self.requests += 1
            sid = f"SM{time.monotonic_ns():032x}"
            good = Answer(201, json.dumps({"sid": sid, "status": "queued", "error_code": None}))
            act = self._queued.popleft() if self._queued else self._numbers.get(form.get("To", ""), good)
            if not isinstance(act, Answer) or 200 <= act.status < 300:
                self.received.append(form)
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

    def __init__(self, address: tuple[str, int], owner: SmsServer) -> None:
        self.owner = owner
        super().__init__(address, _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        owner = self.server.owner
        owner.clients.add(self.client_address)
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        form = dict(parse_qsl(text, keep_blank_values=True))
        if self.path != f"/2010-04-01/Accounts/{owner.account}/Messages.json":
            self._answer(error(404, 20404))
        elif self.headers["Authorization"] != _basic(owner.account, owner.token):
            self._answer(error(401, 20003, "Authenticate"))
        else:
            self._perform(owner.act(form))

    def log_message(self, *_: object) -> None:
        """Stay silent."""

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


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
