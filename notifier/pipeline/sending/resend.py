"""Send a message again because a person asked, or decide about one that is held.

The new message belongs to the same notification and channel, under its own id and so its own Message-ID.
Never sends by itself: it queues, and delivery does the rest, gate included.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID, uuid4

from notifier.clock import Clock
from notifier.delivery.outcome import channel_deadlines
from notifier.delivery.policy import DeliveryPolicy
from notifier.errors import NoSuchMessage, NotifierError
from notifier.logs import get_logger
from notifier.messages import MessageStatus
from notifier.pipeline.composing.composer import Composer
from notifier.pipeline.composing.jobs import Job, Unopenable, Unready
from notifier.pipeline.planning.rows import new_message
from notifier.pipeline.relays.flows import Flows
from notifier.recipients.resolve import address_on
from notifier.rules.ruleset import RuleSet
from notifier.store import messages, work
from notifier.store.database import Connection, Database
from notifier.store.jobs import load_jobs
from notifier.store.work import Claim, WorkState

log = get_logger("resend")


class ResendRefused(NotifierError):
    """The message cannot be sent again, or not now."""


class Choice(StrEnum):
    """What to do with a message that may have arrived."""

    SAME = "same"
    """Send the very message again: the same Message-ID, so that a mailbox may drop the double."""
    NEW = "new"
    """Send a new message."""
    DROP = "drop"
    """Leave it at that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resent:
    """What was done; ``message_id`` is the row that goes out, or the one that was given up."""

    message_id: UUID
    resend_of: UUID
    notification_id: UUID
    channel: str
    did: str
    deadline: datetime | None


class Resender:
    """Queues messages again."""

    def __init__(
        self, *, database: Database, composer: Composer, flows: Flows, policy: DeliveryPolicy,
        rules: Callable[[], RuleSet], clock: Clock,
    ) -> None:  # fmt: skip
        self._database, self._composer, self._flows = database, composer, flows
        self._policy, self._rules, self._clock = policy, rules, clock

    def resend(self, message: UUID, choice: Choice | None, *, by: str) -> Resent:
        """Queue the message again, as chosen; ``by`` says who asked, for the log.

        Raises:
            ResendRefused: it is still queued, or may not be sent; says which.
        """
        done = self._database.retrying(lambda connection: self._resend(connection, message, choice))
        log.info(
            "resend.asked", message_id=str(message), new_message_id=str(done.message_id), did=done.did, by=by
        )
        return done

    def _resend(self, connection: Connection, message: UUID, choice: Choice | None) -> Resent:
        # Whoever else resends this message waits here, and then sees what was queued.
        row = connection.execute(
            """SELECT message.status, work.state FROM message LEFT JOIN work ON work.message_id = message.id
               WHERE message.id = %s FOR UPDATE OF message""",
            [message],
        ).fetchone()
        if row is None:
            raise NoSuchMessage(f"there is no message {message}; `notifier log` lists them")
        status, state = row
        _check_choice(status, state, choice)
        job = self._open(connection, message)
        if choice is Choice.DROP:
            return self._drop(connection, job)
        now = self._clock.now()
        deadline = self._deadline(job, now)
        job = replace(job, row=job.row._replace(deadline=deadline))
        self._ask_gate(job, now)
        if choice is Choice.SAME:
            return self._same(connection, job, now)
        if state == WorkState.HELD:
            _take_off(connection, message)
        return self._new(connection, job, now)

    def _open(self, connection: Connection, message: UUID) -> Job:
        row = load_jobs(connection, [message]).get(message)
        if row is None:
            raise ResendRefused("its event or notification is past the log's retention")
        claim = Claim(message, uuid4(), 0, row.deadline)
        try:
            return self._composer.open(row, claim)
        except Unready as failure:
            raise ResendRefused(str(failure)) from failure
        except Unopenable as failure:
            gone = (
                "the person's data was erased" if failure.reason == "erased" else "its data cannot be opened"
            )
            raise ResendRefused(gone) from failure

    def _deadline(self, job: Job, now: datetime) -> datetime:
        """Give it as much time as a new one would have."""
        rule = next((one for one in self._rules() if one.name == job.row.rule), None)
        if rule is None:  # a stage's notification names its journey
            rule = self._rules().stage(job.row.stage_rule or "", job.row.stage or "")
        span = rule.telling.deadline if rule is not None else None
        return self._policy.of(job.urgency).deadline_of(now, span or job.entry.deadline)

    def _ask_gate(self, job: Job, now: datetime) -> None:
        relay = self._flows.relay(job.channel, job.urgency, job.row.tenant, job.row.message_id)
        if not self._flows.knows(relay):
            raise ResendRefused(f"nothing is configured that sends {job.channel.value}: no relay {relay!r}")
        verdict = self._composer.gate(job, now, has_tls=self._flows.adapter(relay).is_encrypted)
        if not verdict.allowed and not verdict.hold:
            raise ResendRefused(verdict.reason)

    def _same(self, connection: Connection, job: Job, now: datetime) -> Resent:
        freed = connection.execute(
            """UPDATE work SET state = 0, token = NULL, is_sending = false, lease_until = NULL,
                      attempt = 0, due_at = now(), expires_at = %s
               WHERE message_id = %s AND state = 3 RETURNING message_id""",
            [_expires_at(job, now), job.row.message_id],
        ).fetchone()
        if freed is None:
            raise ResendRefused("somebody else has just decided about it")
        messages.set_status(
            connection, job.row.message_id, MessageStatus.QUEUED.value, "sent again as a person decided",
            is_final=False,
        )  # fmt: skip
        _reopen(connection, job)
        return _resent(job, job.row.message_id, "queued the same message again", job.row.deadline)

    def _new(self, connection: Connection, job: Job, now: datetime) -> Resent:
        self._check_queued(connection, job)
        row = job.row
        message, waiting = new_message(
            tenant=row.tenant, notification_id=row.notification_id, event_id=row.event_id, type=row.type,
            subject=row.subject, channel=row.channel, lane=row.lane, person_id=row.person_id,
            address_index=row.address_index, position=row.position, created_at=now, resend_of=row.message_id,
            flows=self._flows, urgency=job.urgency, address=address_on(job.recipient, job.channel),
            expires_at=_expires_at(job, now),
        )  # fmt: skip
        messages.insert_messages(connection, [message])
        work.insert_work(connection, [waiting])
        _reopen(connection, job)
        return _resent(job, message.id, "queued a new message", row.deadline)

    def _check_queued(self, connection: Connection, job: Job) -> None:
        row = connection.execute(
            """SELECT id FROM message WHERE notification_id = %s AND channel = %s
               AND status IN ('queued', 'deferred') LIMIT 1""",
            [job.row.notification_id, job.row.channel],
        ).fetchone()
        if row is not None:
            raise ResendRefused(f"the message {row[0]} of the same notification is still queued")

    def _drop(self, connection: Connection, job: Job) -> Resent:
        _take_off(connection, job.row.message_id)
        messages.set_status(
            connection, job.row.message_id, MessageStatus.UNKNOWN.value,
            "it may have arrived; given up as a person decided", is_final=True,
        )  # fmt: skip
        return _resent(job, job.row.message_id, "gave it up", None)


def _check_choice(status: str, state: int | None, choice: Choice | None) -> None:
    if state == WorkState.HELD:
        if choice is None:
            raise ResendRefused(
                "it may have arrived and is held: --same sends it again with the same Message-ID, --new as a "
                "new message, --drop gives it up"
            )
        return
    if state is not None or status in {MessageStatus.QUEUED, MessageStatus.DEFERRED}:
        raise ResendRefused("it is still queued and will be sent by itself; `notifier show` tells when")
    if choice in {Choice.SAME, Choice.DROP}:
        raise ResendRefused(f"--{choice} is for a message that is held; this one is {status}")


def _take_off(connection: Connection, message: UUID) -> None:
    gone = connection.execute(
        "DELETE FROM work WHERE message_id = %s AND state = 3 RETURNING message_id", [message]
    ).fetchone()
    if gone is None:
        raise ResendRefused("somebody else has just decided about it")


def _reopen(connection: Connection, job: Job) -> None:
    """Give the notification its new time; one that reached its recipient stays sent, whatever follows."""
    connection.execute(
        """UPDATE notification SET deadline = %s,
                  settled_at = CASE state WHEN 'sent' THEN settled_at END,
                  state_reason = CASE state WHEN 'sent' THEN state_reason END,
                  state = CASE state WHEN 'sent' THEN state ELSE 'pending' END
           WHERE id = %s""",
        [job.row.deadline, job.row.notification_id],
    )


def _expires_at(job: Job, now: datetime) -> datetime:
    return channel_deadlines(now, job.row.deadline, job.steps[job.row.position :])[0]


def _resent(job: Job, message: UUID, did: str, deadline: datetime | None) -> Resent:
    return Resent(
        message_id=message, resend_of=job.row.message_id, notification_id=job.row.notification_id,
        channel=job.row.channel, did=did, deadline=deadline,
    )  # fmt: skip
