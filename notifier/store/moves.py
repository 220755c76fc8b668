"""Move messages that wait to another relay, or to a flow of their domain's own.

Never what a worker has, nor what may have arrived by the relay it waits for.
"""

from collections.abc import Collection, Mapping
from uuid import UUID

from notifier.store.database import Connection


def move_domain(connection: Connection, relay: str, domain: bytes, destination: str, limit: int) -> int:
    """Give what waits for a domain that was in no group its own; return how many moved, at most ``limit``."""
    return connection.execute(
        """UPDATE work SET destination = %s WHERE message_id = ANY (ARRAY(
             SELECT message_id FROM work WHERE relay = %s AND destination = 'other' AND domain = %s AND state IN (0, 2)
             LIMIT %s FOR UPDATE SKIP LOCKED))""",
        [destination, relay, domain, limit],
    ).rowcount


def lock_waiting(
    connection: Connection,
    *,
    relay: str,
    channel: str,
    lane: str,
    limit: int,
    named: Collection[str],
    of_named: Collection[str],
    has_others: bool,
) -> list[tuple[UUID, str]]:
    """Lock messages of a relay that it cannot have had yet, and return them with their tenants.

    Those that are due, and those it was given in vain: by the time they are due again it may be asked anew.

    Only those of the tenants ``of_named``, and, with ``has_others``, of all that are not ``named``.
    """
    rows = connection.execute(
        """SELECT message_id, tenant FROM work
           WHERE relay = %s AND channel = %s AND lane = %s AND state = 0 AND (due_at <= now() OR attempt > 0)
             AND NOT may_have_arrived
             AND (tenant = ANY (%b::text[]) OR (%s AND tenant <> ALL (%b::text[])))
           LIMIT %s FOR UPDATE SKIP LOCKED""",
        [relay, channel, lane, sorted(of_named), has_others, sorted(named), limit],
    ).fetchall()
    return [(row[0], row[1]) for row in rows]


def move(connection: Connection, relays: Mapping[UUID, str]) -> None:
    """Let messages that wait, and are locked, wait for other relays."""
    if relays:
        connection.execute(
            """UPDATE work SET relay = new.relay FROM unnest(%b::uuid[], %b::text[]) AS new (id, relay)
               WHERE work.message_id = new.id AND state = 0""",
            [list(relays), list(relays.values())],
        )
