"""Read reports that wait, find the messages they are about, and keep what they say.

Decides nothing; the caller's transaction locks work before messages, and messages before notifications, in order of
their ids, as recording a try does.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from notifier.delivery.fate import Known, Verdict
from notifier.receipts import BounceClass, Receipt, ReceiptKind
from notifier.store.bulk import BulkInsert
from notifier.store.database import Connection

KEYS_FOR, UNMATCHED_AFTER, KEPT_FOR = timedelta(days=30), timedelta(days=1), timedelta(days=30)
"""How long a repeated report is known; how long its message is looked for; how long it is then kept."""
_LONGEST_WAIT_SECONDS = 3600
_REMOTE_FOR = timedelta(days=45)
"""How far back a message is looked for by the other side's name for it: beyond every queue's lifetime."""
_AT_ONCE, _ROUNDS = 20_000, 25


class Waiting(NamedTuple):
    """A report nobody has read yet; sealed. Fields in the query's order."""

    id: int
    source: str
    key: str
    sealed: str
    raw: str | None


class Reported(NamedTuple):
    """A message something was reported of, as it stands. Fields in the query's order."""

    id: UUID
    tenant: str
    notification_id: UUID
    event_id: UUID
    type: str
    subject: str
    channel: str
    lane: str
    person_id: UUID
    address_index: bytes
    position: int
    status: str
    relay: str | None
    fate: str | None
    category: str
    deadline: datetime
    plan: list[Any]
    data_key: bytes | None
    is_queued: bool
    is_sending: bool
    """A worker is at it right now."""
    may_have_arrived: bool
    """A try ended without an answer, or a person is to decide."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageReport:
    """What was reported of one message of ours."""

    receipt: Receipt
    message: Reported
    key: str
    """The same for the same report."""
    raw: bytes | None = None
    """What it was read from."""


@dataclass(frozen=True, slots=True)
class ReceiptRow:
    """A row of ``receipt``; fields in column order. ``sealed`` is what was said, under the person's key."""

    id: UUID
    message_id: UUID
    tenant: str
    kind: str
    at: datetime
    sealed: bytes | None
    source: str
    bounce: str | None
    reason: str | None
    status: str | None
    code: int | None


_RECEIPTS = BulkInsert(
    "receipt",
    id="uuid",
    message_id="uuid",
    tenant="text",
    kind="text",
    at="timestamptz",
    sealed="bytea",
    source="text",
    bounce="text",
    reason="text",
    status="text",
    code="smallint",
)


def take_reports(connection: Connection, limit: int) -> list[Waiting]:
    """Lock and return the reports that came first, leaving alone what others hold."""
    rows = connection.execute(
        """SELECT id, source, key, sealed, raw FROM report WHERE state = 0 AND due_at <= now()
           ORDER BY due_at, id LIMIT %s FOR UPDATE SKIP LOCKED""",
        [limit],
        prepare=True,
    ).fetchall()
    return [Waiting(*row) for row in rows]


def drop_reports(connection: Connection, ids: Sequence[int]) -> None:
    """Delete what was read; its key stays, so that it is not read again."""
    connection.execute("DELETE FROM report WHERE id = ANY (%s)", [list(ids)], prepare=True)


def postpone_reports(connection: Connection, ids: Sequence[int]) -> list[str]:
    """Keep reports whose message is not there yet, and ask again, later each time.

    Returns:
        The keys of those that have waited long enough: they name no message of ours.
    """
    rows = connection.execute(
        """UPDATE report SET tries = least(tries + 1, 100),
                  due_at = now() + make_interval(secs => least(%s, power(2, least(tries, 20)))),
                  state = CASE WHEN received_at < now() - %s THEN 1 ELSE 0 END
           WHERE id = ANY (%s) RETURNING key, state""",
        [_LONGEST_WAIT_SECONDS, UNMATCHED_AFTER, list(ids)],
    ).fetchall()
    return [key for key, state in rows if state == 1]


def fail_reports(connection: Connection, ids: Sequence[int]) -> None:
    """Put aside what cannot be processed, so that the others are."""
    connection.execute("UPDATE report SET state = 2 WHERE id = ANY (%s)", [list(ids)])


def by_remote_id(connection: Connection, names: Iterable[tuple[str, str]]) -> dict[tuple[str, str], UUID]:
    """Return the messages that relays know by names of their own: (relay, name) → message."""
    wanted = sorted(set(names))
    if not wanted:
        return {}
    relays, remotes = zip(*wanted, strict=True)
    rows = connection.execute(
        """SELECT DISTINCT ON (relay, remote_id) relay, remote_id, message_id FROM attempt
           JOIN unnest(%b::text[], %b::text[]) AS wanted (relay, remote_id) USING (relay, remote_id)
           WHERE attempt.id >= notifier_uuid7_floor(now() - %s) ORDER BY relay, remote_id, attempt.id DESC""",
        [list(relays), list(remotes), _REMOTE_FOR],
    ).fetchall()
    return {(row[0], row[1]): row[2] for row in rows}


def lock_messages(connection: Connection, messages: Iterable[UUID]) -> dict[UUID, Reported]:
    """Lock and return messages, with their place in the queue where they have one."""
    ids = sorted(set(messages))
    if not ids:
        return {}
    connection.execute(
        "SELECT 1 FROM work WHERE message_id = ANY (%s) ORDER BY message_id FOR UPDATE", [ids], prepare=True
    )
    connection.execute(
        "SELECT 1 FROM message WHERE id = ANY (%s) ORDER BY id FOR UPDATE", [ids], prepare=True
    )
    rows = connection.execute(
        """SELECT m.id, m.tenant, m.notification_id, m.event_id, m.type, m.subject, m.channel, m.lane, m.person_id,
                  m.address_index, m.position, m.status, m.relay, m.fate, n.category, n.deadline, n.plan, p.data_key,
                  w.message_id IS NOT NULL,
                  coalesce(w.state = 1 AND w.is_sending AND w.lease_until > now(), false),
                  coalesce(w.may_have_arrived OR w.state = 3 OR (w.state = 1 AND w.is_sending), m.status = 'unknown')
           FROM message m JOIN notification n ON n.id = m.notification_id
           LEFT JOIN person p ON p.id = m.person_id LEFT JOIN work w ON w.message_id = m.id
           WHERE m.id = ANY (%s)""",
        [ids],
        prepare=True,
    ).fetchall()
    return {row[0]: Reported(*row) for row in rows}


def insert_receipts(connection: Connection, rows: Iterable[ReceiptRow]) -> None:
    """Keep what was reported."""
    _RECEIPTS.run(connection, ([getattr(row, name) for name in ReceiptRow.__slots__] for row in rows))


def known_of(connection: Connection, messages: Iterable[UUID]) -> dict[UUID, list[Known]]:
    """Return everything that was ever reported of messages."""
    found: dict[UUID, list[Known]] = {}
    rows = connection.execute(
        "SELECT message_id, kind, at, bounce, reason FROM receipt WHERE message_id = ANY (%s)",
        [list(messages)],
        prepare=True,
    )
    for message, kind, at, bounce, reason in rows:
        known = Known(
            kind=ReceiptKind(kind), at=at, bounce=BounceClass(bounce) if bounce else None, reason=reason
        )
        found.setdefault(message, []).append(known)
    return found


def set_fates(connection: Connection, fates: Iterable[tuple[UUID, Verdict]]) -> None:
    """Write what became of messages."""
    rows = [(message, verdict.fate.value, verdict.at, verdict.words) for message, verdict in fates]
    if rows:
        connection.execute(
            """UPDATE message SET fate = one.fate, fate_at = one.at, fate_reason = one.reason
               FROM unnest(%b::uuid[], %b::text[], %b::timestamptz[], %b::text[]) AS one (id, fate, at, reason)
               WHERE message.id = one.id
                 AND (message.fate, message.fate_at, message.fate_reason)
                     IS DISTINCT FROM (one.fate, one.at, one.reason)""",
            [list(column) for column in zip(*rows, strict=True)],
            prepare=True,
        )


def settle_messages(
    connection: Connection, messages: Sequence[UUID], status: str, reason: str | None
) -> None:
    """End messages of which a report says that they were taken over, or never will be: they are not sent again."""
    ids = list(messages)
    if not ids:
        return
    connection.execute("DELETE FROM work WHERE message_id = ANY (%s)", [ids])
    connection.execute(
        """WITH settled AS (
             UPDATE message SET status = %s, reason = %s, settled_at = now()
             WHERE id = ANY (%s) AND status IN ('queued', 'deferred', 'unknown') RETURNING notification_id)
           UPDATE notification SET state = %s, state_reason = %s, settled_at = now()
           FROM settled WHERE notification.id = settled.notification_id
             AND notification.state IN ('pending', 'unknown')""",
        [status, reason, ids, status, reason],
    )


def lock_siblings(
    connection: Connection, notifications: Iterable[UUID]
) -> dict[UUID, list[tuple[UUID, int, str, str | None]]]:
    """Lock notifications; return their messages as (id, position, status, fate), the oldest first."""
    ids = sorted(set(notifications))
    connection.execute("SELECT 1 FROM notification WHERE id = ANY (%s) ORDER BY id FOR UPDATE", [ids])
    found: dict[UUID, list[tuple[UUID, int, str, str | None]]] = {one: [] for one in ids}
    rows = connection.execute(
        """SELECT notification_id, id, position, status, fate FROM message
           WHERE notification_id = ANY (%s) ORDER BY id""",
        [ids],
    )
    for notification, *message in rows:
        found[notification].append((message[0], message[1], message[2], message[3]))
    return found


def reopen_notification(connection: Connection, notification: UUID, reason: str) -> None:
    """Have a notification wait again: what told it came back, and another channel has its turn."""
    connection.execute(
        """UPDATE notification SET state = 'pending', state_reason = %s, settled_at = NULL
           WHERE id = %s AND state IN ('sent', 'unknown', 'failed')""",
        [reason, notification],
    )


def lose_notification(connection: Connection, notification: UUID, reason: str) -> None:
    """End a notification whose last message came back."""
    connection.execute(
        """UPDATE notification SET state = 'failed', state_reason = %s, settled_at = now()
           WHERE id = %s AND state IN ('sent', 'unknown', 'pending')""",
        [reason, notification],
    )


def let_go(connection: Connection) -> int:
    """Delete what need not be known any more, in small numbers; return how much."""
    gone = 0
    for _ in range(_ROUNDS):  # a key for each report: in a month there may be millions
        found = connection.execute(
            """DELETE FROM report_key WHERE digest IN (
                 SELECT digest FROM report_key WHERE seen_at < now() - %s LIMIT %s)""",
            [KEYS_FOR, _AT_ONCE],
        ).rowcount
        gone += found
        if found < _AT_ONCE:
            break
    gone += connection.execute(
        "DELETE FROM report WHERE id IN (SELECT id FROM report WHERE state > 0 AND received_at < now() - %s LIMIT %s)",
        [KEPT_FOR, _AT_ONCE],
    ).rowcount
    return gone
