"""What every channel promises, whichever provider stands behind it: one suite over all adapters."""

import io
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from uuid import UUID

import pytest

from notifier.channels.base import Channel
from notifier.channels.console import ConsoleChannel
from notifier.channels.portal import PortalChannel
from notifier.channels.registry import KINDS
from notifier.errors import (
    Fault,
    OutcomeUnknown,
    PermanentFailure,
    Phase,
    Reply,
    SendError,
    TemporaryFailure,
)
from notifier.messages import Accepted, ChannelName, Outgoing, Rendered
from tests.contracts.apprise_server import AppriseServer, apprise_channel
from tests.contracts.http_server import Answer, Silence
from tests.contracts.kinds import CASES
from tests.contracts.mails import PHONE, TO, hurried_channel, mail, sms, smtp_channel
from tests.contracts.smtp_server import At, Hang, Say, SmtpServer


@dataclass(frozen=True, kw_only=True)
class Bench:
    """A channel, its provider's moods, and what arrived."""

    channel: Channel
    message: Callable[..., Outgoing]
    arrived: Callable[[], int]
    refuse: Callable[[], None] | None = None
    """From now on the provider refuses the recipient for good."""
    postpone: Callable[[], None] | None = None
    hang: Callable[[], None] | None = None
    break_down: Callable[[], None] | None = None
    is_encrypted: bool = True


@contextmanager
def smtp_bench(*, is_hurried: bool) -> Iterator[Bench]:
    """Email over SMTP."""
    with SmtpServer() as server:
        yield Bench(
            channel=hurried_channel(server) if is_hurried else smtp_channel(server),
            message=mail,
            arrived=lambda: len(server.received),
            refuse=lambda: server.always(At.RCPT, Say(f"550 5.1.1 <{TO}>: unknown user")),
            postpone=lambda: server.always(At.RCPT, Say(f"451 4.7.1 <{TO}>: greylisted")),
            hang=lambda: server.always(At.DOT, Hang()),
            break_down=lambda: server.always(At.MAIL, Say("§$%&/()=")),
            is_encrypted=False,
        )


@contextmanager
def http_bench(kind: str, *, is_hurried: bool) -> Iterator[Bench]:
    """A kind of provider that is reached over HTTP."""
    case = CASES[kind]
    with case.server() as server:
        patience = {"read_timeout": "400ms"} if is_hurried else {}
        yield Bench(
            channel=case.channel(kind, server.url, **patience),
            message=case.message,
            arrived=lambda: len(server.received),
            refuse=(lambda: server.always(case.gone)) if case.is_recipient_blamed else None,
            postpone=lambda: server.always(case.slow),
            hang=lambda: server.always(Silence()),
            break_down=lambda: server.always(Answer(500, "<html>oops")),
        )


@contextmanager
def apprise_bench(*, is_hurried: bool) -> Iterator[Bench]:
    """Operators' alerts, to a target that is a web server."""
    del is_hurried
    with AppriseServer() as server:
        yield Bench(
            channel=apprise_channel(server.url),
            message=lambda **changes: sms(channel=ChannelName.APPRISE, **{"to": "ops", **changes}),
            arrived=lambda: len(server.received),
            break_down=lambda: server.always(Answer(500, "<html>oops")),
            is_encrypted=False,
        )


class ScriptedInbox:
    """An inbox in memory that can be told to fail."""

    def __init__(self) -> None:
        self.entries: dict[UUID, tuple[str, str, Rendered]] = {}
        self.failure: Exception | None = None

    def put(self, message_id: UUID, tenant: str, to: str, content: Rendered) -> None:
        """Store, or fail as told."""
        if self.failure is not None:
            raise self.failure
        self.entries[message_id] = (tenant, to, content)

    def fail(self, failure: Exception) -> Callable[[], None]:
        """Return the act of failing so from now on."""
        return lambda: setattr(self, "failure", failure)


@contextmanager
def portal_bench(*, is_hurried: bool) -> Iterator[Bench]:
    """The portal over an inbox in memory."""
    inbox = ScriptedInbox()
    reply = Reply(phase=Phase.REQUEST)
    yield Bench(
        channel=PortalChannel(inbox),
        message=lambda **changes: sms(channel=ChannelName.PORTAL, **changes),
        arrived=lambda: len(inbox.entries),
        refuse=inbox.fail(PermanentFailure("unknown contact", fault=Fault.RECIPIENT, reply=reply)),
        postpone=inbox.fail(TemporaryFailure("later", fault=Fault.PROVIDER, reply=reply)),
        break_down=inbox.fail(ConnectionError(f"database gone while writing {PHONE}")),
    )


@contextmanager
def console_bench(*, is_hurried: bool) -> Iterator[Bench]:
    """The console over a stream in memory."""
    stream = io.StringIO()
    lines: list[str] = []

    def arrived() -> int:
        lines[:] = stream.getvalue().splitlines()
        return len(lines)

    yield Bench(
        channel=ConsoleChannel(stream),
        message=lambda **changes: sms(channel=ChannelName.CONSOLE, **changes),
        arrived=arrived,
        break_down=stream.close,
    )


BENCHES = {
    "smtp": smtp_bench,
    "portal": portal_bench,
    "console": console_bench,
    "apprise": apprise_bench,
    **{kind: partial(http_bench, kind) for kind in CASES},
}


def test_every_adapter_is_in_the_suite() -> None:
    """Whatever kind of provider there is."""
    assert set(KINDS) <= set(BENCHES)


@pytest.fixture(params=BENCHES)
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """Each channel in turn."""
    # Only where silence is the subject may patience be short: the machine may be busy.
    is_hurried = "silence" in request.function.__name__
    with BENCHES[request.param](is_hurried=is_hurried) as bench:
        yield bench


def act(bench: Bench, mood: str) -> Callable[[], None]:
    """Return how to put the provider into a mood, or skip where it has no such mood."""
    change: Callable[[], None] | None = getattr(bench, mood)
    if change is None:
        pytest.skip(f"{bench.channel.relay} cannot {mood}")
    return change


def fail(bench: Bench, kind: type[SendError]) -> SendError:
    """Send one message that must fail, and hold the error to what every error promises."""
    session = bench.channel.open()
    message = bench.message()
    with pytest.raises(kind) as failed:
        session.send(bench.channel.prepare(message))
    session.close()
    assert type(failed.value) is kind
    assert len(message.to) < 5 or message.to not in str(failed.value), "an error must not quote the address"
    assert message.content.text not in str(failed.value)
    assert failed.value.reason
    return failed.value


def test_an_accepted_message_says_who_took_it(bench: Bench) -> None:
    """The outcome names the relay and the phase of the last answer."""
    session = bench.channel.open()

    accepted = session.send(bench.channel.prepare(bench.message()))

    assert isinstance(accepted, Accepted)
    assert accepted.relay == bench.channel.relay == session.relay
    assert accepted.reply.phase in {Phase.DOT, Phase.REQUEST}
    assert session.is_usable
    assert bench.arrived() == 1
    session.close()


def test_a_session_sends_many(bench: Bench) -> None:
    """One session serves message after message, each exactly once."""
    session = bench.channel.open()

    for _ in range(5):
        session.send(bench.channel.prepare(bench.message()))

    assert bench.arrived() == 5
    session.close()
    assert not session.is_usable
    session.close()


def test_a_refused_recipient_is_a_permanent_failure_of_the_recipient(bench: Bench) -> None:
    """A clean refusal blames the recipient and leaves the session usable."""
    act(bench, "refuse")()

    failure = fail(bench, PermanentFailure)

    assert failure.fault is Fault.RECIPIENT
    assert bench.arrived() == 0


def test_not_now_is_a_temporary_failure(bench: Bench) -> None:
    """Greylisting, rate limits and busy providers ask to be tried again."""
    act(bench, "postpone")()

    failure = fail(bench, TemporaryFailure)

    assert failure.fault in {Fault.PROVIDER, Fault.RATE}
    assert bench.arrived() == 0


def test_a_provider_gone_mad_is_a_temporary_failure_of_the_provider(bench: Bench) -> None:
    """Garbage, status 500, an exception of its own: nobody else is blamed, nothing is lost."""
    act(bench, "break_down")()

    failure = fail(bench, TemporaryFailure)

    assert failure.fault is Fault.PROVIDER


def test_silence_after_the_message_was_handed_over_is_unknown_and_takes_no_longer_than_promised(
    bench: Bench,
) -> None:
    """The message may have arrived (RFC 1047); the wait ends within the channel's own bound."""
    act(bench, "hang")()
    started = time.monotonic()

    fail(bench, OutcomeUnknown)

    assert time.monotonic() - started < bench.channel.phase_seconds
    assert bench.arrived() == 1


def test_a_clean_refusal_does_not_cost_the_session(bench: Bench) -> None:
    """After a per-message refusal the next message goes over the same session."""
    act(bench, "refuse")()
    session = bench.channel.open()

    for _ in range(3):
        with pytest.raises(PermanentFailure):
            session.send(bench.channel.prepare(bench.message()))

        assert session.is_usable
    session.close()


def test_a_refreshed_session_sends(bench: Bench) -> None:
    """Before each message the session is made sure of; an ordinary one stays as it is."""
    session = bench.channel.open()

    for _ in range(3):
        session.refresh()
        session.send(bench.channel.prepare(bench.message()))

    assert bench.arrived() == 3
    session.close()


def test_a_channel_says_whether_it_is_encrypted(bench: Bench) -> None:
    """SMTP without TLS is not, nor what nobody can tell; what stays within the machine is."""
    assert bench.channel.is_encrypted is bench.is_encrypted


def test_a_message_without_recipient_never_leaves(bench: Bench) -> None:
    """What cannot be sent is refused locally, before any connection."""
    if bench.channel.name is ChannelName.CONSOLE:
        pytest.skip("the console shows whatever there is")
    with pytest.raises(PermanentFailure) as failed:
        bench.channel.prepare(bench.message(to=""))

    assert failed.value.fault is Fault.RECIPIENT
    assert failed.value.reply.phase is Phase.LOCAL


def test_a_console_line_cannot_steer_the_terminal() -> None:
    """Escape sequences and line breaks in a message become blanks."""
    stream = io.StringIO()
    channel = ConsoleChannel(stream)

    channel.open().send(channel.prepare(sms(text="a\x1b[2Jb\nc")))

    assert stream.getvalue() == f"{PHONE}  password.reset  a [2Jb c\n"


def test_the_portal_hands_over_the_whole_content() -> None:
    """The inbox gets id, tenant, recipient and content as rendered."""
    inbox = ScriptedInbox()
    channel = PortalChannel(inbox)
    message = sms(channel=ChannelName.PORTAL, to="contact-7")

    channel.open().send(channel.prepare(message))

    assert inbox.entries == {message.id: ("default", "contact-7", message.content)}
