"""Preferences and opt-outs shape the channel plan, within what law and urgency leave to the person."""

import pytest

from notifier.decisions import ChannelStep, Contact
from notifier.events import Recipient, Urgency
from notifier.messages import ChannelName, MessageClass, Preference
from notifier.recipients.preferences import can_opt_out, is_opted_out, plan_channels, plan_reachable
from notifier.recipients.resolve import address_on

EMAIL, SMS, PORTAL = ChannelName.EMAIL, ChannelName.SMS, ChannelName.PORTAL
TRANSACTIONAL, OPERATIONAL = MessageClass.TRANSACTIONAL, MessageClass.OPERATIONAL
SUBSCRIPTION, MARKETING = MessageClass.SUBSCRIPTION, MessageClass.MARKETING
STEPS = tuple(ChannelStep(channel=channel) for channel in (EMAIL, SMS, PORTAL))


@pytest.mark.parametrize(
    ("message_class", "urgency", "expected"),
    [
        (TRANSACTIONAL, Urgency.BULK, False),
        (TRANSACTIONAL, Urgency.URGENT, False),
        (OPERATIONAL, Urgency.URGENT, False),
        (OPERATIONAL, Urgency.NORMAL, True),
        (SUBSCRIPTION, Urgency.URGENT, True),
        (MARKETING, Urgency.NORMAL, True),
    ],
)
def test_what_must_be_told_cannot_be_refused(
    message_class: MessageClass, urgency: Urgency, expected: bool  # noqa: FBT001 - a table
) -> None:  # fmt: skip
    """Transactional never, operations not when urgent."""
    assert can_opt_out(message_class, urgency) is expected


@pytest.mark.parametrize(
    ("message_class", "urgency", "preferred", "expected", "reasons"),
    [
        (TRANSACTIONAL, Urgency.NORMAL, (), (EMAIL, SMS, PORTAL), ()),
        (TRANSACTIONAL, Urgency.NORMAL, (SMS,), (SMS, EMAIL, PORTAL), ("prefers sms",)),
        (TRANSACTIONAL, Urgency.NORMAL, (SMS, PORTAL, SMS), (SMS, PORTAL, EMAIL), ("prefers sms, portal",)),
        (TRANSACTIONAL, Urgency.NORMAL, (EMAIL,), (EMAIL, SMS, PORTAL), ()),
        (TRANSACTIONAL, Urgency.URGENT, (SMS,), (EMAIL, SMS, PORTAL), ()),
        (OPERATIONAL, Urgency.NORMAL, (PORTAL, SMS), (PORTAL, SMS), ("prefers portal, sms",)),
        (MARKETING, Urgency.BULK, (EMAIL,), (EMAIL,), ("prefers email",)),
        (MARKETING, Urgency.BULK, (ChannelName.CONSOLE,), (EMAIL, SMS, PORTAL),
         ("none of the preferred channels is in the plan",)),
    ],
)  # fmt: skip
def test_preferred_channels_come_first(
    message_class: MessageClass,
    urgency: Urgency,
    preferred: tuple[ChannelName, ...],
    expected: tuple[ChannelName, ...],
    reasons: tuple[str, ...],
) -> None:
    """Alone where the person may refuse, before the others where not, and never when it is urgent."""
    contact = Contact(channels=preferred)

    plan = plan_channels(STEPS, contact, "orders", message_class=message_class, urgency=urgency)

    assert tuple(step.channel for step in plan.steps) == expected
    assert plan.reasons == reasons
    assert not plan.is_opted_out


def test_a_step_keeps_its_window_when_it_moves() -> None:
    """Preferences change the order, not the steps."""
    steps = (ChannelStep(channel=EMAIL), ChannelStep(channel=SMS, within=None))

    plan = plan_channels(steps, Contact(channels=(SMS,)), "orders", message_class=TRANSACTIONAL)

    assert plan.steps == (steps[1], steps[0])


def test_a_refused_channel_leaves_the_plan() -> None:
    """The others stay."""
    contact = Contact(opt_outs=frozenset({"orders:sms", "news"}))

    plan = plan_channels(STEPS, contact, "orders", message_class=OPERATIONAL)

    assert [step.channel for step in plan.steps] == [EMAIL, PORTAL]
    assert plan.reasons == ("opted out of orders by sms",)


def test_a_refused_channel_is_not_brought_back_by_a_preference() -> None:
    """A refusal is stronger."""
    contact = Contact(channels=(SMS, EMAIL), opt_outs=frozenset({"orders:sms"}))

    plan = plan_channels(STEPS, contact, "orders", message_class=OPERATIONAL)

    assert [step.channel for step in plan.steps] == [EMAIL]
    assert plan.reasons == ("opted out of orders by sms", "prefers email")


@pytest.mark.parametrize("opt_outs", [{"orders"}, {"orders:email", "orders:sms", "orders:portal"}])
def test_a_refused_category_is_left_to_the_gate(opt_outs: set[str]) -> None:
    """The plan stays, so that the refusal is recorded with the message."""
    plan = plan_channels(STEPS, Contact(opt_outs=frozenset(opt_outs)), "orders", message_class=MARKETING)

    assert (plan.steps, plan.is_opted_out, plan.reasons) == (STEPS, True, ("opted out of orders",))


@pytest.mark.parametrize(
    ("contact", "channel", "message_class", "expected"),
    [
        (None, EMAIL, MARKETING, False),
        (Contact(), EMAIL, MARKETING, False),
        (Contact(opt_outs=frozenset({"orders"})), EMAIL, MARKETING, True),
        (Contact(opt_outs=frozenset({"orders:sms"})), EMAIL, MARKETING, False),
        (Contact(opt_outs=frozenset({"orders:sms"})), SMS, MARKETING, True),
        (Contact(opt_outs=frozenset({"orders"})), EMAIL, TRANSACTIONAL, False),
    ],
)
def test_the_gate_asks_per_channel(
    contact: Contact | None, channel: ChannelName, message_class: MessageClass, expected: bool  # noqa: FBT001
) -> None:  # fmt: skip
    """The same rules as for the plan."""
    answer = is_opted_out(contact, "orders", channel, message_class=message_class, urgency=Urgency.NORMAL)

    assert answer is expected


def test_what_cannot_be_unsubscribed_takes_no_refusal() -> None:
    """A preferred channel comes first, and the others stay behind it: it is told in any case."""
    contact = Contact(opt_outs=frozenset({"orders"}), channels=(SMS,))

    plan = plan_channels(
        STEPS, contact, "orders", message_class=OPERATIONAL, preference=Preference.CANT_UNSUBSCRIBE
    )

    assert [step.channel for step in plan.steps] == [SMS, EMAIL, PORTAL]
    assert not plan.is_opted_out


@pytest.mark.parametrize(
    ("wishes", "expected", "reasons"),
    [
        ({"opt_ins": ["orders"]}, (EMAIL, SMS, PORTAL), ()),
        ({"opt_ins": ["orders:sms"]}, (SMS,),
         ("did not opt in to orders by email", "did not opt in to orders by portal")),
        ({"opt_ins": ["orders"], "opt_outs": ["orders:sms"]}, (EMAIL, PORTAL),
         ("opted out of orders by sms",)),
        ({"opt_ins": ["news"]}, (EMAIL, SMS, PORTAL), ("did not opt in to orders",)),
        ({}, (EMAIL, SMS, PORTAL), ("did not opt in to orders",)),
    ],
)  # fmt: skip
def test_a_type_to_opt_in_to_is_planned_where_the_person_did(
    wishes: dict[str, list[str]], expected: tuple[ChannelName, ...], reasons: tuple[str, ...]
) -> None:
    """Where they did nowhere, the plan stays, so that the refusal is recorded."""
    plan = plan_channels(
        STEPS, Contact(wishes=wishes), "orders", message_class=MARKETING, preference=Preference.OPT_IN
    )

    assert tuple(step.channel for step in plan.steps) == expected
    assert plan.reasons == reasons
    assert plan.is_opted_out is ("did not opt in to orders" in reasons)


def test_transactional_mail_needs_no_consent() -> None:
    """Somebody ordered it."""
    plan = plan_channels(STEPS, None, "orders", message_class=TRANSACTIONAL, preference=Preference.OPT_IN)

    assert (plan.steps, plan.reasons) == (STEPS, ())


def test_without_a_contact_the_plan_is_the_rules() -> None:
    """Nothing is known of them."""
    plan = plan_channels(STEPS, None, "orders", message_class=MARKETING)

    assert (plan.steps, plan.reasons) == (STEPS, ())


@pytest.mark.parametrize(
    ("recipient", "expected", "reasons"),
    [
        (Recipient(email="a@example.com", phone="+491"), [EMAIL, SMS, PORTAL], ()),
        (Recipient(email="a@example.com"), [EMAIL, PORTAL], ("not by sms: no phone number is known",)),
        (Recipient(phone="+491"), [SMS, PORTAL], ("not by email: no email address is known",)),
        (Recipient(contact="K-1"), [PORTAL],
         ("not by email: no email address is known", "not by sms: no phone number is known")),
    ],
)  # fmt: skip
def test_a_channel_needs_an_address(
    recipient: Recipient, expected: list[ChannelName], reasons: tuple[str, ...]
) -> None:
    """The portal knows people by whatever identifies them."""
    plan = plan_reachable(STEPS, recipient)

    assert [step.channel for step in plan.steps] == expected
    assert plan.reasons == reasons


@pytest.mark.parametrize(
    ("recipient", "expected"),
    [
        (Recipient(endpoint="crm"), [ChannelName.WEBHOOK, ChannelName.APPRISE]),
        (Recipient(email="a@example.com", endpoint="crm"), [ChannelName.WEBHOOK, ChannelName.APPRISE, EMAIL]),
        (Recipient(email="a@example.com"), [EMAIL]),
    ],
)
def test_a_webhook_needs_an_endpoint(recipient: Recipient, expected: list[ChannelName]) -> None:
    """Its name in the settings; no person's address leads there."""
    steps = tuple(ChannelStep(channel=one) for one in (ChannelName.WEBHOOK, ChannelName.APPRISE, EMAIL))

    plan = plan_reachable(steps, recipient)

    assert [step.channel for step in plan.steps] == expected
    assert address_on(recipient, ChannelName.WEBHOOK) == (recipient.endpoint or "")
    assert Recipient.from_json(recipient.to_json()) == recipient
