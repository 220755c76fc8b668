"""Read stored events back as they came in, so that other rules can be tried on them.

Reads only. What was erased, or cannot be opened here, is counted and left out; events of our own are left out, too:
the rules make them anew.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from notifier.crypto import Keyring
from notifier.events import Event, Json, Urgency, read_private
from notifier.ids import uuid7_floor
from notifier.reports.sealed import Withheld, unseal_json
from notifier.store.database import Connection

_PAGE = 1000
_OURS = "notifier"
"""The source of what timers, schedules and alert groups say."""
_SELECT = """
SELECT id, tenant, source, external_id, type, subject, time, received_at, lane, data_key, sealed
FROM event WHERE id > %(after)s AND id < %(until)s AND tenant = %(tenant)s AND source <> %(ours)s
ORDER BY id LIMIT %(page)s"""


@dataclass(slots=True, kw_only=True)
class Replay:
    """The events of a tenant within a time, oldest first, page by page."""

    connection: Connection
    keyring: Keyring
    tenant: str
    since: datetime
    until: datetime
    withheld: int = 0
    """How many could not be shown so far."""

    def __iter__(self) -> Iterator[tuple[datetime, Event]]:
        """Yield each event with the moment it came in."""
        after = uuid7_floor(self.since)
        while True:
            rows = self._page(after)
            for row in rows:
                private = unseal_json(self.keyring, row[9], row[10], b"event")
                if isinstance(private, Withheld):
                    self.withheld += 1
                    continue
                yield row[7], _event(row, private)
            if len(rows) < _PAGE:
                return
            after = rows[-1][0]

    def _page(self, after: UUID) -> list[tuple[Json, ...]]:
        return self.connection.execute(
            _SELECT,
            {
                "after": after, "until": uuid7_floor(self.until), "tenant": self.tenant, "ours": _OURS,
                "page": _PAGE,
            },
        ).fetchall()  # fmt: skip


def _event(row: tuple[Json, ...], private: Json) -> Event:
    _, tenant, source, external_id, type_, subject, time, _, lane, *_ = row
    # Attachments say nothing about who is told.
    known = read_private({name: private[name] for name in ("data", "to") if name in private})
    return Event(
        id=external_id,
        source=source,
        type=type_,
        subject=subject,
        time=time,
        tenant=tenant,
        urgency=Urgency(lane),
        **known,
    )
