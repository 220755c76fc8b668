"""Mark a message as about to go out, and record that it did, together with the mark of the next.

One commit a mail: a worker that is killed leaves at most one message of which nobody knows.
"""

import functools
from datetime import timedelta
from typing import LiteralString
from uuid import UUID

import psycopg

from notifier.store.database import Connection, Cursor
from notifier.store.messages import AttemptRow
from notifier.store.partitions import Partitions
from notifier.store.work import Claim

_MARK: LiteralString = """UPDATE work SET is_sending = true, attempt = attempt + 1, lease_until = now() + %s
           WHERE message_id = %s AND token = %s AND NOT is_sending RETURNING message_id"""


def mark_sending(connection: Connection, claimed: Claim, lease: timedelta) -> bool:
    """Say, durably, that the message is about to go out; False where another worker has it now."""
    row = connection.execute(_MARK, [lease, claimed.message_id, claimed.token], prepare=True).fetchone()
    return row is not None


def is_sent_by_others(connection: Connection, relay: str, token: UUID) -> bool:
    """Say whether somebody with another token is sending over the relay: it takes mail, by their session."""
    row = connection.execute(
        """SELECT EXISTS (SELECT FROM work WHERE state = 1 AND is_sending AND relay = %s AND token <> %s
                            AND lease_until > now())""",
        [relay, token],
    ).fetchone()
    return row is not None and bool(row[0])


_RECORD = """
WITH done AS (DELETE FROM work WHERE message_id = %s RETURNING message_id),
     tried AS (INSERT INTO {attempt} (id, message_id, tenant, number, relay, started_at, finished_at, outcome, reason,
                                    phase, code, enhanced, sealed, remote_id)
               VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
               ON CONFLICT (id) DO NOTHING),
     sent AS (UPDATE {message} SET status = 'sent', attempts = %s, relay = %s, reason = NULL,
                     template_version = %s, settled_at = %s WHERE id = %s),
     told AS (UPDATE {notification} SET state = 'sent', state_reason = NULL, settled_at = %s
              WHERE id = %s AND state <> 'sent')
"""
_RECORD_ONLY = _RECORD + "SELECT message_id FROM done"
_RECORD_AND_MARK = _RECORD + ", marked AS (" + _MARK + ") SELECT message_id FROM marked"


def record_sent_and_mark(
    cursor: Cursor,
    attempt: AttemptRow,
    *,
    notification: UUID,
    template_version: str,
    following: Claim | None,
    lease: timedelta,
    partitions: Partitions,
) -> bool:
    """Record a mail taken over by its relay and mark the next one, in one statement and one commit.

    Recording it again changes nothing: after a broken connection nobody knows whether the commit arrived.

    Returns:
        Whether the following message may be sent; False where there is none.
    """
    values = [getattr(attempt, name) for name in AttemptRow.__slots__]
    parameters: list[object] = [
        attempt.message_id,
        *values,
        attempt.number,
        attempt.relay,
        template_version,
        attempt.finished_at,
        attempt.message_id,
        attempt.finished_at,
        notification,
    ]
    statement = _RECORD_ONLY if following is None else _RECORD_AND_MARK
    if following is not None:
        parameters += [lease, following.message_id, following.token]
    ids = {"attempt": attempt.id, "message": attempt.message_id, "notification": notification}
    try:
        named = _in_tables(statement, *(partitions.leaf(table, row) for table, row in ids.items()))
        row = cursor.execute(named, parameters, prepare=True).fetchone()
    except psycopg.errors.UndefinedTable:  # retention dropped a month: its rows are gone, the others are not
        partitions.forget()
        row = cursor.execute(_in_tables(statement, *ids), parameters).fetchone()
    return following is not None and row is not None


@functools.lru_cache(maxsize=64)
def _in_tables(statement: LiteralString, attempt: str, message: str, notification: str) -> LiteralString:
    """Name the partitions in a statement; they are ours, read from the database's own list."""
    return statement.format(attempt=attempt, message=message, notification=notification)
