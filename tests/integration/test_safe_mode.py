"""A staging system writes to nobody but those it names, and says so."""

from email import message_from_bytes, policy

import pytest

from tests.services import Flow, MakeFlow

pytestmark = pytest.mark.servers

CUSTOMER = {"name": "Ada", "email": "Ada@Customer.example", "phone": "+4915112345678"}


def ship(flow: Flow) -> None:
    """Let an order of the customer's be shipped, and send what is due."""
    flow.ingest(flow.sample("order.shipped", data={"customer": CUSTOMER}))
    flow.deliver()


def test_what_is_for_others_goes_to_somebody_of_ours(make_flow: MakeFlow) -> None:
    """It is marked, and names the recipient in no header."""
    flow = make_flow(safe_mode={"redirect_email": "staging@ours.example"})

    ship(flow)

    (received,) = flow.smtp.received
    mail = message_from_bytes(received.data, policy=policy.default)
    assert received.recipient == "staging@ours.example"
    assert mail["Subject"].startswith("[safe mode] ")
    assert "customer.example" not in str(mail["To"]).lower()


@pytest.mark.parametrize("allowed", ["ada@customer.example", "@customer.example"])
def test_who_is_on_the_list_is_written_to(make_flow: MakeFlow, allowed: str) -> None:
    """By address, or by domain, in whatever case."""
    flow = make_flow(safe_mode={"allow": [allowed]})

    ship(flow)

    (received,) = flow.smtp.received
    assert received.recipient.lower() == "ada@customer.example"
    assert b"[safe mode]" not in received.data


def test_without_a_place_nothing_leaves(make_flow: MakeFlow) -> None:
    """Neither by mail nor by SMS; the reason stands in the log, and the portal has it."""
    flow = make_flow(safe_mode={"allow": ["@ours.example"]})

    ship(flow)

    assert flow.smtp.received == []
    assert flow.sms.received == []
    reasons = {channel: (status, reason or "") for channel, status, reason in flow.messages()}
    assert reasons["email"][0] == "suppressed"
    assert "safe mode" in reasons["email"][1]
