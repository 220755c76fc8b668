"""Write what became of a try: the attempt, where the message stands, and what follows.

One transaction per failure; a success has a statement of its own (``store.sending.record_sent_and_mark``).
A worker that lost its claim writes the attempt it made, and nothing else.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from notifier.clock import Clock
from notifier.crypto import Keyring, blind_index
from notifier.delivery.fate import Blame
from notifier.delivery.outcome import (
    Fallback,
    GiveUp,
    Hold,
    Next,
    PauseFlow,
    Retry,
    SlowDown,
    channel_deadlines,
)
from notifier.errors import Fault, OutcomeUnknown, PermanentFailure, Phase, Reply, SendError, TemporaryFailure
from notifier.events import Urgency
from notifier.ids import uuid7
from notifier.messages import MessageStatus
from notifier.pipeline.composing.jobs import Job
from notifier.pipeline.planning.pacing import Pacing, ask_of
from notifier.pipeline.planning.rows import held_row, new_message
from notifier.pipeline.relays.flows import Flows
from notifier.pipeline.sending.soft_rests import weigh
from notifier.recipients.personal import digest_key
from notifier.recipients.resolve import address_on
from notifier.recipients.suppression import Cause
from notifier.recipients.wishes import NO_WISHES
from notifier.setting_tables import Suppression
from notifier.store import held, messages, notifications, relays, suppressions, work
from notifier.store.database import Connection, Database
from notifier.store.messages import AttemptRow
from notifier.store.soft_bounces import AddressKey, SoftBounce
from notifier.store.work import Claim

_TEXT_LIMIT = 2000
_REMOTE_LIMIT = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What was written: how the message stands now, and which channel has its turn."""

    status: MessageStatus
    is_final: bool
    next_channel: str | None = None


class Recorder:
    """Writes outcomes."""

    def __init__(
        self,
        *,
        database: Database,
        keyring: Keyring,
        flows: Flows,
        pacing: Pacing,
        clock: Clock,
        suppression: Suppression,
    ) -> None:
        self._database, self._keyring, self._flows = database, keyring, flows
        self._pacing, self._clock, self._suppression = pacing, clock, suppression

    def record(
        self,
        job: Job,
        following: Next,
        attempt: AttemptRow | None,
        *,
        spent: int,
        relay: str,
        blame: Blame | None = None,
    ) -> Outcome:
        """Write a failed try, or a message that must not be tried, and carry out what follows.

        Args:
            job: The message.
            following: What the delivery rules decided.
            attempt: The try; None where there was none.
            spent: Tries off the budget so far, this one included if it counts.
            relay: Who was to take it.
            blame: What the try says of the address, for later messages.
        """
        suppressed: set[AddressKey] = set()

        def write(connection: Connection) -> Outcome:
            suppressed.clear()
            if attempt is not None:
                messages.insert_attempt(connection, attempt)
            outcome = self._follow(connection, job, following, spent, relay)
            if blame is not None and outcome.is_final and attempt is not None:
                suppressed.update(self._blame(connection, job, attempt, blame))
            return outcome

        outcome = self._database.retrying(write)
        suppressions.revoke(self._database, suppressed)
        return outcome

    def _blame(self, connection: Connection, job: Job, attempt: AttemptRow, blame: Blame) -> set[AddressKey]:
        """Suppress an address that was refused for good, as if a bounce had come; or count what may pass."""
        row, now = job.row, self._clock.now()
        address = (row.tenant, row.address_index)
        if blame is Blame.SOFT:
            soft = SoftBounce(*address, row.message_id, attempt.finished_at)
            return weigh(connection, [soft], {address}, self._suppression, now)
        answer = " ".join(str(part) for part in (attempt.code, attempt.enhanced) if part is not None)
        suppressions.suppress(
            connection,
            *address,
            f"refused when it was sent: {attempt.reason} ({answer})",
            cause=Cause.HARD_BOUNCE,
            since=attempt.finished_at,
            message=row.message_id,
        )
        return {address}

    def _follow(self, connection: Connection, job: Job, following: Next, spent: int, relay: str) -> Outcome:
        claim, message = job.claim, job.row.message_id
        match following:
            case Retry():
                kept = work.postpone(
                    connection,
                    claim,
                    following.delay,
                    attempt=spent,
                    may_have_arrived=following.may_have_arrived,
                    keeps_channel_until=job.row.deadline if following.may_have_arrived else None,
                )
                status = MessageStatus.DEFERRED
            case PauseFlow():
                relays.pause_relay(connection, relay, following.delay, following.reason)
                kept = work.postpone(connection, claim, timedelta(0), attempt=claim.attempt)
                status = MessageStatus.DEFERRED
            case SlowDown():
                kept = work.postpone(connection, claim, timedelta(0), attempt=claim.attempt)
                status = MessageStatus.DEFERRED
            case Hold():
                kept = work.hold(connection, claim)
                status = following.status
            case Fallback() | GiveUp():
                kept = work.finish(connection, claim)
                status = following.status
            case _:
                raise AssertionError(following)
        if not kept:
            return Outcome(status=status, is_final=False)
        is_final = isinstance(following, Fallback | GiveUp | Hold)
        messages.set_status(connection, message, status.value, following.reason, is_final=is_final)
        if isinstance(following, GiveUp | Hold):
            notifications.settle_notification(
                connection, job.row.notification_id, status.value, following.reason
            )
        if isinstance(following, Fallback):
            is_now = self.fall_back(connection, job, following)
            following_channel = following.channel.value if is_now else None
            return Outcome(status=status, is_final=True, next_channel=following_channel)
        return Outcome(status=status, is_final=is_final)

    def fall_back(self, connection: Connection, job: Job, following: Fallback) -> bool:
        """Make the message on the next channel; False where the person's quiet hours or budget hold it.

        Within the caller's transaction, which ends the message this one follows.
        """
        row, now = job.row, self._clock.now()
        position = row.position + 1
        address = address_on(job.recipient, following.channel)
        expires_at = channel_deadlines(now, row.deadline, job.steps[position:])[0]
        message, waiting = new_message(
            tenant=row.tenant,
            notification_id=row.notification_id,
            event_id=row.event_id,
            type=row.type,
            subject=row.subject,
            channel=following.channel.value,
            lane=row.lane,
            person_id=row.person_id,
            address_index=blind_index(self._keyring.index_key, row.tenant, address),
            position=position,
            created_at=now,
            flows=self._flows,
            urgency=Urgency(row.urgency),
            address=address,
            expires_at=expires_at,
        )
        verdict = self._pacing.fall_back(connection, ask_of(job, position), now)
        messages.insert_messages(connection, [message])
        if verdict.until is None:
            work.insert_work(connection, [waiting])
            return True
        key = digest_key(NO_WISHES, row.category, following.channel)
        held.insert_held(connection, [held_row(message, key, verdict.until, verdict.reason, now)])
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """When a try began and ended, over which relay; ``number`` counts all tries of the message."""

    number: int
    relay: str
    started_at: datetime
    finished_at: datetime
    id: UUID = field(default_factory=uuid7)
    """Of the attempt: recorded again, after an answer of the database was lost, it is the same."""


def attempt_of(job: Job, tried: Try, reply: Reply, outcome: str, reason: str | None) -> AttemptRow:
    """Return the row of one try; the server's text is sealed under the person's key."""
    return AttemptRow(
        id=tried.id,
        message_id=job.row.message_id,
        tenant=job.row.tenant,
        number=tried.number,
        relay=tried.relay,
        started_at=tried.started_at,
        finished_at=tried.finished_at,
        outcome=outcome,
        reason=reason,
        phase=reply.phase.value,
        code=reply.code,
        enhanced=reply.enhanced,
        sealed=job.person_key.seal(reply.text[:_TEXT_LIMIT].encode(), b"reply") if reply.text else None,
        remote_id=reply.remote_id[:_REMOTE_LIMIT] if reply.remote_id else None,
    )


def blame_for(failure: SendError) -> Blame | None:
    """Return what a failed try says of the address: a refusal at send time counts like a bounce.

    Only what the other side said of the recipient: never what is our fault, or the network's.
    """
    if failure.reply.phase is Phase.LOCAL or isinstance(failure, OutcomeUnknown):
        return None
    if failure.fault is Fault.RECIPIENT and isinstance(failure, PermanentFailure):
        return Blame.DEAD if failure.is_hard else Blame.SOFT
    return Blame.SOFT if failure.fault is Fault.MAILBOX else None


def outcome_word(failure: SendError) -> str:
    """Return the word for a failed try in the log."""
    if isinstance(failure, OutcomeUnknown):
        return "unknown"
    return "deferred" if isinstance(failure, TemporaryFailure) else "failed"


def finish(
    database: Database, claim: Claim, notification: UUID | None, status: MessageStatus, words: str
) -> bool:
    """End a message that cannot be opened; False where another worker has it."""

    def write(connection: Connection) -> bool:
        if not work.finish(connection, claim):
            return False
        messages.set_status(connection, claim.message_id, status.value, words, is_final=True)
        if notification is not None:
            notifications.settle_notification(connection, notification, status.value, words)
        return True

    return database.retrying(write)


def stay(database: Database, claim: Claim, until: datetime) -> None:
    """Leave a message on its channel, due when it was due, until its time there is over."""
    database.retrying(lambda connection: work.put_back(connection, claim, until))


def wait(
    database: Database, claim: Claim, delay: timedelta, words: str, until: datetime | None = None
) -> None:
    """Leave a message that cannot be opened by this process, now, for another one or later.

    ``until``: the end of its time on this channel from now on, where that was over already.
    """

    def write(connection: Connection) -> None:
        if work.postpone(connection, claim, delay, attempt=claim.attempt, keeps_channel_until=until):
            messages.set_status(
                connection, claim.message_id, MessageStatus.DEFERRED.value, words, is_final=False
            )

    database.retrying(write)
