"""A relay that hangs with all its connections holds up its own mail, and nobody else's (law 6)."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from notifier.client import Client
from tests.contracts.sms_server import SmsServer
from tests.contracts.smtp_server import At, Hang, SmtpServer
from tests.processes import Processes, poll
from tests.services import Flow

pytestmark = pytest.mark.servers

CONNECTIONS = 8
CORE = "sweep,track,ingest.urgent,ingest.normal,ingest.bulk"
DELIVER = "deliver.urgent,deliver.normal,deliver.bulk"
QUIET = ("-P", "threads", "--without-mingle", "--without-gossip")


@pytest.fixture
def other() -> Iterator[SmtpServer]:
    """A second relay, for what is urgent."""
    with SmtpServer() as server:
        yield server


@pytest.fixture
def processes(flow: Flow, other: SmtpServer, server_directory: Path) -> Iterator[Processes]:
    """One process that sends all there is, over two relays and a gateway; told no number of threads."""
    sms = flow.services.settings.sms
    assert sms is not None
    with Processes(
        flow,
        server_directory,
        NOTIFIER_RELAYS__DEFAULT__CONNECTIONS=str(CONNECTIONS),
        NOTIFIER_RELAYS__DEFAULT__COMMAND_TIMEOUT="60s",
        NOTIFIER_RELAYS__URGENT__HOST="127.0.0.1",
        NOTIFIER_RELAYS__URGENT__PORT=str(other.port),
        NOTIFIER_RELAYS__URGENT__SECURITY="none",
        NOTIFIER_URGENT_RELAY="urgent",
        NOTIFIER_SMS__BASE_URL=sms.base_url,
        NOTIFIER_SMS__ACCOUNT_SID=sms.account_sid,
        NOTIFIER_SMS__AUTH_TOKEN=sms.auth_token.get_secret_value(),
        NOTIFIER_SMS__SENDER=sms.sender,
        # One message a chunk, so that a few messages are enough to take every connection.
        NOTIFIER_TUNING__DELIVER_CHUNK="1",
    ) as running:
        running.start("worker", "-n", "core@test", "-Q", CORE, *QUIET, name="core")
        running.start("worker", "-n", "deliver@test", "-Q", DELIVER, *QUIET, name="deliver")
        running.start("beat", "-s", str(server_directory / "beat"))
        yield running


def test_a_hung_relay_stops_neither_another_relay_nor_the_gateway(
    processes: Processes, flow: Flow, smtp: SmtpServer, other: SmtpServer, sms: SmsServer
) -> None:
    """With as many connections as the process once had threads, all of them held, and more mail waiting."""
    smtp.always(At.MAIL, Hang())
    order, alarm = (flow.services.catalog[name] for name in ("order.shipped", "login.repeated_failures"))
    with Client(flow.services.settings.redis_url.get_secret_value(), source="test") as client:
        for number in range(2 * CONNECTIONS):
            client.enqueue(order.type, subject=f"O-{number}", data=order.sample)
        poll(lambda: smtp.connections == CONNECTIONS, seconds=60)

        for number in range(3):
            client.enqueue(alarm.type, subject=f"S-{number}", data=alarm.sample)
        poll(lambda: len(other.received) >= 3 and len(sms.received) >= 3)

    states = flow.query("SELECT relay, state, count(*) FROM work GROUP BY relay, state")
    assert smtp.received == []
    assert sum(count for relay, _, count in states if relay == "default") == 2 * CONNECTIONS
    assert smtp.connections == CONNECTIONS
    # So that the worker need not wait for its deadlines to end.
    smtp.hang_up()
