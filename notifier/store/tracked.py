"""Keep which messages tell when they are opened and followed, and where their links lead, sealed.

The web process reaches these rows through two functions of the database, and no other way.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from notifier.store.bulk import BulkInsert
from notifier.store.database import Connection, Database

_KEPT = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackedMessage:
    """A message that is tracked, as it is made."""

    digest: bytes
    tenant: str
    person_id: UUID
    message_id: UUID
    targets: bytes
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class TrackedView:
    """What a hit needs to know; fields in the query's order."""

    message_id: UUID | None
    sent_at: datetime | None
    targets: bytes
    trapped_at: datetime | None
    opens: bool
    """The person allows it now that opening is told."""
    clicks: bool
    tenant: str


_SAVE = BulkInsert(
    "tracked",
    digest="bytea",
    tenant="text",
    person_id="uuid",
    message_id="uuid",
    targets="bytea",
    expires_at="timestamptz",
    # Written again, a message may have other links.
    then="ON CONFLICT (digest) DO UPDATE SET targets = excluded.targets",
)


def save_tracked(connection: Connection, messages: Iterable[TrackedMessage]) -> None:
    """Keep messages, before they leave."""
    rows = sorted(messages, key=lambda one: one.digest)
    _SAVE.run(connection, [[getattr(one, name) for name in TrackedMessage.__slots__] for one in rows])


def prune(connection: Connection) -> None:
    """Forget messages whose links are over."""
    connection.execute("DELETE FROM tracked WHERE expires_at < now() - %s", [_KEPT])


class TrackDesk:
    """What the web process may do with tracked messages."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def look(self, digest: bytes) -> TrackedView | None:
        """Return what is known of a message; changes nothing."""
        row = self._database.one("SELECT * FROM notifier_track_look(%s)", [digest])
        return TrackedView(*row) if row else None

    def trap(self, digest: bytes) -> None:
        """Note that the link no person can see was followed."""
        self._database.one("SELECT notifier_track_trap(%s)", [digest])
