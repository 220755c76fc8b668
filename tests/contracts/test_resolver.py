"""A resolver that hangs holds nobody beyond the time for connecting, and is the network's fault."""

import socket
import time
from collections.abc import Callable, Iterator

import pytest

from notifier.channels.base import Channel
from notifier.channels.sms import SmsChannel, SmsProvider
from notifier.channels.smtp import SmtpChannel, SmtpRelay
from notifier.errors import Fault, Phase, TemporaryFailure
from tests.contracts.mails import mail, sms
from tests.contracts.resolver import HungResolver

CONNECT = 0.3


@pytest.fixture(autouse=True)
def resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[HungResolver]:
    """The only resolver there is, silent."""
    with HungResolver() as hung:
        monkeypatch.setattr(socket, "getaddrinfo", hung)
        yield hung


def email_channel() -> SmtpChannel:
    """Return a relay whose name nobody looks up in time."""
    return SmtpChannel(
        SmtpRelay(name="far", host="relay.example.com", security="none", connect_seconds=CONNECT)
    )


def sms_channel() -> SmsChannel:
    """Return such a gateway, with a lot of time for its answer."""
    provider = SmsProvider(
        name="far", base_url="https://sms.example.com", account_sid="AC1", auth_token="t", sender="x",
        connect_seconds=CONNECT, read_seconds=30,
    )  # fmt: skip
    return SmsChannel(provider)


def send(channel: Channel) -> None:
    """Send one message over a session of its own."""
    session = channel.open()
    try:
        session.send(channel.prepare(mail() if channel.name == "email" else sms()))
    finally:
        session.close()


@pytest.mark.parametrize(
    ("channel", "reason"), [(email_channel, "host-lookup-timeout"), (sms_channel, "timeout")]
)
def test_a_silent_resolver_is_a_network_failure_at_connect(
    channel: Callable[[], Channel], reason: str
) -> None:
    """After the time for connecting, not the resolver's; nothing was sent, so it may be tried again."""
    through = channel()
    started = time.monotonic()

    with pytest.raises(TemporaryFailure) as failed:
        send(through)

    assert CONNECT <= time.monotonic() - started < 5
    assert (failed.value.fault, failed.value.reply.phase) == (Fault.NETWORK, Phase.CONNECT)
    assert failed.value.reason == reason
