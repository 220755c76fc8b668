"""Settle a message of which nobody knew whether it had arrived, because a person found out."""

from uuid import UUID

from notifier.clock import Clock
from notifier.errors import NoSuchMessage, NotifierError
from notifier.logs import get_logger
from notifier.messages import MessageStatus
from notifier.pipeline.tracking.lost_messages import LostMessages
from notifier.store import receipts
from notifier.store.database import Connection, Database

log = get_logger("resend")


class NotUnknown(NotifierError):
    """It is known what became of the message."""


class Unknowns:
    """Settles such messages by a person's word."""

    def __init__(self, database: Database, lost: LostMessages, clock: Clock) -> None:
        self._database, self._lost, self._clock = database, lost, clock

    def arrived(self, message: UUID, *, by: str) -> None:
        """Note that it arrived: it is not sent again.

        Raises:
            NotUnknown: nobody doubts what became of it.
            NoSuchMessage: there is none of this id.
        """
        self._database.retrying(
            lambda connection: self._settle(connection, message, MessageStatus.SENT, None)
        )
        log.info("unknown.settled", message_id=str(message), status=MessageStatus.SENT.value, by=by)

    def lost(self, message: UUID, *, by: str) -> set[tuple[str, str]]:
        """Note that it did not arrive; return the (channel, lane) pairs where the next channel has work.

        Raises:
            NotUnknown: nobody doubts what became of it.
            NoSuchMessage: there is none of this id.
        """
        reason = "it did not arrive, as a person found out"

        def write(connection: Connection) -> set[tuple[str, str]]:
            self._settle(connection, message, MessageStatus.FAILED, reason)
            return self._lost.follow(connection, {message: reason}, self._clock.now())

        flows = self._database.retrying(write)
        log.info("unknown.settled", message_id=str(message), status=MessageStatus.FAILED.value, by=by)
        return flows

    def _settle(
        self, connection: Connection, message: UUID, status: MessageStatus, reason: str | None
    ) -> None:
        found = receipts.lock_messages(connection, [message]).get(message)
        if found is None:
            raise NoSuchMessage(
                f"there is no message {message}; `notifier unknown list` lists those in doubt"
            )
        if not found.may_have_arrived:
            raise NotUnknown("nobody doubts what became of it; `notifier show` tells")
        if found.is_sending:
            raise NotUnknown("it is being sent right now; ask again in a minute")
        receipts.settle_messages(connection, [message], status.value, reason)
