"""Settle messages that were not simply sent: failed, refused at the gate, out of time, or unknown."""

import random
from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID, uuid4

from notifier.broker.wakeups import WakeUp
from notifier.delivery.outcome import Fallback, GiveUp, Next, Retry, after_failure, before_try, give_up
from notifier.errors import Fault, OutcomeUnknown, Phase, Reply, SendError
from notifier.logs import get_logger
from notifier.messages import MessageStatus
from notifier.pipeline.composing.jobs import Job, Unopenable, Unready
from notifier.pipeline.sending.record import (
    Outcome,
    Try,
    attempt_of,
    blame_for,
    finish,
    outcome_word,
    stay,
    wait,
)
from notifier.pipeline.sending.tools import Report, Tools
from notifier.recipients.may_we import GateVerdict
from notifier.store import lanes, relays, work
from notifier.store.database import Connection
from notifier.store.jobs import JobRow, load_jobs
from notifier.store.work import Claim

log = get_logger("deliver")

_PAUSED_TENANT = timedelta(seconds=30)
_UNREADY = timedelta(seconds=30)
_BATCH = 100
_UNOPENABLE = {
    "erased": (MessageStatus.SUPPRESSED, "the person's data was erased"),
    "unreadable": (MessageStatus.FAILED, "the stored data cannot be opened"),
}


class Settler:
    """Records failures and refusals, and carries out what follows."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    def open(
        self, claim: Claim, rows: Mapping[UUID, JobRow], report: Report, *, is_sending: bool = False
    ) -> Job | None:
        """Unseal a claimed job; end it where its data is gone, leave it where this process lacks something."""
        row = rows.get(claim.message_id)
        if row is None:
            self._end(claim, None, MessageStatus.FAILED, "its event or its tenant is gone", report)
            return None
        try:
            return self._tools.composer.open(row, claim)
        except Unopenable as failure:
            status, words = _UNOPENABLE[failure.reason]
            self._end(claim, row, status, words, report)
        except Unready as why:
            if row.deadline <= self._tools.clock.now():
                self._end(claim, row, MessageStatus.EXPIRED, str(why), report)
            elif not is_sending:  # else the lease runs out again, and the message stays unknown until then
                is_over = claim.expires_at <= self._tools.clock.now()
                wait(self._tools.database, claim, _UNREADY, str(why), row.deadline if is_over else None)
                report.counts[MessageStatus.DEFERRED.value] += 1
        return None

    def _end(
        self, claim: Claim, row: JobRow | None, status: MessageStatus, words: str, report: Report
    ) -> None:
        if finish(self._tools.database, claim, row.notification_id if row else None, status, words):
            report.add(claim.message_id, row, Outcome(status=status, is_final=True))
            log.warning("deliver.ended", message_id=str(claim.message_id), status=status.value, reason=words)

    def fail(self, job: Job, failure: SendError, tried: Try, report: Report, *, spent: int) -> Next:
        """Record a failed try and what follows from it; return that."""
        following = after_failure(
            failure,
            job.standing(self._tools.clock.now(), spent),
            self._tools.policy.of(job.urgency),
            jitter=random.random(),  # noqa: S311 - jitter is no secret
            on_unknown=job.entry.unknown,
        )
        if isinstance(following, Retry) and not following.counts:
            spent -= 1
        attempt = attempt_of(job, tried, failure.reply, outcome_word(failure), failure.reason)
        # Where safe mode sent it elsewhere, the address it was for was not even asked.
        blame = blame_for(failure) if self._tools.composer.is_itself(job) else None
        outcome = self._tools.recorder.record(
            job, following, attempt, spent=spent, relay=tried.relay, blame=blame
        )
        report.add(job.row.message_id, job.row, outcome)
        self._ring(job, outcome.next_channel)
        log.info(
            "deliver.failed",
            message_id=str(job.row.message_id),
            event_id=str(job.row.event_id),
            relay=tried.relay,
            reason=failure.reason,
            phase=failure.reply.phase.value,
            code=failure.reply.code,
            status=outcome.status.value,
        )
        return following

    def refuse(self, job: Job, verdict: GateVerdict, report: Report) -> None:
        """Record that the message may not go out, or not now."""
        standing = job.standing(self._tools.clock.now(), job.claim.attempt)
        following: Next = give_up(standing, verdict.status or MessageStatus.FAILED, verdict.reason)
        channel = standing.next_channel
        if verdict.hold:
            following = Retry(delay=_PAUSED_TENANT, counts=False, reason=verdict.reason)
        elif verdict.is_channel_only and channel is not None and verdict.status is not None:
            following = Fallback(channel=channel, status=verdict.status, reason=verdict.reason)
        self.follow(job, following, report)

    def follow(self, job: Job, following: Next, report: Report) -> None:
        """Carry out a decision that no try led to."""
        outcome = self._tools.recorder.record(job, following, None, spent=job.claim.attempt, relay="")
        report.add(job.row.message_id, job.row, outcome)
        self._ring(job, outcome.next_channel)

    def expired(self) -> Report:
        """Move on messages whose channel has had its time, even where the relay rests."""
        report = Report()
        with self._tools.database.connection() as connection:
            claims = work.claim_expired(
                connection, limit=_BATCH, token=uuid4(), lease=self._tools.tuning.claim_lease
            )
            rows = load_jobs(connection, [one.message_id for one in claims]) if claims else {}
        for claim in claims:
            if (job := self.open(claim, rows, report)) is not None:
                standing = job.standing(self._tools.clock.now(), claim.attempt)
                over = before_try(standing)
                if over is not None:
                    self.follow(job, over, report)
                else:  # no other channel has its turn; or it has, but not quite yet by our clock
                    is_last = standing.next_channel is None
                    stay(self._tools.database, claim, job.row.deadline if is_last else claim.expires_at)
        self._unserved(report)
        return report

    def _unserved(self, report: Report) -> None:
        """Hand on what waits for a relay nobody has any more: renamed, removed, or never configured."""
        flows = self._tools.flows
        with self._tools.database.connection() as connection:
            strangers = [relay for relay in lanes.relays_with_work(connection) if not flows.knows(relay)]
            for relay in strangers:
                claims = work.claim_stranded(
                    connection, relay=relay, limit=_BATCH, token=uuid4(), lease=self._tools.tuning.claim_lease
                )
                rows = load_jobs(connection, [one.message_id for one in claims])
                for claim in claims:
                    if (job := self.open(claim, rows, report)) is not None:
                        self._hand_on(connection, job, relay, report)

    def _hand_on(self, connection: Connection, job: Job, relay: str, report: Report) -> None:
        row = job.row
        known = self._tools.flows.relay(job.channel, job.urgency, row.tenant, row.message_id)
        if self._tools.flows.knows(known):
            work.reroute(connection, job.claim, known)
            log.warning("deliver.rerouted", message_id=str(job.row.message_id), relay=relay, to=known)
            return
        reason = f"nothing is configured that sends {job.channel.value}: no relay {relay!r}"
        channel = job.standing(self._tools.clock.now(), job.claim.attempt).next_channel
        following: Next = GiveUp(status=MessageStatus.FAILED, reason=reason)
        if channel is not None:
            following = Fallback(channel=channel, status=MessageStatus.FAILED, reason=reason)
        self.follow(job, following, report)

    def unknown(self) -> Report:
        """Decide about messages whose worker vanished while sending, by their type's policy."""
        report = Report()
        with self._tools.database.connection() as connection:
            claims = work.claim_unknown(
                connection, limit=_BATCH, token=uuid4(), lease=self._tools.tuning.claim_lease
            )
            ids = [one.message_id for one in claims]
            rows = load_jobs(connection, ids) if claims else {}
            used = relays.of_messages(connection, ids) if claims else {}
        for claim in claims:
            if (job := self.open(claim, rows, report, is_sending=True)) is not None:
                now = self._tools.clock.now()
                relay = used.get(claim.message_id, job.row.channel)
                tried = Try(number=job.row.tries + 1, relay=relay, started_at=now, finished_at=now)
                self.fail(job, _vanished(), tried, report, spent=claim.attempt)
        return report

    def _ring(self, job: Job, channel: str | None) -> None:
        if channel is not None:
            self._tools.wake_ups.ring(WakeUp("deliver", job.row.lane, channel))


def _vanished() -> OutcomeUnknown:
    return OutcomeUnknown(
        "the worker vanished while sending",
        fault=Fault.NETWORK,
        reply=Reply(phase=Phase.DOT),
        reason="worker_vanished",
    )
