"""How sending goes is measured for every tenant and type, and operators are told when it goes badly (B6)."""

from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy

import pytest

from notifier.clock import VirtualClock
from notifier.pipeline.tracking.measuring import TYPE
from tests.contracts.smtp_server import At, Say
from tests.services import Flow, MakeFlow

pytestmark = pytest.mark.servers


def measured(flow: Flow) -> int:
    """Return how many events have been made of measuring."""
    count: int = flow.query("SELECT count(*) FROM event WHERE type = %s", TYPE)[0][0]
    return count


def test_a_failure_rate_is_told_to_operators(make_flow: MakeFlow) -> None:
    """Once, with what and whose; mails about it are no part of it."""
    clock = VirtualClock(datetime.now(UTC))
    flow = make_flow(clock=clock)
    flow.smtp.always(At.RCPT, Say("550 5.1.1 no such user"))
    people = [{"name": "A", "email": f"a{n}@example.org"} for n in range(20)]
    flow.ingest(
        *(
            flow.sample("order.shipped", subject=f"A-{n}", data={"customer": one})
            for n, one in enumerate(people)
        )
    )
    flow.deliver()
    flow.smtp.always(At.RCPT, Say("250 2.1.5 Ok"))

    for _ in range(3):
        flow.services.sweep.run()
        clock.advance(timedelta(seconds=20))
    flow.deliver()

    (received,) = flow.smtp.received
    mail = message_from_bytes(received.data, policy=policy.default)
    assert received.recipient == "operators@notifier.example"
    assert mail["Subject"] == "order.shipped: 20 of 20 messages by email failed"
    assert measured(flow) == 2, "one of the measuring, one of what the group says of it"


def test_what_goes_well_is_no_event(flow: Flow) -> None:
    """Nor does anything wait."""
    flow.ingest(flow.sample("order.shipped"))
    flow.deliver()

    flow.services.sweep.run()

    assert measured(flow) == 0


def test_late_mail_is_told(make_flow: MakeFlow) -> None:
    """By how long the oldest has waited."""
    flow = make_flow()
    flow.ingest(flow.sample("order.shipped"))
    with flow.services.database.connection() as connection:
        connection.execute("UPDATE message SET created_at = created_at - interval '14 minutes'")
        connection.execute("UPDATE work SET due_at = now() + interval '1 hour'")

    flow.services.sweep.run()
    flow.services.sweep.run()
    flow.deliver()

    subjects = [message_from_bytes(one.data, policy=policy.default)["Subject"] for one in flow.smtp.received]
    assert subjects == ["order.shipped: 1 of 1 messages by email wait, the oldest for 14 minutes"]
