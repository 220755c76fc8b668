"""Messages and channels for the contract tests, of a patient and a hurried kind."""

from notifier.channels.smtp import SmtpChannel, SmtpRelay
from notifier.ids import uuid7
from notifier.messages import ChannelName, Outgoing, Rendered
from tests.contracts.smtp_server import SmtpServer

TO = "bob.secret@example.org"
PHONE = "+15005550006"


def mail(**changes: object) -> Outgoing:
    """Return a valid mail with some fields changed; ``text`` and ``html`` go into its content."""
    content = Rendered(
        subject="Shipped",
        text=str(changes.pop("text", "On its way")),
        html=changes.pop("html", None),  # type: ignore[arg-type]
    )
    values: dict[str, object] = {
        "id": uuid7(), "channel": ChannelName.EMAIL, "tenant": "default", "to": TO,
        "sender": "shop@example.com", "message_id": "<1.mac@example.com>", "content": content,
        "type": "order.shipped",
    }  # fmt: skip
    return Outgoing(**(values | changes))  # type: ignore[arg-type]


def sms(**changes: object) -> Outgoing:
    """Return a valid text message with some fields changed."""
    values: dict[str, object] = {
        "id": uuid7(), "channel": ChannelName.SMS, "tenant": "default", "to": PHONE,
        "content": Rendered(text=str(changes.pop("text", "Your code is 1234"))), "type": "password.reset",
    }  # fmt: skip
    return Outgoing(**(values | changes))  # type: ignore[arg-type]


def smtp_channel(server: SmtpServer, **changes: object) -> SmtpChannel:
    """Return a channel to a test server, patient enough for a busy machine."""
    values: dict[str, object] = {
        "name": "test", "host": "127.0.0.1", "port": server.port, "security": "none", "connect_seconds": 5,
        "login_seconds": 10, "command_seconds": 10, "data_seconds": 10, "dot_seconds": 10,
    }  # fmt: skip
    return SmtpChannel(SmtpRelay(**(values | changes)))  # type: ignore[arg-type]


def hurried_channel(server: SmtpServer, **changes: object) -> SmtpChannel:
    """Return a channel for servers that hang: no phase waits longer than 0.4 s."""
    times = dict.fromkeys(("login_seconds", "command_seconds", "data_seconds", "dot_seconds"), 0.4)
    return smtp_channel(server, **(times | changes))
