"""What an adapter says to a session: the request for a message, and what an answer means.

Values and one protocol; sends nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import httpx
import orjson

from notifier.channels.base import Prepared
from notifier.channels.meaning import AWAY, CREDENTIALS, RATE, Meaning
from notifier.errors import Fault

BY_STATUS: dict[int, Meaning] = {
    401: CREDENTIALS,
    403: Meaning(Fault.CREDENTIALS, "forbidden"),
    404: Meaning(Fault.CREDENTIALS, "account-not-found"),
    408: AWAY,
    413: Meaning(Fault.CONTENT, "too-long"),
    429: RATE,
}
"""What a status means where the provider's own words say nothing (RFC 9110 §15.5, RFC 6585 §4)."""


# A limit on an answer's bytes says nothing of what they unpack to.
_ALWAYS = (
    (b"Accept", b"application/json"),
    (b"Accept-Encoding", b"identity"),
    (b"User-Agent", b"notifier"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request: where to, with what."""

    url: str
    headers: Sequence[tuple[str, str]]
    """Without those of the connection, and with what the provider wants; its secrets are in here."""
    body: bytes

    def wire_headers(self) -> list[tuple[bytes, bytes]]:
        """Return all headers but those of the connection, as bytes; an answer comes as JSON, not compressed."""
        return [*_ALWAYS, *((name.encode("ascii"), value.encode("latin-1")) for name, value in self.headers)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the provider said; ``body`` is None where it was too long to be read."""

    status: int
    body: bytes | None
    headers: Sequence[tuple[bytes, bytes]] = ()

    @property
    def is_success(self) -> bool:
        """Say whether the status is 2xx."""
        return httpx.codes.is_success(self.status)

    def json(self) -> dict[str, Any]:
        """Return the object of the body, empty where there is none."""
        try:
            answer = orjson.loads(self.body or b"")
        except ValueError:
            return {}
        return answer if isinstance(answer, dict) else {}

    def header(self, name: str) -> str:
        """Return a header's value, empty where it is missing."""
        wanted = name.lower().encode()
        return next((value.decode("latin-1") for key, value in self.headers if key.lower() == wanted), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """The provider's own words for: I have it."""

    remote_id: str | None
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The provider's own words for: I do not take it."""

    meaning: Meaning
    code: str | None = None
    """Its own code for the reason; never anything that quotes the message."""
    text: str = ""
    """As it was said; may quote the address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartlyTaken:
    """Some of it went out and some did not: nobody can say what the recipient has."""

    remote_id: str | None = None
    text: str = ""


Verdict = Taken | Refused | PartlyTaken


class Dialect(Protocol):
    """How one provider is spoken to."""

    def request(self, message: Prepared) -> Request:
        """Return the request; called right before it is sent, so that it may carry the time."""
        ...

    def judge(self, answer: Answer) -> Verdict | None:
        """Return what the provider said, or None where it said nothing in its own words.

        Without a verdict a status of 2xx or 504 is an outcome nobody knows, and any other speaks for itself.
        """
        ...


def meaning_of(status: int) -> Meaning:
    """Return what a status says by itself."""
    # Redirects too: a provider that moved must be configured anew, and nothing is lost meanwhile.
    is_temporary = not httpx.codes.is_client_error(status)
    return BY_STATUS.get(status, Meaning(Fault.PROVIDER, "provider", is_temporary))
