"""The gate: one place that decides whether a message may go out now, with one reason."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from notifier.decisions import JourneyState, StageRef
from notifier.events import Recipient
from notifier.messages import MessageStatus
from notifier.recipients.may_we import Check, GateFacts, Suppression, is_superseded, may_we

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
STAGE = StageRef(rule="returns", subject="R-1", stage="approved", order=1)
FREE = GateFacts(now=NOW, deadline=NOW + timedelta(hours=1), recipient=Recipient(email="ann@Example.com"))
REFUSED: dict[Check, dict[str, object]] = {
    Check.TENANT: {"is_tenant_paused": True},
    Check.DEADLINE: {"deadline": NOW},
    Check.JOURNEY: {"stage": STAGE, "journey": JourneyState(stage="shipped", order=3, is_terminal=False)},
    Check.AUDIENCE: {"audience": ("operators",)},
    Check.OPT_OUT: {"opted_out": True},
    Check.SUPPRESSION: {"suppressed": Suppression(reason="hard bounce", since=NOW - timedelta(days=1))},
    Check.SAFE_MODE: {"is_held_by_safe_mode": True},
    Check.TLS: {"is_tls_required": True, "has_tls": False},
}

OF_ONE_CHANNEL = {Check.SUPPRESSION, Check.SAFE_MODE, Check.TLS}


def test_what_nothing_speaks_against_may_go() -> None:
    """The ordinary case."""
    verdict = may_we(FREE)

    assert verdict.allowed
    assert (verdict.status, verdict.hold, verdict.check) == (None, False, None)


@pytest.mark.parametrize(
    ("check", "status", "reason"),
    [
        (Check.TENANT, None, "the tenant is paused: it waits until it is resumed"),
        (Check.DEADLINE, MessageStatus.EXPIRED, "expired: it was of use until 2026-05-01 12:00+00:00"),
        (Check.JOURNEY, MessageStatus.SUPERSEDED, "superseded: R-1 is already shipped, no longer approved"),
        (Check.AUDIENCE, MessageStatus.SUPPRESSED,
         "the recipient is not in the audience of this event type (operators)"),
        (Check.OPT_OUT, MessageStatus.SUPPRESSED, "the recipient opted out of this category"),
        (Check.SUPPRESSION, MessageStatus.SUPPRESSED,
         "the address is suppressed since 2026-04-30 12:00+00:00: hard bounce"),
        (Check.SAFE_MODE, MessageStatus.SUPPRESSED,
         "safe mode: the address is not on the list, and there is nobody who gets the rest"),
        (Check.TLS, MessageStatus.FAILED,
         "this event type must travel encrypted and the relay offers no TLS"),
    ],
)  # fmt: skip
def test_each_check_refuses_with_its_reason(check: Check, status: MessageStatus | None, reason: str) -> None:
    """A final status, or in the case of a paused tenant a wait; never the address."""
    verdict = may_we(replace(FREE, **REFUSED[check]))  # type: ignore[arg-type]

    assert not verdict.allowed
    assert (verdict.check, verdict.status, verdict.reason) == (check, status, reason)
    assert verdict.hold == (check is Check.TENANT)


def test_an_opt_out_of_one_channel_leaves_the_others() -> None:
    """No mail about offers is not no offers: the reason says which it was."""
    channel = may_we(replace(FREE, opted_out_of_channel=True))
    both = may_we(replace(FREE, opted_out=True, opted_out_of_channel=True))

    assert not channel.allowed
    assert (channel.check, channel.status) == (Check.OPT_OUT, MessageStatus.SUPPRESSED)
    assert channel.reason == "the recipient opted out of this category on this channel"
    assert channel.is_channel_only
    assert both.reason == "the recipient opted out of this category"
    assert not both.is_channel_only


def test_without_consent_nothing_goes_where_it_is_needed() -> None:
    """Another channel may have it."""
    verdict = may_we(replace(FREE, lacks_consent=True))

    assert (verdict.check, verdict.status) == (Check.OPT_OUT, MessageStatus.SUPPRESSED)
    assert verdict.reason == "the recipient did not opt in to this category, which is told only to who did"
    assert verdict.is_channel_only


@pytest.mark.parametrize("check", Check)
def test_a_refusal_says_whether_another_channel_may_still_do(check: Check) -> None:
    """An address or a relay is one way among several; a person, a subject and the time are not."""
    verdict = may_we(replace(FREE, **REFUSED[check]))  # type: ignore[arg-type]

    assert verdict.is_channel_only == (check in OF_ONE_CHANNEL)
    assert not may_we(FREE).is_channel_only


@pytest.mark.parametrize("check", [check for check in Check if check not in OF_ONE_CHANNEL])
def test_what_holds_for_every_channel_is_said_before_what_holds_for_one(check: Check) -> None:
    """A fallback is never offered to a person who must not be told at all."""
    for_one = {**REFUSED[Check.SUPPRESSION], **REFUSED[Check.TLS], "opted_out_of_channel": True}

    verdict = may_we(replace(FREE, **{**for_one, **REFUSED[check]}))  # type: ignore[arg-type]

    assert verdict.check is check
    assert not verdict.is_channel_only


@pytest.mark.parametrize("first", range(len(Check)))
def test_the_first_check_that_refuses_decides(first: int) -> None:
    """In the order of the list: a paused tenant before everything, TLS last."""
    checks = list(Check)[first:]
    facts = {key: value for check in checks for key, value in REFUSED[check].items()}

    assert may_we(replace(FREE, **facts)).check is checks[0]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("stage", "order", "expected"),
    [("approved", 1, False), ("requested", 0, False), ("rejected", 1, True), ("shipped", 2, True)],
)
def test_a_stage_is_superseded_by_a_later_one_or_its_alternative(
    stage: str, order: int, expected: bool  # noqa: FBT001 - a table
) -> None:  # fmt: skip
    """Not by itself, and not while the journey is thought to stand before it."""
    assert is_superseded(JourneyState(stage=stage, order=order, is_terminal=False), STAGE) is expected


def test_without_a_journey_nothing_is_superseded() -> None:
    """Notifications of plain rules have no stage."""
    assert not is_superseded(None, STAGE)
    assert not is_superseded(JourneyState(stage="shipped", order=3, is_terminal=False), None)


@pytest.mark.parametrize(
    ("audience", "recipient", "addressed", "expected"),
    [
        (("*",), Recipient(phone="+491"), False, True),
        (("to",), Recipient(email="a@example.com"), True, True),
        (("to",), Recipient(email="a@example.com"), False, False),
        (("operators", "to"), Recipient(email="a@example.com", role="operators"), False, True),
        (("operators",), Recipient(email="a@example.com", role="sales"), False, False),
        (("domain:example.com",), Recipient(email="a@EXAMPLE.com"), False, True),
        (("domain:Example.com",), Recipient(email="a@example.com"), False, True),
        (("domain:example.com",), Recipient(email="a@sub.example.com"), False, False),
        (("domain:example.com",), Recipient(email="a@example.com.evil.org"), False, False),
        (("domain:example.com",), Recipient(phone="+491"), False, False),
        ((), Recipient(email="a@example.com"), True, False),
    ],
)
def test_the_audience_admits(
    audience: tuple[str, ...], recipient: Recipient, addressed: bool, expected: bool  # noqa: FBT001
) -> None:  # fmt: skip
    """Everybody, the addressed, a role, or a domain exactly."""
    facts = replace(FREE, audience=audience, recipient=recipient, recipient_is_addressed=addressed)

    assert may_we(facts).allowed is expected


@pytest.mark.parametrize(("required", "offered"), [(True, True), (False, False), (False, True)])
def test_tls_matters_only_where_it_is_required_and_lacking(required: bool, offered: bool) -> None:  # noqa: FBT001
    """Other mail may go in the clear where the relay has nothing better."""
    assert may_we(replace(FREE, is_tls_required=required, has_tls=offered)).allowed
