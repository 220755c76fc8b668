"""Keep what was reported of messages that left, sealed, until a worker has read it; each report once.

Who hands in has no key that opens: the web process and the listener seal to a public key a worker published.
Says nothing about what a report means; that stands in ``notifier.pipeline.tracking.track``.
"""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import replace

import lz4.block

from notifier.client.sealing import EventKey, open_private, seal_private
from notifier.receipts import Receipt
from notifier.store.database import Connection, Database, DatabaseUnavailable

RAW_LIMIT = 65_536
"""Bytes kept of the mail or request a report was read from."""
_TEXT_LIMIT = 4000
_BATCH = 1000


class NotReady(DatabaseUnavailable):
    """No worker has published the key to seal reports to yet: start one, and have the other side try again."""


class ReportDesk:
    """What the web process and the listener may do with reports."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def check(self) -> None:
        """See whether something could be handed in now.

        Raises:
            NotReady: there is no key to seal to yet.
            DatabaseUnavailable: nobody answers.
        """
        row = self._database.one("SELECT notifier_sealing_key()")
        if row is None or row[0] is None:
            raise NotReady

    def hand_in(self, source: str, receipts: Sequence[Receipt], *, raw: bytes | None = None) -> int:
        """Store what was reported, and commit; the same again, within 30 days, changes nothing.

        Args:
            source: The provider's name in the settings, or ``mail``; receipts are told apart by it and their key.
            receipts: What was said.
            raw: The mail or request it was read from. Kept only where it held one report: what stands in it
                of others could not be forgotten with them.

        Returns:
            How many were new.

        Raises:
            NotReady: there is no key to seal to yet.
            DatabaseUnavailable: nothing was stored, the other side must try again.
        """
        if not receipts:
            return 0
        kept = raw if len(receipts) == 1 else None
        return self._database.retrying(lambda connection: _hand_in(connection, source, receipts, kept))


def hand_in_within(connection: Connection, source: str, receipts: Sequence[Receipt]) -> int:
    """Store what was found out within the caller's transaction; return how many were new.

    Raises:
        NotReady: there is no key to seal to yet.
    """
    return _hand_in(connection, source, receipts, None)


def _hand_in(connection: Connection, source: str, receipts: Sequence[Receipt], raw: bytes | None) -> int:
    row = connection.execute("SELECT notifier_sealing_key()").fetchone()
    if row is None or row[0] is None:
        raise NotReady
    public, new = str(row[0]), 0
    for start in range(0, len(receipts), _BATCH):
        part = receipts[start : start + _BATCH]
        columns = [
            [_name(one) for one in part],
            [_digest(source, one.key) for one in part],
            [_sealed(one, public, source) for one in part],
            [_sealed_raw(raw, public, _place(source, _name(one))) for one in part],
        ]
        found = connection.execute(
            "SELECT notifier_report_in(%s, %b::text[], %b::bytea[], %b::text[], %b::text[])",
            [source, *columns],
        ).fetchone()
        new += found[0] if found else 0
    return new


def open_report(sealed: str, private_key: bytes, source: str, name: str) -> Receipt:
    """Open a report.

    Raises:
        CannotUnseal: it is sealed to another key, or was changed.
        KeyError, TypeError, ValueError: it is no receipt this release knows.
    """
    return Receipt.from_json(open_private(sealed, private_key, _place(source, name)))


def open_raw(sealed: str, private_key: bytes, source: str, name: str) -> bytes:
    """Open what a report was read from; at most :data:`RAW_LIMIT` bytes.

    Raises:
        CannotUnseal: it is sealed to another key, or was changed.
    """
    packed = open_private(sealed, private_key, _place(source, name))["raw"]
    raw: bytes = lz4.block.decompress(base64.b64decode(str(packed)))
    return raw


def publish_sealing_key(connection: Connection, public_key: str) -> None:
    """Let reports be sealed to this key from now on; those sealed to an earlier one still open with theirs."""
    connection.execute(
        """INSERT INTO sealing_key (public)
           SELECT %s WHERE %s IS DISTINCT FROM (SELECT public FROM sealing_key ORDER BY id DESC LIMIT 1)
           ON CONFLICT DO NOTHING""",
        [public_key, public_key],
    )


def _sealed(receipt: Receipt, public: str, source: str) -> str:
    short = replace(receipt, text=receipt.text[:_TEXT_LIMIT])
    return seal_private(short.to_json(), public, _place(source, _name(receipt)))


def _sealed_raw(raw: bytes | None, public: str, place: EventKey) -> str | None:
    if raw is None:
        return None
    packed = base64.b64encode(lz4.block.compress(raw[:RAW_LIMIT])).decode()
    return seal_private({"raw": packed}, public, place)


def _name(receipt: Receipt) -> str:
    """Name a report by a digest of its key: what a provider puts into an id is not ours to show."""
    return hashlib.sha256(receipt.key.encode()).hexdigest()[:32]


def _digest(source: str, key: str) -> bytes:
    return hashlib.sha256(f"{source}\0{key}".encode()).digest()[:16]


def _place(source: str, name: str) -> EventKey:
    # Bound to the ciphertext, so that one report's content does not open in another's row.
    return ("", source, name)
