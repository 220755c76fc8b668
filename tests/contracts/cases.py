"""What the contract suite needs to know of a kind of provider: how to set it up, and what its answers mean."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from notifier.channels.base import Channel
from notifier.channels.provider import Surroundings
from notifier.channels.registry import KINDS, build
from notifier.errors import Fault, SendError
from notifier.messages import Outgoing
from tests.contracts.http_server import Answer, HttpServer


@dataclass(frozen=True, slots=True)
class Refusal:
    """A documented answer that is no yes, and what it must be taken for."""

    answer: Answer
    kind: type[SendError]
    fault: Fault
    reason: str
    is_account: bool = False
    """Every message would meet it."""
    is_hard: bool = False
    """Nothing is to be sent there again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the provider understood of a message."""

    to: str
    text: str
    subject: str = ""
    html: str | None = None
    ours: UUID | None = None
    """Our message id, as callbacks will quote it."""
    headers: Mapping[str, str] = field(default_factory=dict)
    files: Sequence[tuple[str, str, bytes]] = ()
    """(name, media type, content)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One kind of provider."""

    server: type[HttpServer[Any]]
    settings: Mapping[str, Any]
    place: Callable[[str], Mapping[str, Any]] = lambda url: {"base_url": url}
    """The settings that lead to the server."""
    wrong_secret: Callable[[str], Mapping[str, Any]]
    """The server's URL → settings that it does not take for ours."""
    message: Callable[..., Outgoing]
    seen: Callable[[Any], Seen]
    gone: Answer
    """The recipient is refused for good; quotes the address."""
    slow: Answer
    """A rate limit, with Retry-After: 7."""
    refusals: Sequence[Refusal]
    is_recipient_blamed: bool = True
    """That answer says that the recipient is at fault."""
    is_any_2xx_a_yes: bool = False

    def channel(self, kind: str, url: str, around: Surroundings | None = None, **changes: Any) -> Channel:
        """Return a channel to a server, patient enough for a busy machine."""
        patience = {"connect_timeout": "5s", "read_timeout": "10s"}
        entry = {"kind": kind, **self.settings, **self.place(url), **patience, **changes}
        return build("test", KINDS[kind].settings.model_validate(entry), around or Surroundings())
