"""Read what really happened: the log in the database, the catcher's mails, the gateway's texts.

Changes nothing.
"""

from collections import Counter
from dataclasses import dataclass

import httpx

from notifier.client.writing import EventKey
from notifier.store.database import Database

_COLUMNS = """
SELECT m.channel, m.status, coalesce(m.reason, ''), m.attempts, coalesce(a.replies, '{}'),
       coalesce(extract(epoch FROM n.settled_at - e.received_at), 0)::float8
FROM event e
JOIN notification n ON n.event_id = e.id
JOIN message m ON m.notification_id = n.id
LEFT JOIN LATERAL (
    SELECT array_agg(concat_ws(' ', code, enhanced) ORDER BY number) AS replies
    FROM attempt WHERE message_id = m.id
) a ON true
"""

_MESSAGES = f"""{_COLUMNS}
JOIN event_key k ON k.event_id = e.id
WHERE k.tenant = %s AND k.source = %s AND k.external_id = %s
ORDER BY m.channel = 'portal', n.rule, m.position
"""

_OF_ALERT = f"""{_COLUMNS}
WHERE e.tenant = 'default' AND e.source = 'notifier' AND e.subject = %s
ORDER BY m.channel
"""

_STATES = """
SELECT n.state, count(*) FROM event_key k JOIN notification n ON n.event_id = k.event_id
WHERE k.tenant = 'default' AND k.source = %s AND k.external_id LIKE %s GROUP BY n.state
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One message as the log has it; ``replies`` are the server's codes, one per try."""

    channel: str
    status: str
    reason: str
    tries: int
    replies: tuple[str, ...]
    seconds: float

    def __str__(self) -> str:
        heard = ", ".join(reply for reply in self.replies if reply)
        return f"{self.channel} {self.status}" + (f" ({heard})" if heard else "")


class Evidence:
    """Where the demo looks."""

    def __init__(self, database: Database, *, catcher: str, gateway: str) -> None:
        self._database = database
        self._catcher = httpx.Client(base_url=catcher, timeout=10)
        self._gateway = httpx.Client(base_url=gateway, timeout=10)

    def told(self, event: EventKey, alert: str | None = None) -> tuple[Told, ...]:
        """Return the messages an event led to, in the order of its rules and channels; else those of its alert."""
        rows = (
            self._database.all(_MESSAGES, event) if alert is None else self._database.all(_OF_ALERT, (alert,))
        )
        return tuple(
            Told(
                channel=row[0],
                status=row[1],
                reason=row[2],
                tries=row[3],
                replies=tuple(row[4]),
                seconds=row[5],
            )
            for row in rows
        )

    def states(self, source: str, prefix: str) -> Counter[str]:
        """Count the notifications of a batch by their state."""
        return Counter(dict(self._database.all(_STATES, (source, f"{prefix}%"))))

    def mails(self, to: str) -> int:
        """Count the mails an address got."""
        return len(self._catcher.get("/api/mails", params={"to": to}).raise_for_status().json())

    def texts(self, to: str) -> int:
        """Count the texts a number got."""
        return len(self._gateway.get("/api/messages", params={"to": to}).raise_for_status().json())

    def caught(self) -> int:
        """Count all mails ever caught."""
        return int(self._catcher.get("/api/total").raise_for_status().json()["total"])

    def mailboxes(self, domain: str) -> Counter[str]:
        """Count the mails of each address in a domain."""
        mails = self._catcher.get("/api/mails").raise_for_status().json()
        return Counter(to for mail in mails for to in mail["to"] if to.endswith(f"@{domain}"))
