"""Let go of what nobody asks for any more: what ended long ago, and SMS and reports that were read.

Deletes in small numbers, so that nobody waits; what is left comes with the next upkeep.
"""

from datetime import timedelta

from notifier.store import receipts, soft_bounces, suppressions, unreadable
from notifier.store.database import Connection

ALERTS_FOR, SILENCES_FOR, SMS_FOR = timedelta(days=90), timedelta(days=365), timedelta(days=90)
"""How long they are kept after their end: as long as the log at least, and a year for who silenced what."""
_AT_ONCE = 10_000


def let_go(connection: Connection) -> int:
    """Delete what is old; return how much."""
    gone = connection.execute(
        """DELETE FROM alert WHERE id IN (
             SELECT id FROM alert WHERE status IN ('resolved', 'quiet') AND due_at IS NULL
               AND updated_at < now() - %s AND NOT EXISTS (SELECT FROM alert_member WHERE alert_id = alert.id)
             LIMIT %s FOR UPDATE SKIP LOCKED)""",
        [ALERTS_FOR, _AT_ONCE],
    ).rowcount
    gone += connection.execute(
        """WITH old AS (DELETE FROM silence WHERE id IN (
             SELECT id FROM silence WHERE ends_at < now() - %s LIMIT %s) RETURNING id)
           DELETE FROM silence_change USING old WHERE silence_change.silence_id = old.id""",
        [SILENCES_FOR, _AT_ONCE],
    ).rowcount
    gone += connection.execute(
        """DELETE FROM sms_in WHERE id IN (
             SELECT id FROM sms_in WHERE done_at < now() - %s LIMIT %s)""",
        [SMS_FOR, _AT_ONCE],
    ).rowcount
    others = (receipts.let_go, soft_bounces.let_go, suppressions.let_go, unreadable.let_go)
    return gone + sum(delete(connection) for delete in others)
