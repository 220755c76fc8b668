"""Let go what was held back: by itself, or with all that waited beside it as one digest.

What a bin leads to stands in one transaction under its person's lock, so two sweeps, or one that dies between,
neither lose a message nor tell it twice. Nothing is sent here.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from notifier.catalog import Catalog
from notifier.clock import Clock
from notifier.decisions import Decision, Notify, RuleTrace, Verdict
from notifier.delivery.outcome import channel_deadlines
from notifier.logs import get_logger
from notifier.messages import MessageStatus
from notifier.pipeline.composing.composer import Composer
from notifier.pipeline.composing.jobs import Job, Unopenable, Unready
from notifier.pipeline.incoming import PROCESSING_ERRORS, is_passing
from notifier.pipeline.planning.decide import Decider
from notifier.pipeline.planning.digests import DIGEST_TEMPLATE, SOURCE, HeldItem, digest_of
from notifier.pipeline.planning.pacing import Pacing, ask_of
from notifier.pipeline.planning.rows import work_row
from notifier.pipeline.relays.flows import Flows
from notifier.recipients.gathering import Said, outdated
from notifier.recipients.personal import Kind
from notifier.recipients.resolve import address_on
from notifier.store import held
from notifier.store.alert_members import live_groups
from notifier.store.database import Connection, Database
from notifier.store.held import Bin, HeldRow
from notifier.store.jobs import load_jobs
from notifier.store.told import forget_told, try_lock_told
from notifier.store.work import Claim, WorkRow, insert_work

log = get_logger("sweep")

_BATCH = 50
_LIMIT = 2000
"""Messages one digest gathers; what is beyond them comes in the next."""
_STINT_SECONDS = 0.5
_PUT_OFF = timedelta(minutes=1)
_UNOPENABLE = {
    "erased": (MessageStatus.SUPPRESSED, "the person's data was erased"),
    "unreadable": (MessageStatus.FAILED, "the stored data cannot be opened"),
}
_WHY = {
    True: "you asked for a digest of them",
    False: "they came in your quiet hours, or more of them than you get one by one",
}

Flow = tuple[str, str]


@dataclass(slots=True)
class _Sorted:
    """What becomes of a bin."""

    together: list[HeldItem] = field(default_factory=list)
    alone: list[HeldItem] = field(default_factory=list)
    """Another channel may do: delivery moves it on."""
    ended: list[tuple[UUID, UUID, str, str]] = field(default_factory=list)
    later: list[HeldRow] = field(default_factory=list)
    """This process lacks something they need."""

    def end(self, row: HeldRow, status: MessageStatus, reason: str) -> None:
        """Leave a message out."""
        self.ended.append((row.message_id, row.notification_id, status.value, reason))


class Releases:
    """Releases what is held."""

    def __init__(
        self,
        *,
        database: Database,
        decider: Decider,
        pacing: Pacing,
        composer: Composer,
        flows: Flows,
        catalog: Catalog,
        clock: Clock,
    ) -> None:
        self._database, self._decider, self._pacing = database, decider, pacing
        self._composer, self._flows, self._catalog, self._clock = composer, flows, catalog, clock

    def run(self) -> set[Flow]:
        """Release what is due, for a stint at most; return (channel, lane) pairs with new work."""
        flows: set[Flow] = set()
        now, end = self._clock.now(), time.monotonic() + _STINT_SECONDS
        while True:
            with self._database.connection() as connection:
                due = held.due_bins(connection, now, _BATCH)
            for bin_ in due:
                flows |= self._try(bin_, now)
                if time.monotonic() > end:
                    return flows
            if len(due) < _BATCH:
                return flows

    def forget(self, connection: Connection) -> None:
        """Forget whom we told when, where nothing counts it any more."""
        forget_told(connection, self._clock.now(), self._pacing.memory)

    def _try(self, bin_: Bin, now: datetime) -> set[Flow]:
        """Release a bin; one that stumbles is put aside, and the others go on."""
        try:
            return self._database.retrying(lambda connection: self._release(connection, bin_, now))
        except PROCESSING_ERRORS as error:
            if is_passing(error):
                raise
            with self._database.transaction() as connection:
                held.put_aside(connection, bin_, now, self._clock.now() + _PUT_OFF)
            log.error("sweep.release_stumbled", person_id=str(bin_.person_id), error=type(error).__name__)
            return set()

    def _release(self, connection: Connection, bin_: Bin, now: datetime) -> set[Flow]:
        if not try_lock_told(connection, bin_.person_id):
            return set()  # another sweep is at it, or somebody tells the person something
        if not held.hold_person(connection, bin_.person_id):
            held.let_go(connection, bin_.person_id)
            return set()
        rows = held.take_bin(connection, bin_, now, _LIMIT)
        sorted_ = _Sorted()
        items = self._open(connection, rows, sorted_, now)
        if items and self._wait(connection, rows, items, now):
            return set()
        self._sort(connection, items, sorted_, now)
        if len(sorted_.together) == 1:
            self._pacing.note(
                connection, ask_of(sorted_.together[0].job, sorted_.together[0].job.row.position), now
            )
            sorted_.alone += sorted_.together
            sorted_.together = []
        flows = self._let_go(connection, sorted_.alone, now)
        if sorted_.together:
            flows |= self._gather(connection, bin_, sorted_, now)
        held.settle_untold(connection, sorted_.ended)
        kept = {row.message_id for row in sorted_.later}
        held.drop_held(connection, [row.message_id for row in rows if row.message_id not in kept])
        if sorted_.later:
            held.put_off(connection, sorted_.later, now + _PUT_OFF, sorted_.later[0].reason)
        log.info(
            "sweep.released",
            alone=len(sorted_.alone),
            gathered=len(sorted_.together),
            ended=len(sorted_.ended),
        )
        return flows

    def _wait(
        self, connection: Connection, rows: Sequence[HeldRow], items: Sequence[HeldItem], now: datetime
    ) -> bool:
        """Hold the bin longer where quiet hours or the lack of room ask for it."""
        verdict = self._pacing.release(connection, ask_of(items[-1].job, items[-1].job.row.position), now)
        if verdict.kind is Kind.NOW or verdict.until is None:
            return False
        held.put_off(connection, rows, verdict.until, verdict.reason)
        return True

    def _open(
        self, connection: Connection, rows: Sequence[HeldRow], sorted_: _Sorted, now: datetime
    ) -> list[HeldItem]:
        jobs = load_jobs(connection, [row.message_id for row in rows])
        items: list[HeldItem] = []
        for row in rows:
            job = jobs.get(row.message_id)
            if job is None:
                sorted_.end(row, MessageStatus.FAILED, "its event or its tenant is gone")
                continue
            # What it is good for begins with the moment it could be told.
            deadline = now + (job.deadline - job.created_at)
            claim = Claim(row.message_id, uuid4(), 0, deadline)
            try:
                items.append(HeldItem(row, self._composer.open(job._replace(deadline=deadline), claim)))
            except Unopenable as failure:
                sorted_.end(row, *_UNOPENABLE[failure.reason])
            except Unready:
                sorted_.later.append(row)
        return items

    def _sort(
        self, connection: Connection, items: Sequence[HeldItem], sorted_: _Sorted, now: datetime
    ) -> None:
        """Ask of each whether it may be told, as if it stood alone, and whether it is still true."""
        stale = _outdated(connection, items)
        for item in items:
            job, row = item.job, item.row
            if row.message_id in stale:
                sorted_.end(row, MessageStatus.SUPERSEDED, stale[row.message_id])
                continue
            relay = self._flows.relay(job.channel, job.urgency, row.tenant, row.message_id)
            has_tls = not self._flows.knows(relay) or self._flows.adapter(relay).is_encrypted
            verdict = self._composer.gate(job, now, has_tls=has_tls)
            if verdict.allowed or verdict.hold:
                sorted_.together.append(item)
            elif verdict.is_channel_only and job.standing(now, 0).next_channel is not None:
                sorted_.alone.append(item)
            else:
                sorted_.end(row, verdict.status or MessageStatus.FAILED, verdict.reason)

    def _let_go(self, connection: Connection, items: Sequence[HeldItem], now: datetime) -> set[Flow]:
        """Queue messages by themselves, on the channel they waited for."""
        if not items:
            return set()
        held.free(
            connection,
            [(one.row.message_id, one.row.notification_id, one.job.row.deadline) for one in items],
            now,
        )
        rows = [self._work(one.job, now) for one in items]
        insert_work(connection, rows)
        return {(row.channel, row.lane) for row in rows}

    def _work(self, job: Job, now: datetime) -> WorkRow:
        row = job.row
        address = address_on(job.recipient, job.channel)
        way = self._flows.way(job.channel, job.urgency, row.tenant, row.message_id, address)
        expires_at = channel_deadlines(now, row.deadline, job.steps[row.position :])[0]
        return work_row(row, way, expires_at)

    def _gather(self, connection: Connection, bin_: Bin, sorted_: _Sorted, now: datetime) -> set[Flow]:
        """Make one digest of many messages, and end them in its favour."""
        items = sorted_.together
        incoming = digest_of(self._catalog, bin_, items, now, headline=self._composer.headline)
        why = _WHY[bin_.digest_key.startswith("digest:")]
        newest = items[-1].job
        notify = Notify(
            rule="digest",
            recipient=newest.recipient,
            channels=newest.steps[newest.row.position :],
            urgency=incoming.lane,
            template=DIGEST_TEMPLATE,
            reason=why,
            deadline=incoming.entry.deadline,
            ignore_quiet=True,
        )
        trace = RuleTrace(
            rule="digest",
            verdict=Verdict.FIRED,
            reason=f"{len(items)} notifications waited for it: {items[0].row.reason}",
            facts={"gathered": len(items)},
        )
        decision = Decision(actions=(notify,), trace=(trace,), rules_hash="")
        flows = self._decider.write(connection, [incoming], [decision]).flows
        for item in items:
            sorted_.end(item.row, MessageStatus.SUPERSEDED, f"told in the digest {incoming.id}")
        return flows


def _outdated(connection: Connection, items: Sequence[HeldItem]) -> dict[UUID, str]:
    """Return which messages of alert groups say what is no longer true."""
    said = [one for item in items if (one := _said(item)) is not None]
    live = live_groups(connection, [UUID(group) for group in {one.group for one in said}])
    return outdated(said, {str(group) for group in live})


def _said(item: HeldItem) -> Said[UUID] | None:
    event = item.job.event
    kind, _, rest = event.id.partition(":")
    group, _, number = rest.partition(":")
    if event.source != SOURCE or event.alert is None or kind != "alert" or not number.isdecimal():
        return None
    is_firing = bool(event.alert["counts"]["firing"])
    return Said(id=item.row.message_id, group=group, number=int(number), is_firing=is_firing)
