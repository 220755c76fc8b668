"""The digest of failures asks a real database, and counts what became of each notification once."""

from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy

import pytest

from tests.contracts.smtp_server import Say
from tests.services import Flow

pytestmark = pytest.mark.servers


def digest(flow: Flow) -> str:
    """Let the digest be due now, and return the text of its mail."""
    # Each statement has the server's clock, this process its own: what came to an end shall lie before.
    moment = datetime.now(UTC) + timedelta(seconds=1)
    flow.ingest(flow.sample("notifier.digest.failures", time=moment.isoformat()))
    flow.deliver()
    mail = message_from_bytes(flow.smtp.received[-1].data, policy=policy.default)
    body = mail.get_body(("plain",))
    assert body is not None
    return "\n".join(body.get_content().splitlines())


def test_a_failure_whose_fallback_arrived_is_a_try_and_dead_letters_are_told(flow: Flow) -> None:
    """One person was told by SMS after the mail had failed; one event was refused."""
    flow.smtp.for_recipient("gone@example.org", Say("550 5.1.1 unknown user"))
    customer = {"name": "Ada", "email": "gone@example.org", "phone": "+4915112345678"}
    flow.ingest(
        flow.sample("order.shipped", data={"customer": customer}),
        {"type": "order.shipped", "subject": "A-3", "data": {}},
    )
    flow.deliver()

    text = digest(flow)

    assert "1 event waits in the dead letters" in text
    assert "1 notification came to an end" in text
    assert "Arrived: 1\n" in text
    assert "Reached nobody: 0\n" in text
    assert "Events refused, waiting now: 1\n" in text
    assert "1 x: order.shipped by email, failed: unknown-recipient" in text


def test_what_was_made_days_ago_is_counted_on_the_day_it_fails(flow: Flow) -> None:
    """A mail for which three days of tries ran out is in the digest of that day."""
    flow.ingest(flow.sample("order.shipped"), flow.sample("order.shipped"))
    with flow.services.database.connection() as connection:
        connection.execute("UPDATE notification SET created_at = created_at - interval '3 days'")
        connection.execute("UPDATE message SET created_at = created_at - interval '3 days'")
        connection.execute("UPDATE notification SET state = 'expired', settled_at = now()")
        connection.execute("UPDATE message SET status = 'expired', settled_at = now()")
        connection.execute("DELETE FROM work")

    text = digest(flow)

    assert "2 notifications of 2 reached nobody" in text
    assert "2 x: order.shipped by email, expired" in text
