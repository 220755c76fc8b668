"""Keep mails that could not be read, sealed, for whoever mends what reads them; each once, for a month.

The listener hands them in through a function of the database, and can read none.
"""

import base64
import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from notifier.client.sealing import EventKey, open_private, seal_private
from notifier.store.database import Connection, Database
from notifier.store.reports import NotReady

CONTENT_LIMIT: Final = 262_144
"""Bytes kept of such a mail."""
KEPT_FOR: Final = timedelta(days=30)
_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadableMail:
    """One of them."""

    digest: str
    """Its name: SHA-256 of the mail, in hexadecimal digits."""
    message: UUID | None
    """The message whose return path it came to."""
    size: int
    reason: str
    first_at: datetime
    last_at: datetime
    seen: int


class UnreadableDesk:
    """What the listener may do with them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def hand_in(self, mail: bytes, *, message: UUID | None, reason: str) -> str:
        """Set a mail aside, and return its digest.

        Raises:
            NotReady: there is no key to seal to yet.
            DatabaseUnavailable: nothing was stored.
        """
        digest = hashlib.sha256(mail).digest()
        row = self._database.one("SELECT notifier_sealing_key()")
        if row is None or row[0] is None:
            raise NotReady
        content = {"mail": base64.b64encode(mail[:CONTENT_LIMIT]).decode()}
        sealed = seal_private(content, str(row[0]), _place(digest))
        self._database.one(
            "SELECT notifier_unreadable_in(%s, %s, %s, %s, %s)", [digest, message, len(mail), reason, sealed]
        )
        return digest.hex()


def list_unreadable(connection: Connection, *, limit: int) -> list[UnreadableMail]:
    """Return them, the last that came first."""
    rows = connection.execute(
        """SELECT encode(digest, 'hex'), message_id, size, reason, first_at, last_at, seen FROM unreadable_mail
           ORDER BY last_at DESC, digest LIMIT %s""",
        [limit],
    ).fetchall()
    return [
        UnreadableMail(
            digest=row[0], message=row[1], size=row[2], reason=row[3], first_at=row[4], last_at=row[5],
            seen=row[6],
        )
        for row in rows
    ]  # fmt: skip


def sealed_mail(connection: Connection, prefix: str) -> tuple[str, str] | None:
    """Return the whole digest and the sealed content of the one whose digest begins so; None for none or several."""
    rows = connection.execute(
        """SELECT encode(digest, 'hex'), content FROM unreadable_mail
           WHERE starts_with(encode(digest, 'hex'), %s) LIMIT 2""",
        [prefix.lower()],
    ).fetchall()
    return (rows[0][0], rows[0][1]) if len(rows) == 1 else None


def let_go(connection: Connection) -> int:
    """Delete the old ones; return how many."""
    return connection.execute(
        """DELETE FROM unreadable_mail WHERE digest IN (
             SELECT digest FROM unreadable_mail WHERE last_at < now() - %s LIMIT %s)""",
        [KEPT_FOR, _AT_ONCE],
    ).rowcount


def open_mail(sealed: str, private_key: bytes, digest: str) -> bytes:
    """Return the beginning of a mail that was set aside.

    Raises:
        CannotUnseal: it is sealed to another key, or was changed.
    """
    return base64.b64decode(str(open_private(sealed, private_key, _place(bytes.fromhex(digest)))["mail"]))


def _place(digest: bytes) -> EventKey:
    return ("", "unreadable", digest.hex())
