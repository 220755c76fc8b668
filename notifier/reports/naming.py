"""Find what an id given by a person names: a message, a notification, an event, a dead letter.

Understands our ids, a producer's id together with its source, and the Message-ID of a mail.
"""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from notifier.errors import NotifierError
from notifier.store.database import Connection
from notifier.store.dead_letters import find_by_key
from notifier.store.events import find_event
from notifier.tokens import message_id_of


class Kind(StrEnum):
    """What an id can name."""

    MESSAGE = "message"
    NOTIFICATION = "notification"
    EVENT = "event"
    DEAD_LETTER = "dead_letter"


class NotFound(NotifierError):
    """Nothing has this id."""


@dataclass(frozen=True, slots=True)
class Named:
    """A row and its table."""

    kind: Kind
    id: UUID


_KINDS = """SELECT 'message' FROM message WHERE id = %(id)s
            UNION ALL SELECT 'notification' FROM notification WHERE id = %(id)s
            UNION ALL SELECT 'event' FROM event WHERE id = %(id)s
            UNION ALL SELECT 'dead_letter' FROM dead_letter WHERE id = %(id)s LIMIT 1"""


def find(connection: Connection, text: str, *, token_key: bytes, tenant: str, source: str | None) -> Named:
    """Return what ``text`` names; with a source it is a producer's id.

    Raises:
        NotFound: nothing, and how to name it.
    """
    if source is not None:
        return _of_producer(connection, tenant, source, text)
    ours = read_id(text, token_key)
    if ours is None:
        raise NotFound(f"{text!r} is none of our ids; if it is a producer's, say whose with --source")
    row = connection.execute(_KINDS, {"id": ours}).fetchone()
    if row is None:
        raise NotFound(f"nothing has the id {ours}; it may be past the log's retention")
    return Named(Kind(row[0]), ours)


def read_id(text: str, token_key: bytes) -> UUID | None:
    """Read one of our ids, or the Message-ID of one of our mails."""
    try:
        return UUID(text)
    except ValueError:
        return message_id_of(token_key, text)


def _of_producer(connection: Connection, tenant: str, source: str, external_id: str) -> Named:
    event = find_event(connection, (tenant, source, external_id))
    if event is not None:
        return Named(Kind.EVENT, event)
    letter = find_by_key(connection, tenant, source, external_id)
    if letter is not None:
        return Named(Kind.DEAD_LETTER, letter.id)
    raise NotFound(f"no event {external_id!r} of source {source!r} came in for tenant {tenant!r}")
