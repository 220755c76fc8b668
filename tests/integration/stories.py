"""A notifier among providers that misbehave: make it, let time pass, read what became of each message.

Knows no provider's mischief; the tests of each kind of provider do.
"""

from email import message_from_bytes
from typing import Any

from notifier.messages import ChannelName
from notifier.reports.histories import Histories
from notifier.reports.history import MessageHistory
from notifier.reports.naming import Kind, Named
from tests.contracts.smtp_server import SmtpServer
from tests.services import Flow, MakeFlow

TEAMS = ("operators", "on-call", "returns-staff", "sales", "helpdesk")
PHASES = ("connect_timeout", "login_timeout", "command_timeout", "data_timeout", "dot_timeout")
HURRY = "500ms"
"""How long a hanging provider is waited for in tests; all that behave get :data:`PATIENCE`."""
PATIENCE = "10s"

Story = tuple[MessageHistory, ...]
"""The messages of one notification, the fallbacks behind the first."""


def notifier_with(make_flow: MakeFlow, *, on_call: list[dict[str, str]], **settings: Any) -> Flow:
    """Make a notifier with the shipped types and rules, and with these people on call."""
    lists = {team: [f"{team}@notifier.example"] for team in TEAMS}
    return make_flow(lists={**lists, "on-call": on_call}, **settings)


def smtp_relay(port: int, **settings: object) -> dict[str, object]:
    """Return the settings of a relay on this machine, patient and in the clear where they say nothing else."""
    return {
        "host": "127.0.0.1",
        "port": port,
        "security": "none",
        **dict.fromkeys(PHASES, PATIENCE),
        **settings,
    }


def stories(flow: Flow, event_type: str, channel: ChannelName) -> list[Story]:
    """Return what the log tells of the notifications of a type that began on a channel, oldest first."""
    services = flow.services
    histories = Histories(services.keyring, services.catalog, services.settings.mail.domain)
    rows = flow.query(
        """SELECT notification_id FROM message WHERE type = %s AND channel = %s AND position = 0
           ORDER BY subject, id""",
        event_type, channel.value,
    )  # fmt: skip
    with services.database.connection() as connection:
        return [
            histories.load(connection, Named(Kind.NOTIFICATION, one)).notifications[0].messages
            for (one,) in rows
        ]


def hit_and_others(told: list[Story]) -> tuple[MessageHistory, list[MessageHistory]]:
    """Return the first message that met a failure, and those beside it that did not; one must have."""
    firsts = [messages[0] for messages in told]
    (hit,) = [message for message in firsts if any(one.outcome != "sent" for one in message.tries)]
    return hit, [message for message in firsts if message is not hit]


def go_on(flow: Flow) -> None:
    """Let time pass until nothing waits any more; a provider that failed is given one message at first."""
    for _ in range(6):
        flow.make_due()
        flow.deliver()
        if not flow.query("SELECT 1 FROM work"):
            return
    raise AssertionError(flow.query("SELECT channel, lane, relay, state, attempt FROM work"))


def message_ids(server: SmtpServer, address: str) -> set[str]:
    """Return the Message-IDs of the mails a relay took for an address."""
    return {
        message_from_bytes(mail.data)["Message-ID"] for mail in server.received if mail.recipient == address
    }
