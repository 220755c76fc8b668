"""Tell a person on the next channel when a message came back in time; else say that they were not told.

Within the caller's transaction, which knows already that the messages were lost.
"""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID, uuid4

from notifier.delivery.fate import Sibling, is_left_untold
from notifier.delivery.outcome import Fallback
from notifier.logs import get_logger
from notifier.messages import MessageStatus
from notifier.pipeline.composing.composer import Composer
from notifier.pipeline.composing.jobs import Job, Unopenable, Unready
from notifier.pipeline.sending.record import Recorder
from notifier.store import receipts
from notifier.store.database import Connection
from notifier.store.jobs import JobRow, load_jobs
from notifier.store.work import Claim

log = get_logger("track")

_OVER = frozenset({MessageStatus.SENT, MessageStatus.FAILED, MessageStatus.UNKNOWN})
"""A message that still waits to be sent is not lost yet."""


class LostMessages:
    """Sees to people whose message did not arrive."""

    def __init__(self, composer: Composer, recorder: Recorder) -> None:
        self._composer, self._recorder = composer, recorder

    def follow(self, connection: Connection, lost: Mapping[UUID, str], now: datetime) -> set[tuple[str, str]]:
        """Fall back, or give up; return the (channel, lane) pairs with new work.

        Args:
            connection: The caller's transaction.
            lost: Messages that did not arrive, and why.
            now: Nobody is told after the deadline.
        """
        if not lost:
            return set()
        jobs = load_jobs(connection, sorted(lost))
        siblings = receipts.lock_siblings(connection, {row.notification_id for row in jobs.values()})
        flows: set[tuple[str, str]] = set()
        seen = set[UUID]()
        for row in sorted(jobs.values(), key=lambda row: (row.notification_id, -row.position)):
            if row.notification_id in seen:  # of two that came back at once, the later one speaks
                continue
            others = siblings[row.notification_id]
            status = next(one[2] for one in others if one[0] == row.message_id)
            rest = [
                Sibling(position=position, status=state, fate=fate)
                for id_, position, state, fate in others
                if id_ != row.message_id
            ]
            if status not in _OVER or not is_left_untold(row.position, rest):
                continue
            seen.add(row.notification_id)
            if (flow := self._tell(connection, row, lost[row.message_id], now)) is not None:
                flows.add(flow)
        return flows

    def _tell(
        self, connection: Connection, row: JobRow, reason: str, now: datetime
    ) -> tuple[str, str] | None:
        """Make the message on the next channel, if there is one and time for it."""
        job = self._open(row)
        channel = job.steps[row.position + 1].channel if job and row.position + 1 < len(job.steps) else None
        if job is None or channel is None or now >= row.deadline:
            receipts.lose_notification(connection, row.notification_id, reason)
            return None
        following = Fallback(channel=channel, status=MessageStatus.SENT, reason=reason)
        is_now = self._recorder.fall_back(connection, job, following)
        receipts.reopen_notification(connection, row.notification_id, f"{reason}; now by {channel.value}")
        log.info("track.fell_back", message_id=str(row.message_id), channel=channel.value)
        return (channel.value, row.lane) if is_now else None

    def _open(self, row: JobRow) -> Job | None:
        try:
            return self._composer.open(row, Claim(row.message_id, uuid4(), 0, row.deadline))
        except (Unopenable, Unready) as why:
            log.warning("track.not_told", message_id=str(row.message_id), reason=str(why))
            return None
