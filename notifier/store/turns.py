"""Find who has something due, a few at a time and each in its turn, however much they have waiting.

Loose index scans: one probe for each tenant and destination; nothing is locked or taken here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import LiteralString

from notifier.delivery.shares import Due
from notifier.store.database import Connection

Flow = tuple[str, str]
"""Destination and tenant, in the order of the index."""
BEGINNING: Flow = ("", "")

_PROBES = 200
"""At most so many in one look, which so takes a few milliseconds at most."""

_FIRST: LiteralString = """SELECT work.destination, work.tenant, work.due_at FROM work
       WHERE relay = %(relay)s AND channel = %(channel)s AND lane = %(lane)s AND state = 0"""
_ORDER: LiteralString = "ORDER BY work.destination, work.tenant, work.due_at LIMIT 1"

# A flow's first row is its oldest: whether it is due tells whether anything of the flow is. A destination that
# rests is stepped over whole.
_LOOK: LiteralString = f"""WITH RECURSIVE flow AS (
    (SELECT first.*, 1 AS probes, (first.due_at <= now())::int AS found
     FROM ({_FIRST} AND (work.destination, work.tenant) > (%(destination)s, %(tenant)s) {_ORDER}) AS first)
    UNION ALL
    SELECT following.*, flow.probes + 1, flow.found + (following.due_at <= now())::int
    FROM flow, LATERAL (
        ({_FIRST} AND flow.destination <> ALL (%(resting)s::text[])
                  AND (work.destination, work.tenant) > (flow.destination, flow.tenant) {_ORDER})
        UNION ALL
        ({_FIRST} AND flow.destination = ANY (%(resting)s::text[])
                  AND work.destination > flow.destination {_ORDER})) AS following
    WHERE flow.probes < %(probes)s AND flow.found < %(flows)s)
SELECT flow.destination, flow.tenant,
       (SELECT count(*) FROM (
            SELECT FROM work WHERE relay = %(relay)s AND channel = %(channel)s AND lane = %(lane)s AND state = 0
               AND work.destination = flow.destination AND work.tenant = flow.tenant
               AND flow.due_at <= now() AND work.due_at <= now()
               AND flow.destination <> ALL (%(resting)s::text[])
            LIMIT %(limit)s) AS due)
FROM flow"""


@dataclass(frozen=True, slots=True)
class Look:
    """Who has something due; ``last`` is where the look ended, None where it came to the end."""

    due: list[Due]
    last: Flow | None


def look(
    connection: Connection,
    *,
    relay: str,
    channel: str,
    lane: str,
    limit: int,
    after: Flow = BEGINNING,
    resting: Sequence[str] = (),
) -> Look:
    """Return at most ``limit`` flows behind ``after`` that have something due, each counted up to ``limit``.

    Args:
        connection: To the database.
        relay: Over which it goes.
        channel: Its channel.
        lane: Its urgency.
        limit: The size of a chunk.
        after: The flow that had its turn last.
        resting: Destinations that must wait: not counted, and not looked at.
    """
    values = {
        "relay": relay, "channel": channel, "lane": lane, "destination": after[0], "tenant": after[1],
        "resting": list(resting), "probes": _PROBES, "flows": limit, "limit": limit,
    }  # fmt: skip
    rows = connection.execute(_LOOK, values, prepare=True).fetchall()
    due = [Due(*row) for row in rows if row[2]]
    is_cut = len(rows) >= _PROBES or len(due) >= limit
    return Look(due, (rows[-1][0], rows[-1][1]) if is_cut else None)
