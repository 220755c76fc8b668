"""What follows a try: done, again, another channel, a person, a rest for the flow, or the end."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.decisions import ChannelStep
from notifier.delivery.outcome import (
    Done,
    Fallback,
    GiveUp,
    Hold,
    Next,
    PauseFlow,
    Retry,
    SlowDown,
    Standing,
    after_failure,
    after_success,
    before_try,
    channel_deadlines,
)
from notifier.delivery.policy import RetryPolicy
from notifier.delivery.replies import classify
from notifier.errors import Fault, OutcomeUnknown, PermanentFailure, Phase, Reply, SendError, TemporaryFailure
from notifier.messages import Accepted, ChannelName, MessageStatus

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
POLICY = RetryPolicy(attempts=5)
PLAN = tuple(ChannelStep(channel=one) for one in (ChannelName.EMAIL, ChannelName.SMS, ChannelName.PORTAL))
GREYLISTED = Reply(phase=Phase.RCPT, code=451, enhanced="4.7.1", text="try later, ann@example.com")


def standing(
    attempt: int = 1,
    position: int = 0,
    window: timedelta = timedelta(days=1),
    left: timedelta = timedelta(days=3),
    *,
    may_have_arrived: bool = False,
) -> Standing:
    """Return where a message stands at noon."""
    return Standing(
        now=NOW,
        attempt=attempt,
        steps=PLAN,
        position=position,
        channel_deadline=NOW + window,
        deadline=NOW + left,
        may_have_arrived=may_have_arrived,
    )


def temporary(
    fault: Fault = Fault.RECIPIENT, retry_after: timedelta | None = None, reason: str | None = None
) -> TemporaryFailure:
    """Return a failure that may pass."""
    return TemporaryFailure("no", fault=fault, reply=GREYLISTED, retry_after=retry_after, reason=reason)


def permanent(fault: Fault = Fault.RECIPIENT) -> PermanentFailure:
    """Return a failure that will not pass."""
    return PermanentFailure("no", fault=fault, reply=Reply(phase=Phase.RCPT, code=550, enhanced="5.1.1"))


def ours(
    fault: Fault = Fault.CREDENTIALS, phase: Phase = Phase.AUTH, retry_after: timedelta | None = None
) -> TemporaryFailure:
    """Return a failure of our own set-up, before any recipient was named."""
    return TemporaryFailure("no", fault=fault, reply=Reply(phase=phase), retry_after=retry_after)


def unknown() -> OutcomeUnknown:
    """Return a cut behind the final dot."""
    return OutcomeUnknown("cut", fault=Fault.NETWORK, reply=Reply(phase=Phase.DOT))


def after(
    failure: SendError,
    where: Standing,
    *,
    jitter: float = 0.5,
    on_unknown: Literal["resend", "hold"] = "resend",
) -> Next:
    """Ask what follows under the policy of these tests."""
    return after_failure(failure, where, POLICY, jitter=jitter, on_unknown=on_unknown)


def test_a_message_that_was_taken_over_is_done() -> None:
    """The log says by whom."""
    smtp = Accepted(relay="mail", reply=Reply(phase=Phase.DOT, code=250))
    portal = Accepted(relay="portal", reply=Reply(phase=Phase.LOCAL))

    assert after_success(smtp) == Done(status=MessageStatus.SENT, reason="accepted by mail with 250")
    assert after_success(portal).reason == "accepted by portal"


@pytest.mark.parametrize(("attempt", "seconds"), [(1, 15), (2, 30), (4, 120)])
def test_a_temporary_failure_is_tried_again(attempt: int, seconds: int) -> None:
    """Later each time, and each counts; the reason quotes the codes, not the text."""
    answer = after(temporary(reason="greylisted"), standing(attempt))

    assert answer == Retry(
        delay=timedelta(seconds=seconds),
        counts=True,
        reason=f"greylisted at rcpt (451 4.7.1): again in {seconds} s",
    )


def test_a_hint_of_the_other_side_beats_our_arithmetic() -> None:
    """Retry-After is honoured, and never asks for a hot loop."""
    hint = after(temporary(retry_after=timedelta(minutes=7)), standing())
    past = after(temporary(retry_after=timedelta(seconds=-5)), standing())

    assert isinstance(hint, Retry)
    assert hint.delay == timedelta(minutes=7)
    assert hint.reason.endswith("again in 420 s as the other side asked")
    assert isinstance(past, Retry)
    assert past.delay == timedelta(seconds=1)


@pytest.mark.parametrize("attempt", [1, 5, 500])
@pytest.mark.parametrize("hint", [None, timedelta(seconds=30)])
def test_a_rate_limit_slows_the_flow_and_costs_no_attempt(attempt: int, hint: timedelta | None) -> None:
    """However often it happened to this message (law 9)."""
    answer = after(temporary(Fault.RATE, hint), standing(attempt))

    assert answer == SlowDown(reason="rate at rcpt (451 4.7.1): the flow slows down")


@pytest.mark.parametrize(("tries", "seconds"), [(None, 15), (1, 15), (3, 60), (50, 1800)])
def test_a_limit_of_one_mailbox_concerns_nobody_else_and_backs_off_by_all_tries(
    tries: int | None, seconds: int
) -> None:
    """450 4.2.1: they do not count against the message, and yet each wait is longer than the one before."""
    reply = Reply(phase=Phase.RCPT, code=450, enhanced="4.2.1")
    failure = TemporaryFailure("refused", fault=Fault.RATE, reply=reply)

    answer = after(failure, replace(standing(), tries=tries))

    assert isinstance(answer, Retry)
    assert (answer.counts, answer.delay) == (False, timedelta(seconds=seconds))


def test_a_counted_retry_backs_off_by_its_attempts() -> None:
    """Tries that were the flow's affair do not make a later greylisting slower."""
    answer = after(temporary(), replace(standing(attempt=1), tries=50))

    assert isinstance(answer, Retry)
    assert answer.delay == timedelta(seconds=15)


@pytest.mark.parametrize(
    ("failure", "where", "status", "reason"),
    [
        (permanent(), standing(), MessageStatus.FAILED, "recipient at rcpt (550 5.1.1), for good"),
        (temporary(), standing(attempt=5), MessageStatus.FAILED,
         "recipient at rcpt (451 4.7.1), and all 5 tries are used up"),
        (temporary(retry_after=timedelta(days=2)), standing(), MessageStatus.EXPIRED,
         "recipient at rcpt (451 4.7.1), and the next try would come after the time of this channel"),
        (temporary(Fault.RATE, timedelta(days=1)), standing(), MessageStatus.EXPIRED,
         "rate at rcpt (451 4.7.1), and the next try would come after the time of this channel"),
    ],
)  # fmt: skip
def test_the_next_channel_has_its_turn(
    failure: SendError, where: Standing, status: MessageStatus, reason: str
) -> None:
    """On permanent failure, exhaustion, or when the channel's time is over; the reason is recorded (S5)."""
    assert after(failure, where) == Fallback(channel=ChannelName.SMS, status=status, reason=reason)


@pytest.mark.parametrize(
    ("failure", "attempt", "status"),
    [
        (permanent(), 1, MessageStatus.FAILED),
        (temporary(), 5, MessageStatus.FAILED),
        (temporary(retry_after=timedelta(days=4)), 1, MessageStatus.EXPIRED),
    ],
)
def test_behind_the_last_channel_is_the_end(failure: SendError, attempt: int, status: MessageStatus) -> None:
    """The notification ends as its last message does."""
    answer = after(failure, standing(attempt, position=2))

    assert isinstance(answer, GiveUp)
    assert answer.status is status


def test_the_last_channel_may_use_all_the_time_that_is_left() -> None:
    """Its own window does not end it before the deadline."""
    answer = after(temporary(retry_after=timedelta(days=2)), standing(position=2, window=timedelta(hours=1)))

    assert isinstance(answer, Retry)


@pytest.mark.parametrize("fault", [Fault.CREDENTIALS, Fault.SENDER, Fault.TLS])
@pytest.mark.parametrize(
    "phase", [Phase.CONNECT, Phase.GREETING, Phase.EHLO, Phase.TLS, Phase.AUTH, Phase.MAIL]
)
@pytest.mark.parametrize("kind", [PermanentFailure, TemporaryFailure])
@pytest.mark.parametrize("attempt", [1, 99])
def test_our_own_fault_rests_the_flow(
    fault: Fault, phase: Phase, kind: type[SendError], attempt: int
) -> None:
    """Wrong credentials are nobody's bounce: the message waits, whatever its attempts (law 8)."""
    answer = after(kind("no", fault=fault, reply=Reply(phase=phase)), standing(attempt))

    assert isinstance(answer, PauseFlow)
    assert answer.delay == POLICY.pause
    assert answer.reason.endswith("not the recipient's fault, the flow rests")


@pytest.mark.parametrize(
    "said",
    [
        "550 5.7.1 Message rejected due to local policy",
        "554 5.7.1 Spam message rejected",
        "554 5.7.1 Relay access denied",
        "550 5.7.10 Encryption needed",
        "550 5.7.13 Account disabled",
        "550 5.7.26 Unauthenticated mail",
        "550 5.7.515 Access denied",
    ],
)
@pytest.mark.parametrize("phase", [Phase.RCPT, Phase.DATA, Phase.DOT])
def test_a_policy_that_refuses_one_mail_never_rests_the_flow(said: str, phase: Phase) -> None:
    """One recipient's filter must not stop everybody's mail: the next channel has its turn."""
    code, _, text = said.partition(" ")
    failure = classify(Reply(phase=phase, code=int(code), text=text))
    assert failure is not None

    first, last = after(failure, standing()), after(failure, standing(position=2))

    assert isinstance(first, Fallback)
    assert first.status is MessageStatus.FAILED
    assert isinstance(last, GiveUp)
    assert last.status is MessageStatus.FAILED


@pytest.mark.parametrize(
    "said",
    [
        "530 5.7.0 Authentication required",
        "530 5.7.0 Must issue a STARTTLS command first",
        "535 5.7.8 Authentication credentials invalid",
    ],
)
@pytest.mark.parametrize("phase", [Phase.MAIL, Phase.RCPT, Phase.DATA, Phase.DOT])
def test_a_missing_log_in_rests_the_flow_at_whatever_phase(said: str, phase: Phase) -> None:
    """530 and 535 speak of the session, also where a server keeps them back until RCPT."""
    code, _, text = said.partition(" ")
    failure = classify(Reply(phase=phase, code=int(code), text=text))
    assert failure is not None

    assert isinstance(after(failure, standing()), PauseFlow)


def test_a_gateway_that_refuses_our_token_rests_the_flow() -> None:
    """An HTTP provider has one phase; its 401 is ours, a sender it will not have is this message's end."""
    token = PermanentFailure("no", fault=Fault.CREDENTIALS, reply=Reply(phase=Phase.REQUEST, code=401))
    sender = PermanentFailure("no", fault=Fault.SENDER, reply=Reply(phase=Phase.REQUEST, code=400))

    assert isinstance(after(token, standing()), PauseFlow)
    assert isinstance(after(sender, standing()), Fallback)


@pytest.mark.parametrize("fault", [Fault.CREDENTIALS, Fault.SENDER, Fault.TLS])
def test_a_local_refusal_never_rests_the_flow(fault: Fault) -> None:
    """No relay has said anything: a mail that requires TLS goes to the next channel, the rest flows on."""
    failure = PermanentFailure("no", fault=fault, reply=Reply(phase=Phase.LOCAL))

    answer = after(failure, standing())

    assert isinstance(answer, Fallback)
    assert answer.status is MessageStatus.FAILED


def test_a_passing_sender_fault_of_one_mail_counts_and_is_tried_again() -> None:
    """A DMARC check that is impossible for now: later, but not for ever."""
    failure = classify(Reply(phase=Phase.DOT, code=451, text="4.7.26 DMARC check is temporarily impossible"))
    assert failure is not None

    again, over = after(failure, standing()), after(failure, standing(attempt=5))

    assert isinstance(again, Retry)
    assert again.counts
    assert isinstance(over, Fallback)


def test_a_resting_flow_takes_a_hint_and_no_message_shortens_its_rest() -> None:
    """A message near its end would wake everybody else with it."""
    hinted = after(ours(retry_after=timedelta(hours=1)), standing())
    close = after(ours(retry_after=timedelta(hours=1)), standing(window=timedelta(seconds=20)))
    plain = after(ours(), standing(window=timedelta(seconds=20)))

    assert isinstance(hinted, PauseFlow)
    assert hinted.delay == timedelta(hours=1)
    assert isinstance(close, PauseFlow)
    assert close.delay == timedelta(hours=1)
    assert isinstance(plain, PauseFlow)
    assert plain.delay == POLICY.pause


def test_a_flow_that_rested_too_long_falls_back_and_expires() -> None:
    """The person is told another way while somebody looks for the password."""
    over = after(ours(), standing(window=timedelta(0)))
    dead = after(ours(), standing(left=timedelta(0)))

    assert over == Fallback(
        channel=ChannelName.SMS, status=MessageStatus.EXPIRED, reason="its time on this channel was over"
    )
    assert isinstance(dead, GiveUp)
    assert dead.status is MessageStatus.EXPIRED


def test_an_unknown_outcome_is_sent_again_with_the_same_id() -> None:
    """Where the class says so; the receiver can tell the second from the first."""
    answer = after(unknown(), standing(attempt=2))

    assert isinstance(answer, Retry)
    assert (answer.delay, answer.counts) == (timedelta(seconds=30), True)
    assert "same Message-ID" in answer.reason


def test_an_unknown_outcome_is_held_where_the_class_says_so() -> None:
    """A person decides."""
    answer = after(unknown(), standing(), on_unknown="hold")

    assert isinstance(answer, Hold)
    assert answer.status is MessageStatus.UNKNOWN


@pytest.mark.parametrize("where", [standing(attempt=5), standing(left=timedelta(seconds=10))])
def test_an_unknown_outcome_never_falls_back(where: Standing) -> None:
    """It may have arrived; another channel would tell it twice (law 5)."""
    answer = after(unknown(), where)

    assert isinstance(answer, GiveUp)
    assert answer.status is MessageStatus.UNKNOWN


@pytest.mark.parametrize("failure", [temporary(), permanent()])
@pytest.mark.parametrize("attempt", [2, 5])
def test_what_may_have_arrived_is_told_on_no_other_channel_whatever_comes_later(
    failure: SendError, attempt: int
) -> None:
    """Neither a refusal, nor the last try, nor the end of the channel's time hands it on."""
    where = standing(attempt=attempt, window=timedelta(0), may_have_arrived=True)

    answer = after(failure, where)

    assert before_try(where) is None
    assert isinstance(answer, Retry | GiveUp)
    if isinstance(answer, GiveUp):
        assert answer.status is MessageStatus.UNKNOWN
        assert "may have arrived" in answer.reason


def test_what_may_have_arrived_ends_as_unknown_at_its_deadline() -> None:
    """Not as expired, which would say that it was never sent."""
    answer = before_try(standing(left=timedelta(0), may_have_arrived=True))

    assert isinstance(answer, GiveUp)
    assert answer.status is MessageStatus.UNKNOWN


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (standing(), None),
        (standing(window=timedelta(0)), Fallback),
        (standing(position=2, window=timedelta(0)), None),
        (standing(left=timedelta(0)), GiveUp),
        (standing(window=timedelta(days=9), left=timedelta(0)), GiveUp),
    ],
)
def test_time_is_checked_before_a_try(where: Standing, expected: type[Next] | None) -> None:
    """A message that waited too long is not sent any more on this channel."""
    answer = before_try(where)

    assert answer is None if expected is None else isinstance(answer, expected)


def minutes_of(within: Sequence[int | None], total: int = 120) -> list[float]:
    """Return the ends of the channels in minutes after the start."""
    steps = [
        ChannelStep(channel=ChannelName.EMAIL, within=None if one is None else timedelta(minutes=one))
        for one in within
    ]
    ends = channel_deadlines(NOW, NOW + timedelta(minutes=total), steps)
    return [(end - NOW) / timedelta(minutes=1) for end in ends]


@pytest.mark.parametrize(
    ("within", "expected"),
    [
        ([None], [120]),
        ([None, None], [60, 120]),
        ([None, None, None], [40, 80, 120]),
        ([10, None, None], [10, 80, 120]),
        ([10, 10, None], [10, 20, 120]),
        ([None, 10, None], [40, 50, 120]),
        ([500, None], [120, 120]),
        ([100, None, None], [100, 100, 120]),
        ([10], [120]),
        ([10, 20], [10, 120]),
        ([], []),
    ],
)
def test_channels_share_the_time(within: list[int | None], expected: list[float]) -> None:
    """Evenly, unless a window says otherwise."""
    assert minutes_of(within) == expected


@given(within=st.lists(st.none() | st.integers(1, 300), max_size=5), total=st.integers(1, 300))
def test_windows_are_in_order_and_end_by_the_deadline(within: list[int | None], total: int) -> None:
    """No channel ends before the one in front of it, none after the deadline."""
    ends = minutes_of(within, total)

    assert ends == sorted(ends)
    assert all(0 < end <= total for end in ends)


@given(
    failure=st.sampled_from([temporary(), temporary(Fault.RATE), permanent(), ours(Fault.TLS), unknown()]),
    attempt=st.integers(1, 6),
    position=st.integers(0, 2),
    window=st.integers(-10, 1000),
    left=st.integers(-10, 2000),
    jitter=st.floats(0, 1, exclude_max=True),
)
def test_nothing_is_planned_beyond_the_deadline(
    *, failure: SendError, attempt: int, position: int, window: int, left: int, jitter: float
) -> None:
    """Whatever happens, a wait is a wait, and ends in time."""
    where = standing(attempt, position, timedelta(seconds=window), timedelta(seconds=left))

    answer = after(failure, where, jitter=jitter)

    if isinstance(answer, Retry | PauseFlow):
        assert answer.delay > timedelta(0)
    if isinstance(answer, Retry):
        assert NOW + answer.delay <= where.deadline
    if isinstance(answer, Fallback):
        assert answer.channel is PLAN[position + 1].channel
