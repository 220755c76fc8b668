"""What the pipeline may ask of a channel, whichever provider stands behind it.

Adapters classify failures; what follows from them is decided elsewhere.
"""

from dataclasses import dataclass
from typing import Protocol

from notifier.errors import Fault, PermanentFailure, Phase, Reply
from notifier.messages import Accepted, ChannelName, Outgoing


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A message checked and written in the provider's form; nothing has left this machine yet."""

    outgoing: Outgoing
    wire: bytes
    to: str
    """The address in the provider's form; for email the envelope's."""
    sender: str = ""


class Session(Protocol):
    """An open connection to a provider, used by one thread at a time."""

    relay: str

    @property
    def is_usable(self) -> bool:
        """Say whether another message may be sent; once False, close it and open a new session."""
        ...

    def refresh(self) -> None:
        """Make sure that the next send starts on a live connection; cheap where it is one.

        Raises:
            SendError: there is none to be had; the session is then no longer usable.
        """
        ...

    def send(self, message: Prepared) -> Accepted:
        """Hand one message over.

        Raises:
            TemporaryFailure: it was not taken, and may be later.
            PermanentFailure: it never will be.
            OutcomeUnknown: it may have been taken.
        """
        ...

    def close(self) -> None:
        """Say good-bye, if that is quick; never raises."""
        ...


class Channel(Protocol):
    """A way to reach people through one provider. Shared between threads; holds no connection itself."""

    @property
    def name(self) -> ChannelName:
        """Which channel of a notification's plan this is."""
        ...

    @property
    def relay(self) -> str:
        """The provider's name in flows, limits and the log."""
        ...

    @property
    def connections(self) -> int:
        """How many sessions one process may hold open."""
        ...

    @property
    def phase_seconds(self) -> float:
        """The longest one :meth:`Session.send` can take; a claim's lease must be longer."""
        ...

    @property
    def is_encrypted(self) -> bool:
        """Say whether nobody on the way to the provider can read along."""
        ...

    def prepare(self, message: Outgoing) -> Prepared:
        """Check and write the message, locally.

        Raises:
            PermanentFailure: at phase ``local``, the fault of content or recipient.
        """
        ...

    def open(self) -> Session:
        """Connect and log in.

        Raises:
            TemporaryFailure: the provider is away, or its TLS is not what we demand.
            PermanentFailure: it does not accept our credentials.
        """
        ...


def refuse_locally(reason: str, fault: Fault, why: str) -> PermanentFailure:
    """Return the failure of a message that no provider needs to see; ``why`` must not quote it."""
    return PermanentFailure(why, fault=fault, reply=Reply(phase=Phase.LOCAL), reason=reason)
