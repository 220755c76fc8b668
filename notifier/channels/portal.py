"""The portal: a message becomes an entry in the recipient's inbox, which the wiring provides.

Knows no database; putting the same message twice is the inbox's business to make harmless.
"""

from typing import Protocol
from uuid import UUID

from notifier.channels.base import Prepared, Session, refuse_locally
from notifier.channels.unconnected import UnconnectedSession
from notifier.errors import Fault, Phase, Reply, SendError, TemporaryFailure
from notifier.messages import Accepted, ChannelName, Outgoing, Rendered

CONNECTIONS = 4
"""How many entries one process puts at a time."""


class Inbox(Protocol):
    """Where portal messages lie until they are read."""

    def put(self, message_id: UUID, tenant: str, to: str, content: Rendered) -> None:
        """Store the entry and commit; the same ``message_id`` again changes nothing.

        Raises:
            SendError: it never can be stored, or not now. Any other error counts as "not now".
        """
        ...


class PortalChannel:
    """Messages as entries of an inbox."""

    name = ChannelName.PORTAL
    relay = "portal"
    is_encrypted = True
    """It stays within."""

    def __init__(self, inbox: Inbox, *, connections: int = CONNECTIONS, seconds: float = 20) -> None:
        self._inbox = inbox
        self.connections = connections
        self.phase_seconds = seconds

    def prepare(self, message: Outgoing) -> Prepared:
        """Check that there is somebody to tell and something to say.

        Raises:
            PermanentFailure: the recipient or the text is empty.
        """
        if not message.to.strip():
            raise refuse_locally("no-recipient", Fault.RECIPIENT, "To: is empty")
        if not message.content.text.strip():
            raise refuse_locally("empty", Fault.CONTENT, "the text is empty")
        return Prepared(outgoing=message, wire=message.content.text.encode("utf-8", "replace"), to=message.to)

    def open(self) -> Session:
        """Return a session on the inbox."""
        return PortalSession(self._inbox)


class PortalSession(UnconnectedSession):
    """The right to put entries."""

    def __init__(self, inbox: Inbox) -> None:
        super().__init__(PortalChannel.relay)
        self._inbox = inbox

    def send(self, message: Prepared) -> Accepted:
        """Put the entry.

        Raises:
            SendError: as the inbox said.
            TemporaryFailure: the inbox failed in a way of its own.
        """
        outgoing = message.outgoing
        try:
            self._inbox.put(outgoing.id, outgoing.tenant, message.to, outgoing.content)
        except SendError:
            raise
        except Exception as error:  # noqa: BLE001 - an inbox may be built on anything
            # put() is idempotent, so trying again is safe even where the entry was stored after all. The
            # cause is cut off: a database quotes the parameters of the statement that failed.
            self._is_usable = False
            raise TemporaryFailure(
                f"the inbox failed: {type(error).__name__}",
                fault=Fault.PROVIDER, reply=Reply(phase=Phase.REQUEST), reason="inbox",
            ) from None  # fmt: skip
        return Accepted(reply=Reply(phase=Phase.REQUEST, text="stored"), relay=self.relay)
