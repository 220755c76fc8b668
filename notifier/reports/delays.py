"""Tell how long messages take, by tenant, type and channel: until they are taken over, and until they arrive (B3).

Reads; changes nothing.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString

from notifier.ids import uuid7_floor
from notifier.store.database import Connection

# A message's id tells when it was made: the newest partitions are read, and no more of them than needed.
_QUERY: LiteralString = """SELECT tenant, type, channel, count(*),
       count(*) FILTER (WHERE status = 'sent'),
       percentile_disc(0.5) WITHIN GROUP (ORDER BY sending) FILTER (WHERE status = 'sent'),
       percentile_disc(0.95) WITHIN GROUP (ORDER BY sending) FILTER (WHERE status = 'sent'),
       max(sending) FILTER (WHERE status = 'sent'),
       count(*) FILTER (WHERE fate = 'delivered'),
       percentile_disc(0.5) WITHIN GROUP (ORDER BY arriving) FILTER (WHERE fate = 'delivered'),
       percentile_disc(0.95) WITHIN GROUP (ORDER BY arriving) FILTER (WHERE fate = 'delivered'),
       count(*) FILTER (WHERE status IN ('queued', 'deferred')),
       max(waiting) FILTER (WHERE status IN ('queued', 'deferred'))
FROM (SELECT tenant, type, channel, status, fate,
             extract(epoch FROM settled_at - created_at)::float8 AS sending,
             extract(epoch FROM fate_at - created_at)::float8 AS arriving,
             extract(epoch FROM now() - created_at)::float8 AS waiting
      FROM message
      WHERE id >= %(first)s AND (%(tenant)s::text IS NULL OR tenant = %(tenant)s)
        AND (%(type)s::text IS NULL OR type = %(type)s)) AS made
GROUP BY tenant, type, channel ORDER BY 7 DESC NULLS LAST, 1, 2, 3"""


@dataclass(frozen=True, slots=True)
class Delay:
    """The messages of one tenant, type and channel; times in seconds since they were made, None where there is none."""

    tenant: str
    type: str
    channel: str
    messages: int
    sent: int
    """Taken over by a relay, provider or portal."""
    sent_p50: float | None
    sent_p95: float | None
    sent_longest: float | None
    delivered: int
    """Of which the other side said so: a callback, or a DSN."""
    delivered_p50: float | None
    delivered_p95: float | None
    waiting: int
    waiting_longest: float | None


def delays(
    connection: Connection, since: datetime, *, tenant: str | None = None, type_: str | None = None
) -> list[Delay]:
    """Return a line for each type and channel of which messages were made since a moment, the slowest first."""
    values = {"first": uuid7_floor(since), "tenant": tenant, "type": type_}
    return [Delay(*row) for row in connection.execute(_QUERY, values).fetchall()]
