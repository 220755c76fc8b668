"""Hand out messages to send, each to one worker at a time, and take them back.

A worker has a row until its lease ends; the sweep takes it back then. The database's clock decides, so
workers' clocks need not agree.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from typing import LiteralString
from uuid import UUID

from notifier.delivery.shares import shares as share_out
from notifier.store import tenants, turns
from notifier.store.database import Connection


class WorkState(IntEnum):
    """What a row of ``work`` is doing."""

    READY = 0
    TAKEN = 1
    PAUSED = 2
    """With its tenant: what is claimed by age must not have to step over it."""
    HELD = 3


@dataclass(frozen=True, slots=True)
class WorkRow:
    """A row of ``work`` as it is made; fields in column order."""

    message_id: UUID
    tenant: str
    channel: str
    lane: str
    relay: str
    due_at: datetime | None
    """None: at once, by the database's clock; a worker's may be wrong."""
    expires_at: datetime
    destination: str = "other"
    domain: bytes | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """A message this worker may send until the lease ends, as long as the token stands."""

    message_id: UUID
    token: UUID
    attempt: int
    expires_at: datetime
    may_have_arrived: bool = False
    """An earlier try ended without an answer."""
    destination: str = "other"
    domain: bytes | None = None

    def goes_with(self, other: "Claim") -> bool:
        """Say whether two messages go to one destination; of those in no group, to one domain."""
        return self.destination == other.destination and self.domain == other.domain


# A domain that limits us has a group of its own: few do, and without any the look costs nothing.
_INSERT: LiteralString = """INSERT INTO work (message_id, tenant, channel, lane, relay, due_at, expires_at, destination,
                                              domain, state)
    SELECT message_id, tenant, channel, lane, relay, coalesce(due_at, now()), expires_at,
           CASE WHEN domain IS NOT NULL AND (relay, 'd:' || encode(domain, 'hex')) IN
                     (SELECT throttle.relay, throttle.destination FROM throttle)
                THEN 'd:' || encode(domain, 'hex') ELSE destination END,
           domain,
           CASE WHEN new.tenant IN (SELECT id FROM tenant WHERE paused_at IS NOT NULL) THEN 2 ELSE 0 END
    FROM unnest(%b::uuid[], %b::text[], %b::text[], %b::text[], %b::text[], %b::timestamptz[], %b::timestamptz[],
                %b::text[], %b::bytea[])
         AS new (message_id, tenant, channel, lane, relay, due_at, expires_at, destination, domain)"""


def insert_work(connection: Connection, rows: Iterable[WorkRow]) -> None:
    """Queue messages; those of a tenant that is paused wait with it."""
    values = [[getattr(row, name) for name in WorkRow.__slots__] for row in rows]
    if values:
        connection.execute(_INSERT, [list(column) for column in zip(*values, strict=True)], prepare=True)


_READY_OR_PAUSED: LiteralString = """CASE WHEN EXISTS (
    SELECT 1 FROM tenant WHERE id = work.tenant AND paused_at IS NOT NULL) THEN 2 ELSE 0 END"""

_TAKE: LiteralString = """UPDATE work SET state = 1, token = %s, is_sending = false, lease_until = now() + %s
           WHERE message_id = ANY (ARRAY({wanted}))
           RETURNING message_id, attempt, expires_at, may_have_arrived, destination, domain"""
_DUE = _TAKE.replace(
    "{wanted}",
    """SELECT picked.message_id FROM unnest(%b::text[], %b::text[], %b::int[]) AS share (destination, tenant, count),
         LATERAL (SELECT work.message_id FROM work
                  WHERE relay = %s AND channel = %s AND lane = %s AND work.destination = share.destination
                    AND work.tenant = share.tenant AND due_at <= now() AND state = 0
                  ORDER BY due_at LIMIT share.count FOR UPDATE SKIP LOCKED) AS picked""",
)
_EXPIRED = _TAKE.replace(
    "{wanted}",
    """SELECT message_id FROM work WHERE expires_at <= now() AND state IN (0, 2)
       ORDER BY expires_at LIMIT %s FOR UPDATE SKIP LOCKED""",
)
# Stays in sending: should the sweep die before it decides, the outcome is as unknown as before.
_STRANDED = _TAKE.replace(
    "{wanted}",
    """SELECT message_id FROM work WHERE relay = %s AND state = 0 AND due_at <= now() - interval '1 minute'
       LIMIT %s FOR UPDATE SKIP LOCKED""",
)
_UNKNOWN = _TAKE.replace("is_sending = false", "is_sending = true").replace(
    "{wanted}",
    """SELECT message_id FROM work WHERE state = 1 AND is_sending AND lease_until <= now()
       LIMIT %s FOR UPDATE SKIP LOCKED""",
)


def claim(
    connection: Connection,
    *,
    relay: str,
    channel: str,
    lane: str,
    limit: int,
    token: UUID,
    lease: timedelta,
    shares: Mapping[turns.Flow, int] | None = None,
) -> list[Claim]:
    """Take up to ``limit`` due messages of one relay: of each (destination, tenant) its share, oldest due first.

    Without ``shares`` each tenant gets as much as any other.
    """
    if shares is None:
        due = turns.look(connection, relay=relay, channel=channel, lane=lane, limit=limit).due
        shares = share_out(due, limit)
    if not shares:
        return []
    destinations, tenants_ = [flow[0] for flow in shares], [flow[1] for flow in shares]
    values = [token, lease, destinations, tenants_, list(shares.values()), relay, channel, lane]
    return _claims(connection, _DUE, token, values)


def claim_expired(connection: Connection, *, limit: int, token: UUID, lease: timedelta) -> list[Claim]:
    """Take waiting messages whose channel has had its time, whatever they wait for: a paused tenant, too."""
    return _claims(connection, _EXPIRED, token, [token, lease, limit])


def claim_unknown(connection: Connection, *, limit: int, token: UUID, lease: timedelta) -> list[Claim]:
    """Take messages whose worker vanished while sending: nobody knows whether they arrived."""
    return _claims(connection, _UNKNOWN, token, [token, lease, limit])


def _claims(
    connection: Connection, statement: LiteralString, token: UUID, values: list[object]
) -> list[Claim]:
    rows = connection.execute(statement, values, prepare=True).fetchall()
    return [Claim(row[0], token, *row[1:]) for row in rows]


def claim_stranded(
    connection: Connection, *, relay: str, limit: int, token: UUID, lease: timedelta
) -> list[Claim]:
    """Take messages due for a minute on a relay that nobody here serves."""
    return _claims(connection, _STRANDED, token, [token, lease, relay, limit])


def reroute(connection: Connection, claimed: Claim, relay: str) -> None:
    """Give a message back, to another relay."""
    connection.execute(
        """UPDATE work SET state = 0, token = NULL, due_at = now(), relay = %s
           WHERE message_id = %s AND token = %s""",
        [relay, claimed.message_id, claimed.token],
    )


def take_back(connection: Connection) -> int:
    """Make ready again what vanished workers had taken and not begun to send; return how many.

    And, uncounted, what came to rest with a tenant that was resumed at that moment.
    """
    tenants.wake_forgotten(connection)
    return connection.execute(
        """UPDATE work SET state = 0, token = NULL, due_at = now()
           WHERE message_id = ANY (ARRAY(
               SELECT message_id FROM work WHERE state = 1 AND NOT is_sending AND lease_until <= now()
               FOR UPDATE SKIP LOCKED))""",
        prepare=True,
    ).rowcount


def release(connection: Connection, claims: Sequence[Claim]) -> set[UUID]:
    """Give back messages that were not sent, marked or not, as they were; return those that were still ours."""
    if not claims:
        return set()
    # Locked in the order of those who take claims back: of two who wait for each other one would lose its chunk.
    rows = connection.execute(
        """UPDATE work SET state = 0, token = NULL,
                      attempt = attempt - CASE WHEN is_sending THEN 1 ELSE 0 END
               WHERE state = 1 AND message_id = ANY (ARRAY(
                   SELECT message_id FROM work WHERE message_id = ANY (%b::uuid[]) AND token = %s AND state = 1
                   ORDER BY message_id FOR UPDATE)) RETURNING message_id""",
        [[one.message_id for one in claims], claims[0].token],
    ).fetchall()
    return {row[0] for row in rows}


def postpone(
    connection: Connection,
    claimed: Claim,
    delay: timedelta,
    *,
    attempt: int,
    may_have_arrived: bool = False,
    keeps_channel_until: datetime | None = None,
) -> bool:
    """Schedule the next try, with ``attempt`` tries off the budget so far. False = the claim was lost.

    A message that may have arrived keeps its channel until its deadline: another could tell it twice. One of a
    paused tenant is not taken again before the tenant is resumed, or the message's time is over.
    """
    row = connection.execute(
        f"""UPDATE work SET state = {_READY_OR_PAUSED}, token = NULL, due_at = now() + %s, attempt = %s,
                  may_have_arrived = may_have_arrived OR %s,
                  expires_at = coalesce(%s, expires_at)
           WHERE message_id = %s AND token = %s RETURNING message_id""",
        [
            delay,
            attempt,
            may_have_arrived,
            keeps_channel_until,
            claimed.message_id,
            claimed.token,
        ],
    ).fetchone()
    return row is not None


def put_back(connection: Connection, claimed: Claim, until: datetime) -> None:
    """Give a message back that was taken because its time on its channel was over; it has until ``until`` now."""
    connection.execute(
        f"""UPDATE work SET state = {_READY_OR_PAUSED}, token = NULL, expires_at = %s
           WHERE message_id = %s AND token = %s""",
        [until, claimed.message_id, claimed.token],
    )


def hold(connection: Connection, claimed: Claim) -> bool:
    """Keep the message for a person to decide about. False = the claim was lost."""
    row = connection.execute(
        "UPDATE work SET state = 3, token = NULL WHERE message_id = %s AND token = %s RETURNING message_id",
        [claimed.message_id, claimed.token],
    ).fetchone()
    return row is not None


def finish(connection: Connection, claimed: Claim) -> bool:
    """Take the message off the queue. False = the claim was lost, and with it the right to say how it ended."""
    row = connection.execute(
        "DELETE FROM work WHERE message_id = %s AND token = %s RETURNING message_id",
        [claimed.message_id, claimed.token],
    ).fetchone()
    return row is not None
