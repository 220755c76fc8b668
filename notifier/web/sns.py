"""Fetch what Amazon SNS wants fetched: certificates, kept while they are valid, and confirmations.

Only ever asks hosts whose names ``notifier.inbound.callbacks.sns`` let through, over TLS, in seconds.
"""

import threading
import time
from collections.abc import Callable

import httpx
from cachetools import TTLCache
from cryptography.x509 import Certificate

from notifier.clock import Clock
from notifier.inbound.callbacks.base import NotBelieved, Unverifiable
from notifier.inbound.callbacks.sns import check_certificate_url, check_subscribe_url, read_certificate
from notifier.logs import get_logger

log = get_logger("web")

Fetch = Callable[[str], bytes]
"""Returns what is at a URL.

Raises:
    FileNotFoundError: there is nothing, and will not be soon.
    OSError: it cannot be had right now.
"""

_PATIENCE = 5.0
"""Seconds for each wait; twice as many for the whole."""
_SIZE = 65_536
_CERTIFICATES = 64
_KEPT_SECONDS = 86_400.0
_REFUSED_SECONDS = 60.0
"""A name that led to no certificate is not asked for again so soon, however often it is claimed."""


def fetch(url: str) -> bytes:
    """Read a page of at most 64 kB, following no redirect, within seconds.

    Raises:
        FileNotFoundError: the server knows no such page.
        OSError: it cannot be had right now.
    """
    end = time.monotonic() + 2 * _PATIENCE
    try:
        with httpx.stream("GET", url, timeout=_PATIENCE, follow_redirects=False, trust_env=False) as answer:
            if httpx.codes.is_client_error(answer.status_code):
                raise FileNotFoundError(f"answered {answer.status_code}")
            if answer.status_code != httpx.codes.OK:
                raise OSError(f"answered {answer.status_code}")
            page = b""
            for part in answer.iter_bytes():
                page += part
                if len(page) > _SIZE or time.monotonic() > end:
                    raise OSError("too long")
            return page
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise OSError(type(error).__name__) from None


class Certificates:
    """The certificates SNS signs with, each fetched once."""

    def __init__(self, clock: Clock, fetch: Fetch = fetch) -> None:
        self._clock, self._fetch = clock, fetch
        self._guard, self._asking = threading.Lock(), threading.Lock()
        self._kept: TTLCache[str, Certificate] = TTLCache(_CERTIFICATES, ttl=_KEPT_SECONDS)
        self._refused: TTLCache[str, bool] = TTLCache(_CERTIFICATES, ttl=_REFUSED_SECONDS)

    def __call__(self, url: str) -> Certificate:
        """Return the certificate at a URL of SNS.

        Raises:
            NotBelieved: the URL leads elsewhere, or to no certificate that may sign now.
            Unverifiable: it cannot be had right now.
        """
        check_certificate_url(url)
        if (known := self._known(url)) is not None:
            return known
        # One at a time: a burst that needs a new certificate asks once, and those it has need not wait for it.
        with self._asking:
            return self._known(url) or self._fetched(url)

    def _known(self, url: str) -> Certificate | None:
        with self._guard:
            if url in self._refused:
                raise NotBelieved("certificate")
            known = self._kept.get(url)
        return known if known is not None and self._clock.now() <= known.not_valid_after_utc else None

    def _fetched(self, url: str) -> Certificate:
        try:
            certificate = read_certificate(self._fetch(url), self._clock.now())
        except (NotBelieved, FileNotFoundError):
            with self._guard:
                self._refused[url] = True
            raise NotBelieved("certificate") from None
        except OSError as error:
            log.warning("web.unanswered", part="sns", reason=str(error)[:60])
            raise Unverifiable("certificate") from None
        with self._guard:
            self._kept[url] = certificate
        return certificate


def confirm(url: str, fetch: Fetch = fetch) -> None:
    """Tell SNS that we want what a topic of ours has to say.

    Raises:
        NotBelieved: the URL leads elsewhere.
        Unverifiable: SNS does not answer; it will ask again.
    """
    check_subscribe_url(url)
    try:
        fetch(url)
    except OSError as error:
        log.warning("web.unanswered", part="sns", reason=str(error)[:60])
        raise Unverifiable("confirmation") from None
