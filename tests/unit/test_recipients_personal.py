"""One verdict for one person, one thing and one channel: now, later or never, and why in words."""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.decisions import Contact
from notifier.events import Urgency
from notifier.messages import ChannelName, MessageClass, Preference
from notifier.recipients.budgets import DEFAULT_BUDGETS, UNLIMITED, Budget
from notifier.recipients.digests import DigestPolicy, Gather
from notifier.recipients.personal import (
    Kind,
    Personal,
    PersonFacts,
    is_exempt,
    when_to_release,
    when_to_tell,
)
from notifier.recipients.preferences import can_opt_out
from notifier.recipients.quiet import quiet_until
from notifier.recipients.wishes import NO_WISHES, QuietHours, Wishes
from tests.waiting import Waiting, due_at, take

EMAIL, SMS = ChannelName.EMAIL, ChannelName.SMS
OPERATIONAL, TRANSACTIONAL = MessageClass.OPERATIONAL, MessageClass.TRANSACTIONAL
MARKETING = MessageClass.MARKETING
CANT, IN, OUT = Preference.CANT_UNSUBSCRIBE, Preference.OPT_IN, Preference.OPT_OUT
NIGHTS = (QuietHours(start=time(22), until=time(7)),)
DAILY = DigestPolicy(gather=Gather.ACCUMULATE, at=(time(8),))
FIRST = DigestPolicy(gather=Gather.FIRST_NOW, every=timedelta(hours=1))

DAY = datetime(2026, 3, 2, 11, 0, tzinfo=UTC)
"""Monday noon in Berlin."""
NIGHT = datetime(2026, 3, 2, 23, 30, tzinfo=UTC)
"""Tuesday, half past midnight in Berlin."""
MORNING = datetime(2026, 3, 3, 6, 0, tzinfo=UTC)
"""Tuesday, seven o'clock in Berlin."""

FACTS = PersonFacts(category="it", channel=SMS, message_class=OPERATIONAL, zone="Europe/Berlin")
MINUTE = timedelta(minutes=1)


def facts(**changes: Any) -> PersonFacts:
    """Return an ordinary operational notification by SMS, changed."""
    return replace(FACTS, **changes)


def wishes(**fields: Any) -> Wishes:
    """Return wishes; consent is written as a set of texts."""
    values: dict[str, Any] = {}
    for name, item in fields.items():
        values[name] = frozenset(item) if isinstance(item, set) else item
    return Wishes(**values)


def test_who_set_nothing_is_told_now() -> None:
    """Also at night."""
    assert when_to_tell(FACTS, NIGHT) == Personal(kind=Kind.NOW, reason="nothing they set holds it back")


@pytest.mark.parametrize(
    ("changes", "reason", "is_channel_only"),
    [
        ({"wishes": wishes(opt_outs={"it"})}, "opted out of it", False),
        ({"wishes": wishes(opt_outs={"it:sms"})}, "opted out of it by sms", True),
        ({"wishes": wishes(opt_outs={"it", "it:sms"})}, "opted out of it", False),
        # What the address book says today counts as before.
        ({"contact": Contact(opt_outs=frozenset({"it"}))}, "opted out of it", False),
        ({"contact": Contact(opt_outs=frozenset({"it:sms"}))}, "opted out of it by sms", True),
        # A refusal is stronger than consent.
        ({"preference": IN, "wishes": wishes(opt_ins={"it:sms"}, opt_outs={"it"})}, "opted out of it", False),
        ({"preference": IN, "wishes": wishes(opt_ins={"it"}, opt_outs={"it:sms"})},
         "opted out of it by sms", True),
        # Without consent, nothing: not even what is urgent.
        ({"preference": IN}, "did not opt in to it, which is told only to who did", False),
        ({"preference": IN, "urgency": Urgency.URGENT},
         "did not opt in to it, which is told only to who did", False),
        ({"preference": IN, "wishes": wishes(opt_ins={"news", "it_too"})},
         "did not opt in to it, which is told only to who did", False),
        ({"preference": IN, "wishes": wishes(opt_ins={"it:email"})},
         "did not opt in to it by sms, which is told only to who did", True),
        ({"severity": "info", "wishes": wishes(at_least={"*": "warning"})},
         "severity info is below warning, the least they want of it", False),
        ({"severity": "error", "wishes": wishes(at_least={"*": "info", "it": "critical"})},
         "severity error is below critical, the least they want of it", False),
        # Marketing can be refused however urgent it claims to be.
        ({"message_class": MARKETING, "urgency": Urgency.URGENT, "wishes": wishes(opt_outs={"it"})},
         "opted out of it", False),
        # A refusal goes before whatever would only hold it.
        ({"wishes": wishes(opt_outs={"it"}, quiet=NIGHTS, digests={"it": DAILY})}, "opted out of it", False),
    ],
)  # fmt: skip
def test_what_is_not_wanted_is_never_told(
    changes: dict[str, Any], reason: str, is_channel_only: bool  # noqa: FBT001 - a table
) -> None:  # fmt: skip
    """Opt-outs, missing consent, and what is too slight."""
    expected = Personal(kind=Kind.NEVER, reason=reason, is_channel_only=is_channel_only)

    assert when_to_tell(facts(**changes), NIGHT) == expected


@pytest.mark.parametrize(
    "changes",
    [
        {"wishes": wishes(opt_outs={"it:email", "news"})},
        {"preference": IN, "wishes": wishes(opt_ins={"it"})},
        {"preference": IN, "wishes": wishes(opt_ins={"it:sms"})},
        {"severity": "warning", "wishes": wishes(at_least={"*": "warning"})},
        {"severity": "info", "wishes": wishes(at_least={"*": "error", "it": "info"})},
        {"severity": None, "wishes": wishes(at_least={"*": "critical"})},
        {"severity": "info", "wishes": wishes(at_least={"news": "critical"})},
        {"wishes": wishes(quiet=NIGHTS)},
        {"wishes": wishes(digests={"it": FIRST})},
        {"wishes": wishes(digests={"it": FIRST}), "last_told_at": DAY - timedelta(hours=1)},
        {"wishes": wishes(digests={"*": DAILY, "it": DigestPolicy(gather=Gather.NONE)})},
        {"budget": DEFAULT_BUDGETS[SMS], "sent": [DAY - n * MINUTE for n in (15, 4, 3, 2, 1)]},
    ],
)
def test_what_is_wanted_and_not_held_is_told_now(changes: dict[str, Any]) -> None:
    """At noon."""
    assert when_to_tell(facts(**changes), DAY).kind is Kind.NOW


@pytest.mark.parametrize(
    ("changes", "now", "until", "digest", "reason"),
    [
        ({"wishes": wishes(quiet=NIGHTS)}, NIGHT, MORNING, "held:sms", "quiet hours until 07:00 Europe/Berlin"),
        ({"wishes": wishes(quiet=NIGHTS), "channel": EMAIL, "zone": None}, NIGHT,
         datetime(2026, 3, 3, 7, tzinfo=UTC), "held:email", "quiet hours until 07:00 UTC"),
        ({"wishes": wishes(quiet=NIGHTS), "zone": "Nowhere/None"}, NIGHT,
         datetime(2026, 3, 3, 7, tzinfo=UTC), "held:sms", "quiet hours until 07:00 UTC"),
        ({"wishes": wishes(quiet=(QuietHours(start=time(0), until=time(0), weekdays=frozenset({0, 1, 2})),))},
         DAY, datetime(2026, 3, 4, 23, tzinfo=UTC), "held:sms",
         "quiet hours until 2026-03-05 00:00 Europe/Berlin"),
        ({"wishes": wishes(digests={"it": DAILY})}, DAY, datetime(2026, 3, 3, 7, tzinfo=UTC), "digest:it:sms",
         "gathered for the digest of it, at 08:00, until 08:00 Europe/Berlin"),
        ({"wishes": wishes(digests={"*": FIRST}), "last_told_at": DAY - 10 * MINUTE}, DAY, DAY + 50 * MINUTE,
         "digest:it:sms", "gathered for the digest of it, every 1h, until 12:50 Europe/Berlin"),
        ({"budget": DEFAULT_BUDGETS[SMS], "sent": [DAY - n * MINUTE for n in (5, 4, 3, 2, 1)]}, DAY,
         DAY + 10 * MINUTE, "held:sms", "no room by sms (5 in 15m) until 12:10 Europe/Berlin"),
        # A digest that would come in the night waits for the morning.
        ({"wishes": wishes(quiet=NIGHTS, digests={"it": FIRST}), "last_told_at": NIGHT - MINUTE}, NIGHT, MORNING,
         "digest:it:sms",
         "gathered for the digest of it, every 1h, until 01:29 Europe/Berlin; quiet hours until 07:00 Europe/Berlin"),
        # A first one is held by the night, too, and stays in its digest.
        ({"wishes": wishes(quiet=NIGHTS, digests={"it": FIRST})}, NIGHT, MORNING, "digest:it:sms",
         "quiet hours until 07:00 Europe/Berlin"),
        # The room comes in the night.
        ({"wishes": wishes(quiet=NIGHTS), "budget": DEFAULT_BUDGETS[SMS],
          "sent": [datetime(2026, 3, 2, 20, 50, tzinfo=UTC)] * 5}, datetime(2026, 3, 2, 20, 55, tzinfo=UTC),
         MORNING, "held:sms",
         "no room by sms (5 in 15m) until 22:05 Europe/Berlin; quiet hours until 07:00 Europe/Berlin"),
        # A rule may have its urgent mail held, too.
        ({"wishes": wishes(quiet=NIGHTS), "urgency": Urgency.URGENT, "ignore_quiet": False}, NIGHT, MORNING,
         "held:sms", "quiet hours until 07:00 Europe/Berlin"),
        # Marketing is not what anybody is woken for, however urgent it claims to be.
        ({"wishes": wishes(quiet=NIGHTS), "urgency": Urgency.URGENT, "message_class": MARKETING}, NIGHT, MORNING,
         "held:sms", "quiet hours until 07:00 Europe/Berlin"),
        # What came before is not overtaken.
        ({"waiting": [DAY - MINUTE]}, DAY, DAY, "held:sms", "told together with what waits already"),
    ],
)  # fmt: skip
def test_what_is_held_says_until_when_and_why(
    changes: dict[str, Any], now: datetime, until: datetime, digest: str, reason: str
) -> None:
    """Quiet hours, digests and budgets: in the person's own time."""
    expected = Personal(kind=Kind.LATER, reason=reason, until=until, digest=digest)

    assert when_to_tell(facts(**changes), now) == expected


EVERYTHING = wishes(
    opt_outs={"it"}, quiet=NIGHTS, at_least={"*": "critical"}, digests={"*": DAILY}
)  # fmt: skip
FULL_OF_IT = {
    "wishes": EVERYTHING, "severity": "info", "budget": DEFAULT_BUDGETS[SMS], "sent": [NIGHT - MINUTE] * 30,
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"message_class": TRANSACTIONAL}, "transactional: never held back"),
        ({"message_class": TRANSACTIONAL, "preference": IN}, "transactional: never held back"),
        ({"message_class": TRANSACTIONAL, "ignore_quiet": False}, "transactional: never held back"),
        ({"preference": CANT}, "cannot be unsubscribed: never held back"),
        ({"preference": CANT, "message_class": MARKETING}, "cannot be unsubscribed: never held back"),
        ({"urgency": Urgency.URGENT}, "urgent: told at once, whatever they set"),
        ({"urgency": Urgency.URGENT, "ignore_quiet": True}, "the rule says at once, whatever they set"),
    ],
)
def test_what_must_be_told_is_told_at_once(changes: dict[str, Any], reason: str) -> None:
    """Against every refusal, in the night, with no budget left."""
    verdict = when_to_tell(facts(**{**FULL_OF_IT, **changes}), NIGHT)

    assert verdict == Personal(kind=Kind.NOW, reason=reason)


def test_a_rule_that_ignores_the_quiet_does_not_ignore_refusals() -> None:
    """It says when, not whether."""
    held = wishes(quiet=NIGHTS, digests={"*": DAILY})

    assert when_to_tell(facts(wishes=held, ignore_quiet=True), NIGHT).kind is Kind.NOW
    assert when_to_tell(facts(**FULL_OF_IT, ignore_quiet=True), NIGHT).kind is Kind.NEVER


@pytest.mark.parametrize(
    ("changes", "now", "until", "reason"),
    [
        ({}, NIGHT, None, "the digest is due"),
        ({"wishes": wishes(digests={"it": DAILY})}, DAY, None, "the digest is due"),
        ({"wishes": wishes(quiet=NIGHTS)}, NIGHT, MORNING, "quiet hours until 07:00 Europe/Berlin"),
        ({"budget": DEFAULT_BUDGETS[SMS], "sent": [DAY - MINUTE] * 5}, DAY, DAY + 14 * MINUTE,
         "no room by sms (5 in 15m) until 12:14 Europe/Berlin"),
    ],
)  # fmt: skip
def test_a_digest_that_is_due_asks_again(
    changes: dict[str, Any], now: datetime, until: datetime | None, reason: str
) -> None:
    """What the person set meanwhile counts; it is not gathered a second time."""
    verdict = when_to_release(facts(**changes), now)

    assert (verdict.kind is Kind.NOW) == (until is None)
    assert (verdict.until, verdict.reason) == (until, reason)


ANY_FACTS = st.builds(
    PersonFacts,
    category=st.just("it"),
    channel=st.sampled_from([EMAIL, SMS]),
    message_class=st.sampled_from(MessageClass),
    urgency=st.sampled_from(Urgency),
    preference=st.sampled_from(Preference),
    severity=st.sampled_from([None, "info", "critical"]),
    ignore_quiet=st.sampled_from([None, True, False]),
    zone=st.sampled_from(["Europe/Berlin", "America/New_York", None]),
    wishes=st.builds(
        wishes,
        opt_ins=st.sets(st.sampled_from(["it", "it:sms"])),
        opt_outs=st.sets(st.sampled_from(["it:email", "news"])),
        quiet=st.sampled_from([(), NIGHTS]),
        at_least=st.sampled_from([{}, {"*": "error"}]),
        digests=st.sampled_from([{}, {"*": DAILY}, {"it": FIRST}]),
    ),
    budget=st.sampled_from([UNLIMITED, DEFAULT_BUDGETS[SMS]]),
    sent=st.lists(st.integers(0, 90).map(lambda n: NIGHT - n * MINUTE), max_size=12),
    last_told_at=st.sampled_from([None, NIGHT - MINUTE]),
)


@settings(deadline=None, max_examples=150)
@given(one=ANY_FACTS, minutes=st.integers(0, 60 * 24))
def test_every_verdict_keeps_what_it_promises(one: PersonFacts, minutes: int) -> None:
    """Later is later, never in the quiet, and with room; what cannot be held is not; always a reason."""
    now = NIGHT + minutes * MINUTE
    verdict = when_to_tell(one, now)

    assert verdict.reason
    assert (verdict.until is not None) == (verdict.digest is not None) == (verdict.kind is Kind.LATER)
    if verdict.until is not None:
        assert verdict.until > now
        assert not is_exempt(one)
        assert quiet_until(one.wishes, one.zone, verdict.until) is None
        assert one.budget.room_at(one.sent, verdict.until) == verdict.until
        assert when_to_release(one, verdict.until).kind is Kind.NOW
    if verdict.kind is Kind.NEVER:
        assert one.message_class is not TRANSACTIONAL
        assert one.preference is not CANT
        assert can_opt_out(one.message_class, one.urgency) or one.preference is IN


@settings(deadline=None, max_examples=60)
@given(one=ANY_FACTS)
def test_who_set_nothing_is_told_as_before(one: PersonFacts) -> None:
    """Without wishes and budgets, every type but one of consent is told at once."""
    nothing = replace(one, wishes=NO_WISHES, budget=UNLIMITED)
    is_consent = one.preference is IN and one.message_class is not TRANSACTIONAL

    assert when_to_tell(nothing, NIGHT).kind is (Kind.NEVER if is_consent else Kind.NOW)


class Phone:
    """Whatever one person gets by SMS, with a sweep that comes on the minute it is due."""

    def __init__(self, **set_: Any) -> None:
        self.facts = facts(**set_)
        self.told: list[str] = []
        self.sent: list[datetime] = []
        self.held: list[Waiting] = []

    def now(self) -> PersonFacts:
        """Return what the pipeline would load."""
        last = self.sent[-1] if self.sent else None
        arrived = [one.arrived_at for one in self.held]
        return replace(self.facts, sent=self.sent, waiting=arrived, last_told_at=last)

    def receive(self, id_: str, at: datetime) -> None:
        """Tell or hold one notification."""
        verdict = when_to_tell(self.now(), at)
        if verdict.kind is Kind.NOW:
            self.told.append(id_)
            self.sent.append(at)
        else:
            assert verdict.until is not None
            self.held.append(Waiting(id=id_, arrived_at=at, until=verdict.until))

    def sweep(self, until: datetime | None) -> None:
        """Release what is due by ``until``, each digest when it may go out."""
        while (due := due_at(self.held)) is not None and (until is None or due <= until):
            verdict = when_to_release(self.now(), due)
            if verdict.until is not None:
                self.held = [replace(one, until=max(one.until, verdict.until)) for one in self.held]
                continue
            taken = take(self.held, due)
            self.told += [one.id for one in taken.told]
            self.sent.append(due)
            self.held = [*taken.left]


@settings(deadline=None, max_examples=60)
@given(
    gaps=st.lists(st.integers(0, 1800), min_size=1, max_size=30),
    quiet=st.sampled_from([(), NIGHTS]),
    digests=st.sampled_from([{}, {"it": FIRST}, {"it": DAILY}]),
    budget=st.sampled_from([UNLIMITED, Budget.parse("1 in 10m"), Budget.parse("2 in 15m", "3 in 1h")]),
)
def test_a_storm_is_told_within_the_budget_and_nothing_is_lost(
    gaps: list[int], quiet: tuple[QuietHours, ...], digests: dict[str, DigestPolicy], budget: Budget
) -> None:
    """Whatever arrives when, each is told once, outside the quiet hours, and no limit is exceeded."""
    phone = Phone(wishes=wishes(quiet=quiet, digests=digests), budget=budget)
    now = datetime(2026, 3, 28, 19, 0, tzinfo=UTC)

    for number, gap in enumerate(gaps):
        now += timedelta(seconds=gap)
        phone.sweep(now)
        phone.receive(str(number), now)
    phone.sweep(None)

    assert sorted(phone.told) == sorted(str(number) for number in range(len(gaps)))
    for moment in phone.sent:
        assert quiet_until(phone.facts.wishes, "Europe/Berlin", moment) is None
        for limit in budget.limits:
            assert sum(moment <= at < moment + limit.within for at in phone.sent) <= limit.count
