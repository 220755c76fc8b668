"""Count what became of the newest messages, by tenant, type and channel."""

from dataclasses import dataclass
from datetime import datetime

from notifier.ids import uuid7_floor
from notifier.store.database import Connection


@dataclass(frozen=True, slots=True)
class Measure:
    """The messages of one tenant and type that were made for a channel within a window."""

    tenant: str
    type: str
    channel: str
    total: int
    failed: int
    """Failed, expired or unknown."""
    bounced: int
    complained: int
    waiting: int
    oldest_seconds: int
    """How long the oldest one has waited; 0 where none does."""


def measure(connection: Connection, since: datetime) -> list[Measure]:
    """Count messages made since a moment that were to leave the house; what this system says of itself is left out."""
    rows = connection.execute(
        """SELECT tenant, type, channel, count(*),
                  count(*) FILTER (WHERE status IN ('failed', 'expired', 'unknown')),
                  count(*) FILTER (WHERE fate = 'bounced'),
                  count(*) FILTER (WHERE fate = 'complained'),
                  count(*) FILTER (WHERE status IN ('queued', 'deferred')),
                  coalesce(extract(epoch FROM now() - min(created_at)
                                   FILTER (WHERE status IN ('queued', 'deferred'))), 0)::int
           FROM message WHERE id >= %s AND channel NOT IN ('portal', 'console') AND type NOT LIKE 'notifier.%%'
           GROUP BY tenant, type, channel ORDER BY tenant, type, channel""",
        [uuid7_floor(since)],
    ).fetchall()
    return [Measure(*row) for row in rows]
