"""Allow sending to addresses again, one or many, and queue what was held back from them, as long as it is of use.

Sends nothing: what is queued passes the gate again, where another entry may still stand.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from notifier.clock import Clock
from notifier.delivery.outcome import channel_deadlines
from notifier.logs import get_logger
from notifier.pipeline.composing.composer import Composer
from notifier.pipeline.composing.jobs import Job, Unopenable, Unready
from notifier.pipeline.planning.rows import work_row
from notifier.pipeline.relays.flows import Flows
from notifier.recipients.resolve import address_on
from notifier.recipients.suppression import Cause
from notifier.store import soft_bounces, suppressions, work
from notifier.store.database import Connection, Database
from notifier.store.held_back import held_back, reopen
from notifier.store.jobs import JobRow, load_jobs
from notifier.store.suppressions import Selection
from notifier.store.work import Claim, WorkRow

log = get_logger("suppression")

_BATCH = 500
_HELD_BACK = "the address is suppressed since "
"""How the gate begins its reason (notifier.recipients.may_we)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifted:
    """How much was allowed again, and how many messages were queued for it."""

    entries: int
    addresses: int
    queued: int
    held: int = 0
    """Messages that had been held back, are of use, and were not queued: nobody asked for it."""


class Lifter:
    """Lifts suppressions."""

    def __init__(self, *, database: Database, composer: Composer, flows: Flows, clock: Clock) -> None:
        self._database, self._composer, self._flows, self._clock = database, composer, flows, clock

    def lift(self, tenant: str, chosen: Selection, *, is_retried: bool, by: str) -> Lifted:
        """Remove the chosen entries, some at a time; with ``is_retried`` queue what they held back.

        A message is queued again where it ended as suppressed, its notification's deadline is still to come, and
        nobody told the person otherwise. Of one address that is chosen also where its entries are gone already.
        """
        entries, held, addresses = 0, 0, set[bytes]()
        while True:
            found, again = self._database.retrying(
                lambda connection: self._some(connection, tenant, chosen, is_retried=is_retried)
            )
            entries, held = entries + len(found), held + again
            addresses.update(found)
            if len(found) < _BATCH:
                break
        queued, held = (held, 0) if is_retried else (0, held)
        log.info("suppression.lifted", tenant=tenant, entries=entries, queued=queued, by=by)
        return Lifted(entries=entries, addresses=len(addresses), queued=queued, held=held)

    def _some(
        self, connection: Connection, tenant: str, chosen: Selection, *, is_retried: bool
    ) -> tuple[list[bytes], int]:
        lifted = suppressions.lift_chosen(connection, tenant, chosen, limit=_BATCH)
        # Else the very next bounce would have the address rest again.
        soft_bounces.forget(connection, tenant, [one for one, cause in lifted if cause == Cause.SOFT_BOUNCES])
        found = [address for address, _ in lifted]
        addresses = sorted({*found, *([chosen.address_index] if chosen.address_index else [])})
        return found, self._queue(connection, tenant, addresses, is_wanted=is_retried) if addresses else 0

    def _queue(
        self, connection: Connection, tenant: str, addresses: Sequence[bytes], *, is_wanted: bool
    ) -> int:
        """Queue what was held back, one message of each notification, or only count it."""
        now = self._clock.now()
        ids = held_back(connection, tenant, addresses, reason=_HELD_BACK, now=now)
        rows = load_jobs(connection, ids)
        if not is_wanted:
            return len({row.notification_id for row in rows.values()})
        waiting: dict[UUID, WorkRow] = {}
        for message in ids:
            if message in rows and (job := self._open(rows[message])) is not None:
                waiting.setdefault(job.row.notification_id, self._row(job, now))
        work.insert_work(connection, waiting.values())
        reopen(connection, [row.message_id for row in waiting.values()])
        return len(waiting)

    def _open(self, row: JobRow) -> Job | None:
        """Unseal it; None where the person was erased since."""
        try:
            return self._composer.open(row, Claim(row.message_id, uuid4(), 0, row.deadline))
        except (Unopenable, Unready):
            return None

    def _row(self, job: Job, now: datetime) -> WorkRow:
        row = job.row
        way = self._flows.way(
            job.channel, job.urgency, row.tenant, row.message_id, address_on(job.recipient, job.channel)
        )
        return work_row(row, way, channel_deadlines(now, row.deadline, job.steps[row.position :])[0])
