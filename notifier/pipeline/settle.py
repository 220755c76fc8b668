"""Settle messages that were not simply sent: failed, refused at the gate, out of time, or unknown."""

import random
from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID, uuid4

from notifier.broker.wakeups import WakeUp
from notifier.delivery.outcome import GiveUp, Next, Retry, after_failure, before_try
from notifier.errors import Fault, OutcomeUnknown, Phase, Reply, SendError
from notifier.logs import get_logger
from notifier.messages import MessageStatus
from notifier.pipeline.jobs import Job, Unopenable
from notifier.pipeline.record import Try, attempt_of, finish_unopenable, outcome_word
from notifier.pipeline.tools import Report, Tools
from notifier.recipients.may_we import GateVerdict
from notifier.store import work
from notifier.store.jobs import JobRow, load_jobs
from notifier.store.work import Claim

log = get_logger("deliver")

_PAUSED_TENANT = timedelta(seconds=30)
_BATCH = 100


class Settler:
    """Records failures and refusals, and carries out what follows."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    def open(self, claim: Claim, rows: Mapping[UUID, JobRow], report: Report) -> Job | None:
        """Unseal a claimed job; end it where its data is gone."""
        row = rows.get(claim.message_id)
        if row is None:
            return None
        try:
            return self._tools.composer.open(row, claim)
        except Unopenable as failure:
            finish_unopenable(self._tools.database, claim, row.notification_id, failure.reason)
            report.counts["unopenable"] += 1
            return None

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
        outcome = self._tools.recorder.record(job, following, attempt, spent=spent, relay=tried.relay)
        report.add(job.row.message_id, job.row.event_id, outcome)
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
        following: Next = GiveUp(status=verdict.status or MessageStatus.FAILED, reason=verdict.reason)
        if verdict.hold:
            following = Retry(delay=_PAUSED_TENANT, counts=False, reason=verdict.reason)
        self.follow(job, following, report)

    def follow(self, job: Job, following: Next, report: Report) -> None:
        """Carry out a decision that no try led to."""
        outcome = self._tools.recorder.record(job, following, None, spent=job.claim.attempt, relay="")
        report.add(job.row.message_id, job.row.event_id, outcome)
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
                over = before_try(job.standing(self._tools.clock.now(), claim.attempt))
                early = Retry(delay=timedelta(seconds=1), counts=False, reason="its time is not over yet")
                self.follow(job, over or early, report)
        return report

    def unknown(self) -> Report:
        """Decide about messages whose worker vanished while sending, by their type's policy."""
        report = Report()
        with self._tools.database.connection() as connection:
            claims = work.claim_unknown(
                connection, limit=_BATCH, token=uuid4(), lease=self._tools.tuning.claim_lease
            )
            rows = load_jobs(connection, [one.message_id for one in claims]) if claims else {}
        for claim in claims:
            if (job := self.open(claim, rows, report)) is not None:
                now = self._tools.clock.now()
                tried = Try(number=job.row.tries + 1, relay=job.row.channel, started_at=now, finished_at=now)
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
