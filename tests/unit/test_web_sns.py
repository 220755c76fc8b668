"""What is fetched of SNS: once, from the places it may come from, over a real HTTP server of the test's own."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from notifier.clock import VirtualClock
from notifier.inbound.callbacks.base import NotBelieved, Unverifiable
from notifier.web.sns import Certificates, confirm, fetch
from tests.callbacks import CERTIFICATE_URL, NOW, SUBSCRIBE_URL, SnsSigner

SIGNER = SnsSigner()


class Pages(BaseHTTPRequestHandler):
    """Serves a certificate, and what is none."""

    asked: list[str]

    def do_GET(self) -> None:
        """Answer."""
        self.asked.append(self.path)
        codes = {"/moved": 302, "/none": 404, "/away": 500}
        self.send_response(codes.get(self.path, 200))
        if self.path == "/moved":
            self.send_header("Location", "/certificate")
        page = {"/certificate": SIGNER.pem, "/large": b"x" * 70_000}.get(self.path, b"")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def pages() -> Iterator[tuple[str, list[str]]]:
    """The server's URL, and what was asked of it."""
    asked: list[str] = []
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Own", (Pages,), {"asked": asked})) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()
        thread.join()


def test_a_burst_fetches_a_certificate_once(pages: tuple[str, list[str]]) -> None:
    """And until it ends it is not asked for again."""
    url, asked = pages
    clock = VirtualClock(NOW)
    certificates = Certificates(clock, lambda _: fetch(f"{url}/certificate"))

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(certificates, [CERTIFICATE_URL] * 50))
    clock.advance(timedelta(days=366))

    assert found == [SIGNER.certificate] * 50
    assert asked == ["/certificate"]
    with pytest.raises(NotBelieved):
        certificates(CERTIFICATE_URL)
    assert asked == ["/certificate"] * 2


@pytest.mark.parametrize("path", ["none", "empty"])
def test_a_name_that_leads_nowhere_is_asked_for_once(pages: tuple[str, list[str]], path: str) -> None:
    """However often it is claimed."""
    url, asked = pages
    certificates = Certificates(VirtualClock(NOW), lambda _: fetch(f"{url}/{path}"))

    for _ in range(3):
        with pytest.raises(NotBelieved):
            certificates(CERTIFICATE_URL)

    assert asked == [f"/{path}"]


@pytest.mark.parametrize("path", ["moved", "away", "large"])
def test_what_cannot_be_had_now_is_asked_for_again(pages: tuple[str, list[str]], path: str) -> None:
    """A redirect is not followed, a large page not read."""
    url, asked = pages
    certificates = Certificates(VirtualClock(NOW), lambda _: fetch(f"{url}/{path}"))

    for _ in range(2):
        with pytest.raises(Unverifiable):
            certificates(CERTIFICATE_URL)

    assert asked == [f"/{path}"] * 2


def test_a_server_that_is_gone_is_no_certificate() -> None:
    """Nor is what is no URL."""
    for url in ("http://127.0.0.1:1/x", "http://[", "x"):
        with pytest.raises(OSError, match=r"\w"):
            fetch(url)


def test_other_places_are_not_asked(pages: tuple[str, list[str]]) -> None:
    """Neither for a certificate nor to confirm."""
    url, asked = pages
    certificates = Certificates(VirtualClock(NOW))

    with pytest.raises(NotBelieved):
        certificates(f"{url}/SimpleNotificationService-1.pem")
    with pytest.raises(NotBelieved):
        confirm(f"{url}/?Action=ConfirmSubscription")
    assert asked == []


def test_a_confirmation_that_fails_comes_again(pages: tuple[str, list[str]]) -> None:
    """SNS repeats what was not answered with 200."""
    url, asked = pages

    confirm(SUBSCRIBE_URL, lambda _: fetch(f"{url}/certificate"))
    with pytest.raises(Unverifiable):
        confirm(SUBSCRIBE_URL, lambda _: fetch(f"{url}/away"))

    assert asked == ["/certificate", "/away"]
