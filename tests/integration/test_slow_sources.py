"""A source that hangs, drips or floods costs a chunk one time limit, and opens no place it was not given."""

import json
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from notifier.catalog import Lookup
from notifier.errors import PermanentFailure, TemporaryFailure
from notifier.events import Attachment, Event
from notifier.pipeline.composing import attachments
from notifier.pipeline.composing.attachments import fetch_files
from notifier.pipeline.composing.download import Download
from notifier.pipeline.composing.lookups import Lookups
from notifier.setting_tables import Limits, LookupSource
from tests.services import Flow


@pytest.fixture
def dripping() -> Iterator[tuple[str, list[int]]]:
    """A server that sends one byte each 50 ms, for ever: in its headers, or below /body in the body."""
    calls: list[int] = []
    stopping = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def answer(connection: socket.socket) -> None:
        with connection:
            asked = connection.recv(4096)
            calls.append(1)
            connection.sendall(b"HTTP/1.1 200 OK\r\n")
            if b"/flood" in asked:
                connection.sendall(b"\r\n")
                with_piece = b"x" * 65536
            elif b"/body" in asked:
                connection.sendall(b"\r\n")
                with_piece = b"x"
            else:
                with_piece = b"X-A: b\r\n"
            try:
                while not stopping.is_set():
                    connection.sendall(with_piece)
                    if len(with_piece) < 9:
                        stopping.wait(0.05)
            except OSError:
                return

    def serve() -> None:
        while not stopping.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}", calls
    stopping.set()
    listener.close()


def lookups(url: str) -> Lookups:
    """Look-ups over one HTTP source."""
    return Lookups({"shop": LookupSource(url=url)})  # type: ignore[arg-type]


@pytest.mark.parametrize("path", ["headers", "body", "flood"])
def test_a_look_up_ends_in_time_however_slowly_or_fast_the_answer_comes(
    dripping: tuple[str, list[int]], path: str
) -> None:
    """The limit is for all of it, not for each read; and nobody fills the memory."""
    lookup = Lookup(url=path, source="shop", timeout="400ms")  # type: ignore[arg-type]
    started = time.monotonic()

    with pytest.raises(TemporaryFailure, match="shop"):
        lookups(dripping[0]).fetch(lookup, {})

    assert time.monotonic() - started < 10  # without a limit it never ends


@pytest.mark.parametrize("path", ["headers", "body"])
def test_a_file_that_drips_is_given_up(
    dripping: tuple[str, list[int]], path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mail waits; the thread does not."""
    monkeypatch.setattr(attachments, "_SECONDS", 0.4)
    url = f"{dripping[0]}/{path}"
    started = time.monotonic()

    with pytest.raises(TemporaryFailure, match="fetched"):
        fetch_files([Attachment(name="a", url=url)], Limits(attachment_urls=(dripping[0],)))

    assert time.monotonic() - started < 10  # without a limit it never ends


def test_all_the_files_of_a_mail_have_one_time_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four slow ones must not hold the chunk until its claims are lost."""
    given: list[float] = []

    def slow(_url: str, *, seconds: float, **_: object) -> Download:
        given.append(seconds)
        time.sleep(0.12)
        return Download(status=200, content=b"x")

    monkeypatch.setattr(attachments, "_SECONDS", 0.3)
    monkeypatch.setattr(attachments, "download", slow)
    files = [Attachment(name=f"{n}", url="https://files.example/a") for n in range(9)]

    with pytest.raises(TemporaryFailure, match="take longer"):
        fetch_files(files, Limits(attachment_urls=("https://files.example/",)))

    assert given == sorted(given, reverse=True)
    assert len(given) < 9


@pytest.mark.parametrize(
    "url", ["http://[::1", "http://a\u0000b/", "http://127.0.0.1:99999999/", "ftp://shop/a"]
)
def test_a_reference_that_is_no_address_fails_for_good(url: str) -> None:
    """No second try makes it one."""
    with pytest.raises(PermanentFailure, match="address"):
        fetch_files([Attachment(name="a", url=url)], Limits(attachment_urls=(url[:4],)))


@pytest.mark.parametrize(
    ("prefix", "url"),
    [
        ("https://files.example", "https://files.example.net/a"),
        ("https://files.example", "https://files.example@127.0.0.1/a"),
        ("https://files.example", "https://files.example:8443/a"),
        ("https://files.example/shop/", "https://files.example/shop/../secret"),
        ("https://files.example/shop/", "https://files.example/shop/x/%2e%2E/../secret"),
        ("https://files.example/shop/", "https://files.example/shop/..\\secret"),
        ("https://files.example/shop/", "https://files.example/shop/..;a=b/secret"),
        ("https://files.example/shop/", "https://files.example/sho"),
    ],
)
def test_a_prefix_lets_nobody_out_of_its_host_and_folder(
    prefix: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A producer names the address: it must not make us fetch from elsewhere in our network."""
    asked: list[str] = []

    def fetched(url: str, **_: object) -> Download:
        asked.append(url)
        return Download(status=200, content=b"x")

    monkeypatch.setattr(attachments, "download", fetched)
    below = f"{prefix.rstrip('/')}/a..b.pdf?x=../y"

    fetch_files([Attachment(name="a", url=below)], Limits(attachment_urls=(prefix,)))
    with pytest.raises(PermanentFailure, match="attachment_urls"):
        fetch_files([Attachment(name="a", url=url)], Limits(attachment_urls=(prefix,)))

    assert asked == [below]


def test_a_source_that_hangs_is_asked_once_per_chunk(dripping: tuple[str, list[int]], flow: Flow) -> None:
    """Forty messages do not wait for forty timeouts."""
    lookup = Lookup(url="headers/{id}", source="shop", params={"id": "event.subject"}, timeout="200ms")  # type: ignore[arg-type]
    entry = flow.services.catalog["order.shipped"].model_copy(update={"lookup": {"order": lookup}})
    sample = flow.sample("order.shipped")
    events = [
        Event.from_json(json.loads(flow.payload({**sample, "subject": subject})))
        for subject in ("a", "a", "b", "c")
    ]
    chunk = lookups(dripping[0]).chunk()

    for event in events:
        with pytest.raises(TemporaryFailure, match="shop"):
            chunk.live(entry, event)

    assert len(dripping[1]) == 1


def test_a_question_nobody_can_answer_is_asked_once_and_the_others_are(database_url: str, flow: Flow) -> None:
    """A source that answers is not away: only this question failed."""
    lookup = Lookup(sql="SELECT CAST(:id AS int) AS n", source="shop", params={"id": "event.subject"})
    entry = flow.services.catalog["order.shipped"].model_copy(update={"lookup": {"order": lookup}})
    sample = flow.sample("order.shipped")
    bad, good = (Event.from_json(json.loads(flow.payload({**sample, "subject": one}))) for one in ("a", "1"))
    chunk = lookups(database_url).chunk()

    with pytest.raises(TemporaryFailure):
        chunk.live(entry, bad)

    assert chunk.live(entry, good) == {"order": {"n": 1}}


# Timers and the sweep
