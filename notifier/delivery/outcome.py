"""Decide what follows a try to send: nothing more, another try, another channel, a person, or the end.

Pure: the failure, the plan and the clock come in, a value goes out; nothing is stored or sent here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from notifier.decisions import ChannelStep
from notifier.delivery.policy import FLOOR, RetryPolicy
from notifier.errors import Fault, OutcomeUnknown, PermanentFailure, Phase, SendError, TemporaryFailure
from notifier.messages import Accepted, ChannelName, MessageStatus

OUR_FAULTS = frozenset({Fault.CREDENTIALS, Fault.SENDER, Fault.TLS})
"""Faults on our side; the recipient is never blamed for them."""

OUR_PHASES = frozenset({Phase.CONNECT, Phase.GREETING, Phase.EHLO, Phase.TLS, Phase.AUTH, Phase.MAIL})
"""Before a recipient is named: what is refused here would be refused to every mail."""

_MAYBE = "it may have arrived"

# RFC 4954 §6 and RFC 3207 §4: log in, or start TLS, first. Some servers keep it back until RCPT.
_FIRST_LOG_IN = 530


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The provider took the message over."""

    status: MessageStatus = MessageStatus.SENT
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Try the same message again after ``delay``; ``counts`` tells whether it used up an attempt."""

    delay: timedelta
    counts: bool
    reason: str
    may_have_arrived: bool = False
    """The try ended without an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fallback:
    """This channel is through: the message ends with ``status``, and ``channel`` has its turn."""

    channel: ChannelName
    status: MessageStatus
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveUp:
    """Nothing is left to try: the message, and with it the notification, ends with ``status``."""

    status: MessageStatus
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """It may have arrived: a person decides, by ``notifier resend``."""

    reason: str
    status: MessageStatus = MessageStatus.UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseFlow:
    """The fault is ours: the whole flow rests for ``delay``; this message waits and loses no attempt."""

    delay: timedelta
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowDown:
    """Too fast: the flow slows down; this message waits for its turn and loses no attempt."""

    reason: str


Next = Done | Retry | Fallback | GiveUp | Hold | PauseFlow | SlowDown


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a message stands when a try is over, or about to start."""

    now: datetime
    attempt: int
    """How many tries counted so far, this one included."""
    tries: int | None = None
    """How many tries there were at all, this one included; None: as many as counted."""
    steps: Sequence[ChannelStep]
    position: int
    """Which of ``steps`` this message is."""
    channel_deadline: datetime
    deadline: datetime
    may_have_arrived: bool = False
    """An earlier try ended without an answer."""

    @property
    def next_channel(self) -> ChannelName | None:
        """Return the channel that would take over; None where there is none, or it could tell twice."""
        following = self.position + 1
        is_last = self.may_have_arrived or following >= len(self.steps)
        return None if is_last else self.steps[following].channel

    @property
    def ends_at(self) -> datetime:
        """Return when this channel's time is over; the last one has all that is left."""
        if self.next_channel is None:
            return self.deadline
        return min(self.channel_deadline, self.deadline)


def channel_deadlines(
    created_at: datetime, deadline: datetime, steps: Sequence[ChannelStep]
) -> tuple[datetime, ...]:
    """Return by when each channel must be through.

    A step with ``within`` ends that long after the step before it; of the others, step i of n ends when
    (i + 1) / n of the time is over. The last has all that is left: ``within`` says when the next has its turn,
    and there is none. Nothing ends after the deadline or before its predecessor. After an early
    fallback, call it again with the moment of the fallback and the steps that are left.
    """
    ends: list[datetime] = []
    before = created_at
    for index, step in enumerate(steps):
        is_last = index + 1 == len(steps)
        share = created_at + (deadline - created_at) * (index + 1) / len(steps)
        end = share if step.within is None or is_last else before + step.within
        before = max(before, min(end, deadline))
        ends.append(before)
    return tuple(ends)


def before_try(standing: Standing) -> Next | None:
    """Return what happens instead of a try because time is up, or None: go ahead."""
    if standing.now >= standing.deadline:
        return give_up(standing, MessageStatus.EXPIRED, "the deadline passed before it could be sent")
    if standing.now >= standing.ends_at:
        return _leave(standing, MessageStatus.EXPIRED, "its time on this channel was over")
    return None


def after_success(accepted: Accepted) -> Done:
    """Return the end of a message that the provider took over."""
    code = f" with {accepted.reply.code}" if accepted.reply.code is not None else ""
    return Done(reason=f"accepted by {accepted.relay}{code}")


def after_failure(
    failure: SendError,
    standing: Standing,
    policy: RetryPolicy,
    *,
    jitter: float,
    on_unknown: Literal["resend", "hold"] = "resend",
) -> Next:
    """Return what follows a failed try; ``jitter`` is a random number in [0, 1)."""
    if isinstance(failure, OutcomeUnknown):
        return _after_unknown(standing, policy, jitter, on_unknown)
    if _is_ours(failure):
        return _pause(failure, standing, policy)
    if isinstance(failure, PermanentFailure):
        return _leave(standing, MessageStatus.FAILED, f"{_words(failure)}, for good")
    return _try_again(failure, standing, policy, jitter)


def _is_ours(failure: SendError) -> bool:
    """Say whether every message of the flow would meet this failure.

    From RCPT on a refusal may be about one recipient or content, a local one is about one message: neither
    may stop everybody's mail.
    """
    phase = failure.reply.phase
    if failure.fault not in OUR_FAULTS or phase is Phase.LOCAL:
        return False
    is_log_in = failure.fault is Fault.CREDENTIALS or failure.reply.code == _FIRST_LOG_IN
    return is_log_in or phase in OUR_PHASES


def _after_unknown(standing: Standing, policy: RetryPolicy, jitter: float, on_unknown: str) -> Next:
    cut = f"the connection was cut before the answer: {_MAYBE}"
    if on_unknown == "hold":
        return Hold(reason=f"{cut}; a person decides")
    delay = policy.delay(standing.attempt, jitter)
    # Another channel could tell the same thing twice, so an unknown message never falls back.
    if standing.attempt >= policy.attempts or standing.now + delay >= standing.deadline:
        return GiveUp(status=MessageStatus.UNKNOWN, reason=f"{cut}; no try is left")
    return Retry(
        delay=delay,
        counts=True,
        may_have_arrived=True,
        reason=f"{cut}; sent again with the same Message-ID",
    )


def _pause(failure: SendError, standing: Standing, policy: RetryPolicy) -> Next:
    over = before_try(standing)
    if over is not None:
        return over
    # Never cut to this message's own end, which would wake the whole flow; the sweep ends it in time.
    return PauseFlow(
        delay=_retry_after(failure) or policy.pause,
        reason=f"{_words(failure)}: not the recipient's fault, the flow rests",
    )


def _try_again(failure: SendError, standing: Standing, policy: RetryPolicy, jitter: float) -> Next:
    is_rate = failure.fault is Fault.RATE
    counts = not is_rate
    if counts and standing.attempt >= policy.attempts:
        return _leave(
            standing, MessageStatus.FAILED, f"{_words(failure)}, and all {policy.attempts} tries are used up"
        )
    hint = _retry_after(failure)
    # A rate limit uses up no attempt, so attempts alone would have it ask at the same pace for ever.
    exponent = standing.attempt if counts or standing.tries is None else standing.tries
    delay = policy.delay(exponent, jitter) if hint is None else hint
    is_flow = is_too_fast(failure)
    # Where no other channel has its turn nothing is won by giving up: the flow may be free before, by another relay.
    if is_flow and (hint is None or standing.next_channel is None):
        delay = timedelta(0)
    if standing.now + delay >= standing.ends_at:
        last = standing.next_channel is None
        over = "the deadline" if last else "the time of this channel"
        return _leave(
            standing, MessageStatus.EXPIRED, f"{_words(failure)}, and the next try would come after {over}"
        )
    if is_flow:
        return SlowDown(reason=f"{_words(failure)}: the flow slows down")
    asked = " as the other side asked" if hint is not None else ""
    return Retry(
        delay=delay,
        counts=counts,
        reason=f"{_words(failure)}: again in {round(delay.total_seconds())} s{asked}",
    )


def is_too_fast(failure: SendError) -> bool:
    """Say whether the other side wants fewer messages a second, whatever becomes of this one.

    Not where one recipient gets too much (RFC 3463 §3.3: X.2.X): nobody else is concerned.
    """
    enhanced = failure.reply.enhanced
    is_mailbox = enhanced is not None and enhanced.split(".")[1:2] == ["2"]
    is_passing = isinstance(failure, TemporaryFailure) and failure.reply.phase is not Phase.LOCAL
    return is_passing and failure.fault is Fault.RATE and not is_mailbox


def is_unwell(failure: SendError) -> bool:
    """Say whether the relay takes nothing at the moment, whatever it is given.

    Before a recipient is named, or by an answer that is about the whole service: RFC 5321 §4.2.3 (421, 451, 452 to
    MAIL), RFC 9110 §15.6 (5xx). What a mail is greylisted for is patience, not another relay (RFC 6647).
    """
    is_early = failure.reply.phase in {Phase.MAIL, Phase.REQUEST} and failure.reason != "greylisted"
    return isinstance(failure, TemporaryFailure) and failure.fault is Fault.PROVIDER and is_early


def _leave(standing: Standing, status: MessageStatus, reason: str) -> Fallback | GiveUp:
    if standing.next_channel is None:
        return give_up(standing, status, reason)
    return Fallback(channel=standing.next_channel, status=status, reason=reason)


def give_up(standing: Standing, status: MessageStatus, reason: str) -> GiveUp:
    """Return the end of a message; unknown where an earlier try may have brought it."""
    if standing.may_have_arrived:
        return GiveUp(status=MessageStatus.UNKNOWN, reason=f"{reason}; {_MAYBE} by an earlier try")
    return GiveUp(status=status, reason=reason)


def _retry_after(failure: SendError) -> timedelta | None:
    hint = failure.retry_after if isinstance(failure, TemporaryFailure) else None
    return None if hint is None else max(hint, FLOOR)


def _words(failure: SendError) -> str:
    """Say what failed without the reply's text, which may quote an address."""
    reply = failure.reply
    answer = " ".join(str(part) for part in (reply.code, reply.enhanced) if part is not None)
    return f"{failure.reason} at {reply.phase.value}" + (f" ({answer})" if answer else "")
