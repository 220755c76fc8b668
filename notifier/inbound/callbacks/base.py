"""What a callback is, what makes one believable, and what reading one yields.

Values and one protocol; knows no provider.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from cryptography.x509 import Certificate

from notifier.errors import NotifierError
from notifier.receipts import Receipt

SKEW = timedelta(minutes=5)
"""How far a provider's clock may be ahead of ours."""
REFERENCE = "notifier-message"
"""What our reference is called where providers take names for what travels along (``notifier.tokens``)."""


class Refusal(NotifierError):
    """A callback is not taken; ``reason`` is a fixed word, fit for logs and metrics."""

    status = 400

    def __init__(self, reason: str, *, field: str | None = None) -> None:
        self.reason, self.field = reason, field
        super().__init__(f"{field}: {reason}" if field else reason)


class NotBelieved(Refusal):
    """Nobody proved to be the provider: nothing is kept of it."""

    status = 403


class NoCredentials(Refusal):
    """The scheme is HTTP's own (RFC 9110 §11.6.1), and the name or the password is wrong or missing."""

    status = 401


class Malformed(Refusal):
    """The provider's, and not what its documentation says: ``field`` names what is wrong."""

    status = 422


class Unverifiable(Refusal):
    """What the signature is checked with cannot be had right now: the provider should try again."""

    status = 503


@dataclass(frozen=True, slots=True, kw_only=True)
class Callback:
    """One request, as it came in."""

    url: str
    """As the provider called it, not as a proxy passed it on."""
    headers: Mapping[str, str]
    """By name in lower case."""
    body: bytes
    at: datetime
    """When it came in."""

    def header(self, name: str) -> str:
        """Return a header, empty where there is none."""
        return self.headers.get(name, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a believed callback says."""

    receipts: tuple[Receipt, ...] = ()
    ignored: str = ""
    """The kind of event that says nothing about a message, or that we do not know."""
    confirm: str = ""
    """The URL whose reading confirms that we want these callbacks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """What makes a provider's callbacks believable: what its kind needs of it, the rest stays empty."""

    source: str
    """The provider's name in the settings."""
    window: timedelta = timedelta(days=1)
    """A signature older than this is refused, where the scheme has a time."""
    secret: str = field(default="", repr=False)
    """Mailgun's signing key, Twilio's token, Vonage's signature secret."""
    method: str = ""
    """Vonage's choice of hash; empty = any it offers."""
    account: str = ""
    """Twilio's account: others of the same token are none of ours."""
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    topics: frozenset[str] = frozenset()
    """The topics (ARNs) whose SNS messages are ours."""
    certificate: Callable[[str], Certificate] | None = field(default=None, repr=False)
    """Returns the certificate at an SNS URL whose place was checked.

    Raises:
        Unverifiable: it cannot be had right now.
        NotBelieved: it is none that could sign.
    """


class CallbackReader(Protocol):
    """Reads one provider's callbacks."""

    may_wait: bool
    """Whether :meth:`read` may have to fetch something first."""

    def read(self, callback: Callback) -> Reading:
        """Verify and normalise.

        Raises:
            Refusal: nothing else, whatever the request holds.
        """
        ...
