"""Tell a story in the order of time: one line for each thing that happened.

Pure: a history comes in, lines go out; the same lines for terminal, JSON and, later, pages.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from notifier.delivery.fate import LOST
from notifier.ids import uuid7_time
from notifier.messages import MessageStatus, NotificationState
from notifier.reports.history import (
    EventHistory,
    MessageHistory,
    NotificationHistory,
    ReceiptRecord,
    TryRecord,
    Waiting,
)

REDIRECTED = " (safe mode sent it to somebody of ours instead)"
_UNDECIDED = frozenset({MessageStatus.QUEUED, MessageStatus.DEFERRED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Something that happened; ``what`` names its kind, ``id`` the row it happened to."""

    at: datetime
    what: str
    text: str
    id: str


def timeline(event: EventHistory) -> list[Line]:
    """Return the lines, oldest first."""
    lines = [*_of_event(event), *(line for one in event.notifications for line in _of_notification(one))]
    # Sorting is stable: of two things in one moment the cause, which was listed first, stays first.
    return sorted(lines, key=lambda line: line.at)


def _of_event(event: EventHistory) -> Iterator[Line]:
    said = f"{event.type} about {event.subject} from {event.source}, on the {event.lane} lane"
    yield Line(at=event.received_at, what="event.received", text=said, id=str(event.id))
    if event.rules_hash is not None:
        told = len(event.notifications)
        text = f"{_count(event.notified, 'notification')} to make" + (
            f", of which this is {told}" if 0 < told < event.notified else ""
        )
        yield Line(at=_after(event), what="event.decided", text=text, id=str(event.id))


def _after(event: EventHistory) -> datetime:
    return max(event.received_at, uuid7_time(event.id))


def _of_notification(one: NotificationHistory) -> Iterator[Line]:
    for message in one.messages:
        yield from _of_message(one, message)
    if one.state == NotificationState.PENDING or one.settled_at is None:
        return
    why = f": {one.state_reason}" if one.state_reason else ""
    yield Line(at=one.settled_at, what=f"notification.{one.state}", text=f"{one.rule}{why}", id=str(one.id))


def _of_message(one: NotificationHistory, message: MessageHistory) -> Iterator[Line]:
    how = f"by {message.channel} to {message.to}" + (REDIRECTED if message.is_redirected else "")
    if message.resend_of is not None:
        how += f", again: a resend of {message.resend_of}"
    elif message.position:
        how += f", the fallback (plan: {', '.join(one.channels)})"
    else:
        how += f", by rule {one.rule}, because: {one.reason}"
    yield Line(at=uuid7_time(message.id), what="message.queued", text=how, id=str(message.id))
    for attempt in message.tries:
        yield Line(
            at=attempt.finished_at, what=f"attempt.{attempt.outcome}", text=tried(attempt), id=str(message.id)
        )
    for receipt in message.receipts:
        yield Line(at=receipt.at, what=f"receipt.{receipt.kind}", text=reported(receipt), id=str(message.id))
    if message.status not in _UNDECIDED and message.settled_at is not None:
        why = (
            message.reason or f"taken over by {message.tries[-1].relay}" if message.tries else message.reason
        )
        yield Line(
            at=message.settled_at, what=f"message.{message.status}", text=why or "", id=str(message.id)
        )


def tried(attempt: TryRecord) -> str:
    """Describe a try in one line, with the server's words."""
    place = f" at {attempt.phase}" if attempt.phase else ""
    code = str(attempt.code) if attempt.code is not None else ""
    enhanced = attempt.enhanced or ""
    # SMTP servers begin their text with the enhanced code.
    said = " ".join(attempt.reply.split()).removeprefix(enhanced).strip()
    reply = " ".join(part for part in (code, enhanced, said) if part)
    seconds = (attempt.finished_at - attempt.started_at).total_seconds()
    reason = f" [{attempt.reason}]" if attempt.reason else ""
    return (
        f"try {attempt.number} over {attempt.relay}{place}, {seconds:.2f} s: {reply or 'no answer'}{reason}"
    )


def reported(receipt: ReceiptRecord) -> str:
    """Describe in one line what was reported, with the other side's words."""
    words = (receipt.bounce, receipt.reason, receipt.verdict, receipt.feedback, receipt.link)
    about = " ".join(part for part in words if part)
    status = " ".join(str(part) for part in (receipt.code, receipt.status) if part is not None)
    said = " ".join(receipt.text.split())
    by = f"reported by {receipt.source}" if receipt.source else ""
    return ": ".join(part for part in (about, " ".join(part for part in (status, said) if part), by) if part)


def standing(one: NotificationHistory) -> str:
    """Say where a notification stands, and why: what its messages came to, what the last one waits for."""
    state = f"{one.state}: {one.state_reason}" if one.state_reason else one.state
    sent = next((message for message in one.messages if has_left(message)), None)
    if sent is not None:
        before = [message for message in one.messages if message.position < sent.position]
        lost = [f"{message.channel} {outcome(message)}" for message in before]
        arrived = f", {sent.fate}" if sent.fate else ""
        state = "; ".join([f"{state} by {sent.channel}{arrived}", *lost])
    message = one.messages[-1] if one.messages else None
    if message is None or message.waiting is None:
        return state
    if one.state != NotificationState.PENDING:
        # A message that may have arrived, or one that was asked for again.
        return f"{state}; {message.channel}: {waits(message.waiting)}"
    because = f", after: {message.reason}" if message.reason else ""
    return f"{state}: {waits(message.waiting)} ({message.channel}){because}"


def has_left(message: MessageHistory) -> bool:
    """Tell whether it was taken over, and did not come back."""
    return message.status == MessageStatus.SENT and message.fate not in LOST


def outcome(message: MessageHistory) -> str:
    """Say what a message came to, and why."""
    if message.fate in LOST:
        return f"{message.fate}: {message.fate_reason}" if message.fate_reason else str(message.fate)
    return f"{message.status}: {message.reason}"


def waits(waiting: Waiting) -> str:
    """Say what a queued message waits for."""
    if waiting.state == "held":
        return "held for a person to decide"
    if waiting.is_tenant_paused:
        return "waits until the tenant is resumed"
    if waiting.rests_until is not None:
        return f"waits while its relay rests until {moment(waiting.rests_until)}: {waiting.rests_because}"
    if waiting.state == "ready":
        return f"due {moment(waiting.due_at)}"
    return "being sent right now" if waiting.state == "sending" else "taken by a worker"


def moment(at: datetime, timespec: str = "seconds") -> str:
    """Write a moment for people, in UTC."""
    return f"{at.astimezone(UTC).replace(tzinfo=None).isoformat(sep=' ', timespec=timespec)}Z"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
