"""The SMS adapter against a stand-in that answers as Twilio does, and as it should not."""

import datetime as dt
import json
import socket
import time
from collections.abc import Iterator
from email.utils import format_datetime

import pytest

from notifier.channels.sms import BODY_LIMIT, SmsChannel, SmsProvider
from notifier.errors import (
    ConfigError,
    Fault,
    OutcomeUnknown,
    PermanentFailure,
    Phase,
    SendError,
    TemporaryFailure,
)
from tests.contracts.mails import PHONE, sms
from tests.contracts.sms_server import ACCOUNT, TOKEN, Answer, Dribble, HangUp, Silence, SmsServer, error


@pytest.fixture
def server() -> Iterator[SmsServer]:
    """A running gateway."""
    with SmsServer() as server:
        yield server


def channel(url: str, **changes: object) -> SmsChannel:
    """Return a channel to the gateway, patient enough for a busy machine."""
    values: dict[str, object] = {
        "name": "gateway", "base_url": url, "account_sid": ACCOUNT, "auth_token": TOKEN,
        "sender": "+15005550000", "connect_seconds": 5, "read_seconds": 10,
    }  # fmt: skip
    return SmsChannel(SmsProvider(**(values | changes)))  # type: ignore[arg-type]


def send(to: SmsChannel, text: str = "Your code is 1234") -> object:
    """Send one message over a session of its own."""
    session = to.open()
    try:
        return session.send(to.prepare(sms(text=text)))
    finally:
        session.close()


def test_a_message_is_one_form_and_one_sid(server: SmsServer) -> None:
    """To, From and Body arrive as they were; the sid is the remote id."""
    accepted = send(channel(server.url), "Größe & Maß +1 😀")

    assert server.received == [{"To": PHONE, "From": "+15005550000", "Body": "Größe & Maß +1 😀"}]
    assert accepted.reply.remote_id.startswith("SM")  # type: ignore[attr-defined]
    assert accepted.reply.code == 201  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("answer", "kind", "fault"),
    [
        (error(400, 21211), PermanentFailure, Fault.RECIPIENT),
        (error(400, 21610), PermanentFailure, Fault.RECIPIENT),
        (error(400, 21614), PermanentFailure, Fault.RECIPIENT),
        (error(400, 30003), TemporaryFailure, Fault.RECIPIENT),
        (error(400, 21606), PermanentFailure, Fault.SENDER),
        (error(400, 21408), PermanentFailure, Fault.SENDER),
        (error(400, 21617), PermanentFailure, Fault.CONTENT),
        (error(400, 21611), TemporaryFailure, Fault.RATE),
        (error(429, 20429), TemporaryFailure, Fault.RATE),
        (error(401, 20003), PermanentFailure, Fault.CREDENTIALS),
        (error(403, 99999), PermanentFailure, Fault.CREDENTIALS),
        (error(404, 20404), PermanentFailure, Fault.CREDENTIALS),
        (error(400, 99999), PermanentFailure, Fault.PROVIDER),
        (error(503, 20503), TemporaryFailure, Fault.PROVIDER),
        (Answer(400, "garbage"), PermanentFailure, Fault.PROVIDER),
        (Answer(400, '{"code": "21211"}'), PermanentFailure, Fault.PROVIDER),
        (Answer(429, ""), TemporaryFailure, Fault.RATE),
        (Answer(500, "<html>"), TemporaryFailure, Fault.PROVIDER),
        (Answer(502, ""), TemporaryFailure, Fault.PROVIDER),
        (Answer(302, "", {"Location": "/elsewhere"}), TemporaryFailure, Fault.PROVIDER),
        (Answer(504, ""), OutcomeUnknown, Fault.NETWORK),
        (Answer(201, "garbage"), OutcomeUnknown, Fault.NETWORK),
        (Answer(201, "[]"), OutcomeUnknown, Fault.NETWORK),
        (Answer(201, '{"sid": null}'), OutcomeUnknown, Fault.NETWORK),
        (Silence(), OutcomeUnknown, Fault.NETWORK),
        (HangUp(), OutcomeUnknown, Fault.NETWORK),
    ],
)
def test_an_answer_means_what_the_table_says(
    server: SmsServer, answer: Answer | Silence | HangUp, kind: type[SendError], fault: Fault
) -> None:
    """Error code first, then status; without an answer nobody knows."""
    server.on(answer)

    with pytest.raises(kind) as failed:
        send(channel(server.url, read_seconds=0.3 if isinstance(answer, Silence) else 10))

    assert type(failed.value) is kind
    assert failed.value.fault is fault
    assert PHONE not in str(failed.value)


def test_a_wrong_token_is_the_fault_of_the_credentials(server: SmsServer) -> None:
    """The recipient is never blamed for it, and the token appears nowhere."""
    with pytest.raises(PermanentFailure) as failed:
        send(channel(server.url, auth_token="wrong-token"))

    assert failed.value.fault is Fault.CREDENTIALS
    assert "wrong-token" not in str(failed.value)
    assert server.received == []


def test_a_gateway_that_is_not_there_is_the_networks_fault() -> None:
    """Nothing was sent, so it may be tried again."""
    with socket.create_server(("127.0.0.1", 0)) as placeholder:
        port = placeholder.getsockname()[1]

    with pytest.raises(TemporaryFailure) as failed:
        send(channel(f"http://127.0.0.1:{port}"))

    assert failed.value.fault is Fault.NETWORK
    assert failed.value.reply.phase is Phase.CONNECT


def test_a_gateway_that_speaks_no_tls_is_the_fault_of_tls(server: SmsServer) -> None:
    """The token never travels in the clear, not even after a failed handshake."""
    with pytest.raises(TemporaryFailure) as failed:
        send(channel(server.url.replace("http:", "https:")))

    assert failed.value.fault is Fault.TLS
    assert server.requests == 0


def test_retry_after_is_heard_in_seconds_and_as_a_date(server: SmsServer) -> None:
    """RFC 9110 §10.2.3 allows both; nonsense is ignored, eternity is capped."""
    soon = format_datetime(dt.datetime.now(dt.UTC) + dt.timedelta(seconds=90))

    waits = []
    for value in ("7", soon, "whenever", "999999999999"):
        server.on(Answer(429, "", {"Retry-After": value}))
        with pytest.raises(TemporaryFailure) as failed:
            send(channel(server.url))
        waits.append(failed.value.retry_after)

    assert waits[0] == dt.timedelta(seconds=7)
    assert dt.timedelta(seconds=80) < (waits[1] or dt.timedelta()) <= dt.timedelta(seconds=90)
    assert waits[2] is None
    assert waits[3] == dt.timedelta(hours=6)


@pytest.mark.parametrize(
    "text",
    ["HTTP/1.1 201 Created\r\nX-Slow: " + "z" * 400, "HTTP/1.1 201 Created\r\n\r\n" + " " * 400],
    ids=["headers", "body"],
)
def test_a_dribbling_gateway_meets_a_deadline(server: SmsServer, text: str) -> None:
    """A byte now and then does not extend the answer; a lease is counted by what is promised here."""
    through = channel(server.url, connect_seconds=0.3, read_seconds=0.4)
    server.on(Dribble(text))
    session = through.open()
    message = through.prepare(sms())
    started = time.monotonic()

    with pytest.raises(OutcomeUnknown) as failed:
        session.send(message)

    assert time.monotonic() - started < through.phase_seconds < 2
    assert failed.value.reason == "timeout"
    assert not session.is_usable
    session.close()


def test_an_answer_that_is_too_long_is_not_read(server: SmsServer) -> None:
    """No gateway fills our memory; a refusal still counts by its status."""
    padding = " " * 20_000_000
    through = channel(server.url)
    session = through.open()
    server.on(Answer(429, padding), Answer(201, json.dumps({"sid": "SM1"}) + padding))

    with pytest.raises(TemporaryFailure) as refused:
        session.send(through.prepare(sms()))
    with pytest.raises(OutcomeUnknown) as taken:
        session.send(through.prepare(sms()))

    assert refused.value.fault is Fault.RATE
    assert taken.value.reason == "too-long-an-answer"
    session.close()


def test_a_session_keeps_its_connection(server: SmsServer) -> None:
    """Two messages, one connection: TLS is negotiated once."""
    through = channel(server.url)
    session = through.open()

    session.send(through.prepare(sms()))
    session.send(through.prepare(sms()))

    session.close()
    assert len(server.clients) == 1


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://sms.example.com", True),
        ("http://127.0.0.1:9", True),
        ("http://[::1]:9", True),
        ("http://sms.example.com", False),
    ],
)
def test_a_gateway_is_encrypted_over_https_or_within_the_machine(url: str, expected: bool) -> None:  # noqa: FBT001
    """A stand-in over plain HTTP elsewhere is not."""
    assert channel(url, is_plain_http_allowed=True).is_encrypted is expected


def test_a_session_survives_a_refusal_but_not_silence(server: SmsServer) -> None:
    """A refusal is an answer; after silence the connection cannot be trusted."""
    through = channel(server.url, read_seconds=0.5)
    session = through.open()
    server.on(error(400, 21211), Silence())

    with pytest.raises(PermanentFailure):
        session.send(through.prepare(sms()))
    assert session.is_usable
    with pytest.raises(OutcomeUnknown):
        session.send(through.prepare(sms()))
    assert not session.is_usable
    session.close()


@pytest.mark.parametrize(
    "to", ["", "015005550006", "+1", "+0150055500", "+1 500 555 0006", "bob@example.org", PHONE + "\n"]
)
def test_only_numbers_in_e164_leave(to: str) -> None:
    """Anything else would be the gateway's guess."""
    with pytest.raises(PermanentFailure) as failed:
        channel("http://127.0.0.1:9").prepare(sms(to=to))

    assert failed.value.fault is Fault.RECIPIENT
    assert failed.value.reply.phase is Phase.LOCAL
    assert not to or to not in str(failed.value)


@pytest.mark.parametrize("text", ["", "  \n", "\x00", "x" * (BODY_LIMIT + 1)])
def test_only_texts_of_a_sane_length_leave(text: str) -> None:
    """An empty or endless text is the content's fault."""
    with pytest.raises(PermanentFailure) as failed:
        channel("http://127.0.0.1:9").prepare(sms(text=text))

    assert failed.value.fault is Fault.CONTENT


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"base_url": "http://sms.example.com"}, "sms.base_url"),
        ({"base_url": "ftp://sms.example.com"}, "sms.base_url"),
        ({"base_url": "sms.example.com"}, "sms.base_url"),
        ({"base_url": "https://[sms.example.com"}, "sms.base_url"),
        ({"base_url": "https://sms.example.com:port"}, "sms.base_url"),
        ({"account_sid": "../x"}, "sms.account_sid"),
        ({"sender": ""}, "sms.sender"),
    ],
)
def test_settings_that_cannot_work_are_refused(changes: dict[str, str], field: str) -> None:
    """Above all a token without TLS."""
    with pytest.raises(ConfigError) as refused:
        channel(**{"url": "https://sms.example.com", **changes})

    assert refused.value.field == field


def test_the_settings_never_show_the_token() -> None:
    """Not in a traceback, not in a log."""
    provider = SmsProvider(name="x", account_sid="AC1", auth_token="hidden-token", sender="+15005550000")

    assert "hidden-token" not in repr(provider)
