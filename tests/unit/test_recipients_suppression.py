"""Which entry of the suppression list forbids which message (O8, C8)."""

from datetime import UTC, datetime, timedelta

import pytest

from notifier.events import Urgency
from notifier.messages import ChannelName, MessageClass, Preference
from notifier.recipients.suppression import (
    Asked,
    Cause,
    ComplaintScope,
    Suppression,
    first_that_forbids,
    forbids,
)

AT = datetime(2026, 5, 4, 12, tzinfo=UTC)


def asked(
    message_class: MessageClass = MessageClass.MARKETING,
    preference: Preference = Preference.OPT_OUT,
    channel: ChannelName = ChannelName.EMAIL,
    complaints: ComplaintScope = "refusable",
    urgency: Urgency = Urgency.NORMAL,
) -> Asked:
    """Return what is to be sent."""
    return Asked(
        channel=channel,
        message_class=message_class,
        urgency=urgency,
        preference=preference,
        complaints=complaints,
    )


def entry(cause: Cause, hours: int = 0) -> Suppression:
    """Return an entry."""
    return Suppression(reason=cause.value, since=AT + timedelta(hours=hours), cause=cause)


RESET = asked(MessageClass.TRANSACTIONAL)
RECALL = asked(MessageClass.OPERATIONAL, Preference.CANT_UNSUBSCRIBE)
NEWS = asked()
PORTAL = asked(channel=ChannelName.PORTAL)
EVERYTHING, NOTHING = {"reset", "recall", "news", "portal"}, set[str]()
MAILS = {"reset": RESET, "recall": RECALL, "news": NEWS, "portal": PORTAL}


@pytest.mark.parametrize(
    ("cause", "forbidden"),
    [
        (Cause.HARD_BOUNCE, {"reset", "recall", "news"}),
        (Cause.SOFT_BOUNCES, {"reset", "recall", "news"}),
        (Cause.STOP, {"reset", "recall", "news"}),
        (Cause.COMPLAINT, {"news"}),
        (Cause.UNSUBSCRIBE, {"news", "portal"}),
        (Cause.MANUAL, EVERYTHING),
        (Cause.IMPORT, EVERYTHING),
    ],
)
def test_each_cause_forbids_what_it_is_about(cause: Cause, forbidden: set[str]) -> None:
    """A dead mailbox gets nothing, the portal is another place; who complains can still reset a password."""
    assert {name for name, mail in MAILS.items() if forbids(entry(cause), mail)} == forbidden


def test_an_entry_for_one_category_stops_what_may_be_refused() -> None:
    """Whoever made it."""
    orders = Suppression(reason="by hand", since=AT, cause=Cause.MANUAL, scope="orders")

    assert {name for name, mail in MAILS.items() if forbids(orders, mail)} == {"news", "portal"}


def test_a_tenant_may_want_that_a_complaint_ends_everything() -> None:
    """As some providers do with all of an account's mail."""
    strict = asked(MessageClass.TRANSACTIONAL, complaints="all")

    assert forbids(entry(Cause.COMPLAINT), strict)


def test_urgent_operations_go_out_whatever_was_unsubscribed() -> None:
    """As an opt-out in the address book does not count against them either."""
    assert not forbids(entry(Cause.UNSUBSCRIBE), asked(MessageClass.OPERATIONAL, urgency=Urgency.URGENT))


def test_the_entry_that_stands_longest_is_the_reason() -> None:
    """Of those that forbid it; one that does not says nothing."""
    entries = [entry(Cause.MANUAL, 5), entry(Cause.HARD_BOUNCE, 2), entry(Cause.UNSUBSCRIBE, 0)]

    found = first_that_forbids(entries, RESET)

    assert found is not None
    assert found.cause is Cause.HARD_BOUNCE
    assert first_that_forbids([entry(Cause.UNSUBSCRIBE)], RESET) is None
    assert first_that_forbids([], NEWS) is None
