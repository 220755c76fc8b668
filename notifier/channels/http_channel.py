"""A provider that is reached over HTTP as a channel: settings and a dialect, nothing of its own.

Shared between threads; holds no connection.
"""

from collections.abc import Callable
from typing import Protocol

from notifier.channels.base import Prepared, Session, refuse_locally
from notifier.channels.http_deadline import trusted
from notifier.channels.http_dialect import Dialect
from notifier.channels.http_session import HttpSession
from notifier.channels.provider import ProviderSettings
from notifier.errors import Fault
from notifier.messages import ChannelName, Outgoing


class WritingDialect(Dialect, Protocol):
    """A dialect that also knows how a message is written."""

    def prepare(self, message: Outgoing) -> Prepared:
        """Check and write the message, locally.

        Raises:
            SendError: at phase ``local``.
        """
        ...


class HttpChannel:
    """Messages through one account of one provider.

    Args:
        relay: Its name.
        name: The channel of a plan.
        settings: The provider's.
        dialect: How it is spoken to.
        get_ready: Fetches what requests need, before each is announced; raises a SendError where it cannot.
    """

    def __init__(
        self,
        relay: str,
        name: ChannelName,
        settings: ProviderSettings,
        dialect: WritingDialect,
        get_ready: Callable[[], None] | None = None,
    ) -> None:
        self._relay, self._name, self._settings, self._dialect = relay, name, settings, dialect
        self._get_ready = get_ready
        self._context = trusted()

    @property
    def name(self) -> ChannelName:
        """Which channel of a plan this is."""
        return self._name

    @property
    def relay(self) -> str:
        """The provider's name."""
        return self._relay

    @property
    def connections(self) -> int:
        """How many connections one process may hold open."""
        return self._settings.connections

    @property
    def phase_seconds(self) -> float:
        """The deadline of a request, and a little."""
        return self._settings.patience.phase_seconds

    @property
    def is_encrypted(self) -> bool:
        """Say whether the provider is reached over TLS, or never leaves this machine."""
        return self._settings.is_encrypted

    def prepare(self, message: Outgoing) -> Prepared:
        """Check and write the message.

        Raises:
            SendError: at phase ``local``: it cannot be written, or TLS is required and not configured.
        """
        if self._name is ChannelName.EMAIL and message.is_tls_required and not self.is_encrypted:
            raise refuse_locally(
                "tls-required", Fault.TLS, f"{self.relay} has no TLS, which this mail requires"
            )
        return self._dialect.prepare(message)

    def open(self) -> Session:
        """Return a session; the connection itself is made by the first send.

        Raises:
            SendError: what requests need is not to be had, such as a key.
        """
        if self._get_ready is not None:
            self._get_ready()
        return HttpSession(
            self.relay, self._dialect, self._settings.patience, self._context, get_ready=self._get_ready
        )
