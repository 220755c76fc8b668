"""Messages and channels for the contract tests, of a patient and a hurried kind."""

from email import message_from_bytes, policy
from uuid import UUID

from notifier.channels.smtp import SmtpChannel, SmtpRelay
from notifier.ids import uuid7
from notifier.messages import ChannelName, Outgoing, Rendered
from tests.contracts.cases import Seen
from tests.contracts.smtp_server import SmtpServer

TO = "bob.secret@example.org"
PHONE = "+15005550006"


def mail(**changes: object) -> Outgoing:
    """Return a valid mail with some fields changed; ``text`` and ``html`` go into its content."""
    content = Rendered(
        subject=str(changes.pop("subject", "Shipped")),
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


def parsed(raw: bytes, *, to: str, ours: UUID) -> Seen:
    """Return what a provider that takes MIME makes of a mail."""
    assert raw.count(b"\n") == raw.count(b"\r\n")
    found = message_from_bytes(raw, policy=policy.default)
    text, html = found.get_body(("plain",)), found.get_body(("html",))
    assert text is not None
    return Seen(
        to=to,
        text=text.get_content(),
        html=html.get_content() if html is not None else None,
        subject=str(found["Subject"]),
        ours=ours,
        headers=dict(found.items()),
        files=[
            (str(one.get_filename()), one.get_content_type(), one.get_payload(decode=True))  # type: ignore[misc]
            for one in found.iter_attachments()
        ],
    )


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
