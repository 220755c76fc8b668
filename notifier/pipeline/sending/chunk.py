"""Send one chunk of messages over one relay, in one thread.

The order is the promise: a message is marked as being sent, and committed, before its first byte leaves;
what became of it is recorded, and committed, before the next one is touched.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import psycopg

from notifier.broker.wakeups import WakeUp
from notifier.channels.base import Channel
from notifier.delivery.endpoints import HAS_ENDPOINTS, of_endpoint
from notifier.delivery.outcome import Next, PauseFlow, is_too_fast
from notifier.errors import (
    Fault,
    OutcomeUnknown,
    PermanentFailure,
    Phase,
    Reply,
    SendError,
    TemporaryFailure,
)
from notifier.logs import get_logger
from notifier.messages import ChannelName, MessageStatus
from notifier.pipeline.composing.composer import Composed
from notifier.pipeline.composing.jobs import Job
from notifier.pipeline.relays.breaker import Breaker
from notifier.pipeline.relays.chunk_sizes import ChunkSizes
from notifier.pipeline.relays.claiming import Claimer
from notifier.pipeline.relays.flows import Place
from notifier.pipeline.sending.record import Try, attempt_of
from notifier.pipeline.sending.settle import Settler
from notifier.pipeline.sending.tools import Report, Tools
from notifier.pipeline.sending.writing import Writer
from notifier.store import messages, person_links, sending, tracked, work
from notifier.store.database import Connection, Cursor, DatabaseUnavailable
from notifier.store.jobs import load_jobs
from notifier.store.messages import AttemptRow
from notifier.store.work import Claim

log = get_logger("deliver")

_BEFORE_MAIL = frozenset({Phase.CONNECT, Phase.GREETING, Phase.EHLO, Phase.TLS, Phase.AUTH})
"""Where nobody has been told of a message yet: no message is to blame, and none loses a try."""


@dataclass(slots=True)
class Chunk:
    """One run over one relay."""

    tools: Tools
    settler: Settler
    relay: str
    place: Place
    report: Report
    claimer: Claimer
    breaker: Breaker
    sizes: ChunkSizes
    are_others_waiting: bool = False
    """Other relays of the channel come after this one: somebody else must see to them if it hangs."""

    @property
    def adapter(self) -> Channel:
        """The relay's adapter."""
        return self.tools.flows.adapter(self.relay)

    @property
    def _writer(self) -> Writer:
        return Writer(
            tools=self.tools, settler=self.settler, relay=self.relay, adapter=self.adapter, report=self.report
        )

    @property
    def lease(self) -> timedelta:
        """How long a message may be in sending before it counts as unknown: longer than any try."""
        return timedelta(seconds=self.adapter.phase_seconds) + self.tools.tuning.lease_margin

    def run(self, channel: ChannelName, lane: str) -> bool:
        """Claim, write and send what is due; return whether there is more, and the relay would take it."""
        # A relay that failed before is tried with one message.
        limit = 1 if self.breaker.failures else self.sizes.of(self.relay)
        with self.tools.database.connection() as connection:
            claims = self.claimer.claim(connection, channel, lane, limit)
            is_full = len(claims) == limit
            if not claims:
                return False
            if not self.breaker.may_try(connection, self.lease):
                work.release(connection, claims)
                return False
            if is_full or self.are_others_waiting:
                self.tools.wake_ups.ring(WakeUp("deliver", lane, channel.value))
            rows = load_jobs(connection, [claim.message_id for claim in claims])
        ready = self._writer.write(claims, rows)
        if ready:
            started = time.monotonic()
            sent = self._send(ready)
            self.sizes.took(self.relay, sent, time.monotonic() - started)
        self.breaker.tried(self.tools.database)
        self.claimer.done(self.tools.database)
        # Flows whose tokens are used up must not keep the others waiting until the next wake-up.
        is_more = is_full or self.claimer.has_passed_over
        return is_more and not (
            self.breaker.is_resting or self.breaker.failures or self.tools.stopping.is_set()
        )

    def _send(self, ready: Sequence[Composed]) -> int:
        """Send what is ready; return of how many the relay was told."""
        unsent = list(ready)
        try:
            with self.tools.database.connection() as connection:
                messages.save_bodies(
                    connection, [(one.job.row.message_id, one.job.row.tenant, one.body) for one in ready]
                )
                person_links.save_links(connection, [one.link for one in ready if one.link is not None])
                tracked.save_tracked(connection, [one.tracked for one in ready if one.tracked is not None])
                self._send_each(connection, unsent)
        except DatabaseUnavailable:
            # The answer to a mark may be lost, and with it the knowledge that nothing was sent.
            self.tools.insisting(lambda: self._give_back(unsent))
            raise
        return len(ready) - len(unsent)

    def _send_each(self, connection: Connection, unsent: list[Composed]) -> None:
        """Send one after the other; whatever happens, ``unsent`` holds those of which no byte has left."""
        if not self._is_open(connection, unsent):
            return
        # One cursor for the statement that every mail takes: a new one each time costs as much again.
        cursor = connection.cursor()
        is_marked = self._mark(connection, unsent[0])
        while unsent:
            if self.tools.stopping.is_set() or self.breaker.is_resting:
                work.release(connection, _claims(unsent))
                return
            if is_marked and not self._is_open(connection, unsent):
                return
            one = unsent.pop(0)
            if is_marked:
                is_marked = self._one(cursor, one, unsent)
            else:
                is_marked = bool(unsent) and self._mark(connection, unsent[0])

    def _give_back(self, unsent: Sequence[Composed]) -> None:
        with self.tools.database.connection() as connection:
            work.release(connection, _claims(unsent))

    def _is_open(self, connection: Connection, unsent: Sequence[Composed]) -> bool:
        """Have a session to the relay, or let it rest and give everything back unblamed."""
        try:
            self.place.session()
        except SendError as failure:
            self._rest(connection, unsent, failure)
            return False
        except Exception as error:  # noqa: BLE001 - an adapter's own mistake: nothing has been sent yet
            self.place.drop()
            self._rest(connection, unsent, _broken(error))
            return False
        return True

    def _one(self, cursor: Cursor, one: Composed, rest: list[Composed]) -> bool:
        """Send a marked message, record it, and mark the following one; False where that is not ours."""
        job, connection, started = one.job, cursor.connection, self.tools.clock.now()
        following = rest[0] if rest else None
        try:
            accepted = self.place.open_session.send(one.prepared)
        except Exception as error:  # noqa: BLE001 - an adapter's own mistake: it may have been sent
            failure = error if isinstance(error, SendError) else self._dropped(error)
            if self.adapter.name in HAS_ENDPOINTS:
                failure = of_endpoint(failure)
            elif failure.reply.phase in _BEFORE_MAIL:
                tried = self._try(job, started)
                self.tools.insisting(lambda: self._rest_anew([one, *rest], failure, tried))
                return False
            then = self._failed(job, failure, self._try(job, started))
            if is_too_fast(failure):
                self._slow_down(connection, job, failure, rest)
                following = rest[0] if rest else None
            if isinstance(then, PauseFlow):
                self.breaker.is_resting = True
            else:
                self.breaker.heard(connection, failure, is_last=not rest)
            return following is not None and not self.breaker.is_resting and self._mark(connection, following)
        attempt = attempt_of(job, self._try(job, started), accepted.reply, "sent", None)
        try:
            is_marked = self._record(cursor, one, attempt, following)
        except (psycopg.OperationalError, psycopg.InterfaceError, DatabaseUnavailable):
            self.tools.insisting(lambda: self._record_anew(one, attempt))
            raise
        self.claimer.sent(job.claim)
        self.report.sent(job.row.event_id, (attempt.finished_at - job.row.message_created_at).total_seconds())
        self.breaker.works(connection)
        return is_marked

    def _slow_down(self, connection: Connection, job: Job, failure: SendError, rest: list[Composed]) -> None:
        """Let the flow rest of which a message was refused for its rate; give the others of it back at once."""
        claim = job.claim
        same = [one for one in rest if one.job.claim.goes_with(claim)]
        rest[:] = [one for one in rest if not one.job.claim.goes_with(claim)]
        # First: should the domain get a flow of its own, they join it.
        work.release(connection, _claims(same))
        self.breaker.is_resting |= self.claimer.slow_down(connection, claim, failure)

    def _dropped(self, error: Exception) -> OutcomeUnknown:
        """Close a session that failed in a way nobody knows; the message may have arrived."""
        self.place.drop()
        log.error("deliver.stumbled", relay=self.relay, error=type(error).__name__)
        return OutcomeUnknown(
            "the adapter failed",
            fault=Fault.PROVIDER,
            reply=Reply(phase=Phase.DOT),
            reason=type(error).__name__,
        )

    def _failed(self, job: Job, failure: SendError, tried: Try) -> Next:
        return self.tools.insisting(
            lambda: self.settler.fail(job, failure, tried, self.report, spent=job.claim.attempt + 1)
        )

    def _record(self, cursor: Cursor, one: Composed, attempt: AttemptRow, following: Composed | None) -> bool:
        return sending.record_sent_and_mark(
            cursor,
            attempt,
            notification=one.job.row.notification_id,
            template_version=one.template_version,
            following=following.job.claim if following else None,
            lease=self.lease,
            partitions=self.tools.partitions,
        )

    def _rest_anew(self, unsent: Sequence[Composed], failure: SendError, tried: Try) -> None:
        """Let a relay rest that turned out to be away when the first message was marked already."""
        with self.tools.database.connection() as connection:
            self._rest(connection, unsent, failure, tried)

    def _record_anew(self, one: Composed, attempt: AttemptRow) -> None:
        """Record a mail over a new connection."""
        with self.tools.database.connection() as connection:
            self._record(connection.cursor(), one, attempt, None)

    def _mark(self, connection: Connection, one: Composed) -> bool:
        return sending.mark_sending(connection, one.job.claim, self.lease)

    def _try(self, job: Job, started: datetime) -> Try:
        return Try(
            number=job.row.tries + 1, relay=self.relay, started_at=started, finished_at=self.tools.clock.now()
        )

    def _rest(
        self,
        connection: Connection,
        unsent: Sequence[Composed],
        failure: SendError,
        tried: Try | None = None,
    ) -> None:
        """Let the relay rest, longer each time; note on the first message why, if it is still ours."""
        token = unsent[0].job.claim.token
        is_limit = failure.fault is Fault.RATE and not self.breaker.failures
        if is_limit and self.place.is_one_too_many(
            lambda: sending.is_sent_by_others(connection, self.relay, token)
        ):
            # It takes mail by the sessions that are open, and these go on.
            self.breaker.is_resting = True
            work.release(connection, _claims(unsent))
            self.report.counts["released"] += len(unsent)
            log.info("deliver.crowded", relay=self.relay, code=failure.reply.code)
            return
        first, now = unsent[0].job, self.tools.clock.now()
        seconds = self.breaker.seconds
        if isinstance(failure, PermanentFailure) or failure.fault in {Fault.CREDENTIALS, Fault.TLS}:
            seconds = max(seconds, self.tools.policy.of(first.urgency).pause.total_seconds())
        with connection.transaction():
            reason = self.breaker.rest(connection, failure, seconds)
            if first.row.message_id in work.release(connection, _claims(unsent)):
                tried = tried or self._try(first, now)
                messages.insert_attempt(
                    connection, attempt_of(first, tried, failure.reply, "deferred", failure.reason)
                )
                messages.set_status(
                    connection, first.row.message_id, MessageStatus.DEFERRED.value, reason, is_final=False
                )
        self.report.counts["released"] += len(unsent)


def _broken(error: Exception) -> TemporaryFailure:
    return TemporaryFailure(
        f"the adapter failed: {type(error).__name__}",
        fault=Fault.PROVIDER,
        reply=Reply(phase=Phase.CONNECT),
        reason=type(error).__name__,
    )


def _claims(composed: Sequence[Composed]) -> list[Claim]:
    return [one.job.claim for one in composed]
