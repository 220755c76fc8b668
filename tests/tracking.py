"""A notifier whose mails are out, and the desk where others report what became of them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

import pytest

from notifier.crypto import blind_index
from notifier.receipts import BounceClass, Receipt, ReceiptKind
from notifier.store.database import Database
from notifier.store.reports import ReportDesk
from tests.services import Flow

SOURCE = "default"
"""The relay's name: who reports is who took the mail."""
_KEYS = count()


@dataclass
class Tracking:
    """The stages, with reports handed in by the web role."""

    flow: Flow
    desk: ReportDesk
    sent: list[UUID] = field(default_factory=list)

    def send(self, event_type: str = "order.shipped", **attributes: Any) -> UUID:
        """Send one mail; return its message."""
        self.flow.ingest(self.flow.sample(event_type, **attributes))
        self.flow.deliver()
        self.sent.append(self.flow.one_id())
        return self.sent[-1]

    def report(self, *told: Receipt) -> dict[str, int]:
        """Hand reports in and have them read; return what was done."""
        self.desk.hand_in(SOURCE, told)
        return self.track()

    def track(self) -> dict[str, int]:
        """Read what waits, however long it was to wait."""
        self.make_due()
        return dict(self.flow.services.track.run())

    def make_due(self) -> None:
        """Let every report be due."""
        with self.flow.services.database.connection() as connection:
            connection.execute("UPDATE report SET due_at = now() WHERE state = 0")

    def fates(self) -> list[tuple[str, str | None, str | None]]:
        """Return (status, fate, reason) of all messages, oldest first."""
        rows = self.flow.query("SELECT status, fate, fate_reason FROM message ORDER BY id")
        return [(row[0], row[1], row[2]) for row in rows]

    def suppressions(self) -> list[tuple[str, str]]:
        """Return (cause, scope) of all entries."""
        rows = self.flow.query("SELECT cause, scope FROM suppression ORDER BY cause, scope")
        return [(row[0], row[1]) for row in rows]

    def index(self, address: str, tenant: str = "default") -> bytes:
        """Return the keyed hash of an address."""
        return blind_index(self.flow.services.keyring.index_key, tenant, address)


def told(kind: ReceiptKind, message: UUID | None = None, **values: Any) -> Receipt:
    """Return a report about a message of ours, with a key of its own."""
    made: Mapping[str, Any] = {
        "kind": kind,
        "at": datetime.now(UTC) - timedelta(seconds=1),
        "source": SOURCE,
        "key": f"event-{next(_KEYS)}",
        "message": message,
    }
    return Receipt(**{**made, **values})


def bounced(message: UUID | None = None, bounce: BounceClass = BounceClass.HARD, **values: Any) -> Receipt:
    """Return a bounce of a message."""
    return told(
        ReceiptKind.BOUNCED, message, bounce=bounce, **{"reason": "userunknown", "status": "5.1.1", **values}
    )


@pytest.fixture
def tracking(flow: Flow, web_url: str) -> Iterator[Tracking]:
    """A notifier with the shipped configuration, and the web role's desk."""
    database = Database(web_url, size=2)
    yield Tracking(flow, ReportDesk(database))
    database.dispose()
