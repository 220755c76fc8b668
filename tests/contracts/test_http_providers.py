"""One suite over every kind of provider that is reached over HTTP, each against a stand-in of its own."""

import datetime as dt
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from notifier.channels.base import Channel
from notifier.channels.http_deadline import trusted
from notifier.channels.provider import Surroundings
from notifier.channels.registry import KINDS
from notifier.errors import (
    Fault,
    OutcomeUnknown,
    PermanentFailure,
    Phase,
    SendError,
    TemporaryFailure,
)
from notifier.messages import Accepted, ChannelName, File
from notifier.mime import DkimKey, Signer
from tests.contracts.cases import Case, Refusal
from tests.contracts.certificate import write_certificate
from tests.contracts.http_server import Answer, Dribble, HangUp, HttpServer, Silence, Slam
from tests.contracts.kinds import CASES
from tests.dkim_verifier import records_of, verdicts

MAIL = [kind for kind in CASES if KINDS[kind].capabilities.channel is ChannelName.EMAIL]
UNICODE = "Größe & Maß, 日本 😀 „Ihr“ Paket"


@pytest.fixture
def case(kind: str) -> Case:
    """The kind's case."""
    return CASES[kind]


@pytest.fixture
def server(case: Case) -> Iterator[HttpServer[Any]]:
    """Its provider."""
    with case.server() as server:
        yield server


@pytest.fixture
def fresh_trust() -> Iterator[None]:
    """What is trusted is read anew, and so it is behind the test."""
    trusted.cache_clear()
    yield
    trusted.cache_clear()


every_kind = pytest.mark.parametrize("kind", CASES)
every_mail = pytest.mark.parametrize("kind", MAIL)


def send(through: Channel, case: Case, **changes: object) -> Accepted:
    """Send one message over a session of its own."""
    session = through.open()
    try:
        return session.send(through.prepare(case.message(**changes)))
    finally:
        session.close()


def fail(through: Channel, case: Case, **changes: object) -> SendError:
    """Send one message that must fail; the error quotes neither address nor text."""
    message = case.message(**changes)
    session = through.open()
    with pytest.raises(SendError) as failed:
        session.send(through.prepare(message))
    session.close()
    assert len(message.to) < 5 or message.to not in str(failed.value)
    assert message.content.text not in str(failed.value)
    assert failed.value.reason
    return failed.value


def test_every_kind_has_its_case() -> None:
    """Only Apprise hides its requests: it has a file of its own."""
    assert set(CASES) == set(KINDS) - {"apprise"}


@every_kind
def test_what_arrives_is_what_was_sent(kind: str, case: Case, server: HttpServer[Any]) -> None:
    """Address, text and our id, in any script; the answer's id is kept for receipts."""
    message = case.message(text=UNICODE)
    channel = case.channel(kind, server.url)
    session = channel.open()

    accepted = session.send(channel.prepare(message))

    session.close()
    [kept] = server.received
    seen = case.seen(kept)
    assert (seen.to, seen.text.strip()) == (message.to, UNICODE)
    assert seen.ours == (None if kind == "twilio" else message.id), "Twilio has no field for it"
    assert accepted.relay == "test"
    assert accepted.reply.phase is Phase.REQUEST
    assert bool(accepted.reply.remote_id) is not case.is_any_2xx_a_yes


@every_mail
def test_a_mail_arrives_whole(kind: str, case: Case, server: HttpServer[Any]) -> None:
    """Both bodies, a long subject in any script, files with their bytes, and the headers of its class."""
    subject = (UNICODE + " ") * 6 + "x" * 200
    files = (
        File(name="Rechnung Größe.pdf", media_type="application/pdf", content=bytes(range(256)) * 40),
        File(name="logo.png", media_type="image/png", content=b"\x89PNG", cid="logo@shop"),
    )
    link = "<https://notifier.example.com/u/" + "a" * 120 + ">"

    send(
        case.channel(kind, server.url), case, subject=subject.strip(), html=f"<p>{UNICODE}</p>", files=files,
        to_name='Bob "B." Größe, GmbH', sender_name="Laden, Nord", reply_to="reply@example.com",
        headers={"List-Unsubscribe": link, "Feedback-ID": "a:b:c:d"},
    )  # fmt: skip

    seen = case.seen(server.received[0])
    assert seen.subject == subject.strip()
    assert (seen.html or "").strip() == f"<p>{UNICODE}</p>"
    found = {name: content for name, _, content in seen.files}
    assert found["Rechnung Größe.pdf"] == files[0].content
    assert seen.headers["List-Unsubscribe"] == link
    assert seen.headers["Feedback-ID"] == "a:b:c:d"
    assert seen.headers["Auto-Submitted"] == "auto-generated"
    assert seen.headers["Message-ID"] == "<1.mac@example.com>"


@pytest.mark.parametrize(
    ("kind", "refusal"),
    [(kind, one) for kind, case in CASES.items() for one in case.refusals],
    ids=lambda value: value if isinstance(value, str) else f"{value.answer.status}-{value.reason}",
)
def test_a_documented_answer_means_what_its_table_says(
    kind: str, refusal: Refusal, case: Case, server: HttpServer[Any]
) -> None:
    """Whose fault, for good or not; what every message would meet rests the flow."""
    server.on(refusal.answer)

    failure = fail(case.channel(kind, server.url), case)

    assert type(failure) is refusal.kind
    assert (failure.fault, failure.reason) == (refusal.fault, refusal.reason)
    assert failure.is_hard is refusal.is_hard
    assert failure.reply.phase is (Phase.AUTH if refusal.is_account else Phase.REQUEST)


@every_kind
def test_only_a_dead_address_is_hard(kind: str, case: Case, server: HttpServer[Any]) -> None:
    """Where a provider says so: 410 of a webhook. What Postmark itself suppresses may live."""
    server.on(case.gone)

    failure = fail(case.channel(kind, server.url), case)

    assert failure.is_hard is (kind == "webhook")


@every_kind
def test_a_refused_recipient_is_told_without_the_address(
    kind: str, case: Case, server: HttpServer[Any]
) -> None:
    """Providers like to quote it: what they said stays in the reply, which is sealed."""
    server.on(case.gone)

    failure = fail(case.channel(kind, server.url), case)

    assert type(failure) is PermanentFailure
    assert failure.fault is (Fault.RECIPIENT if case.is_recipient_blamed else Fault.CONTENT)
    assert server.received == []


@every_kind
def test_a_rate_limit_names_its_wait(kind: str, case: Case, server: HttpServer[Any]) -> None:
    """The provider's Retry-After beats our own arithmetic, and costs no try."""
    server.on(case.slow)

    failure = fail(case.channel(kind, server.url), case)

    assert isinstance(failure, TemporaryFailure)
    assert failure.fault is Fault.RATE
    assert failure.retry_after == dt.timedelta(seconds=7)


@every_kind
def test_a_wrong_secret_is_ours_and_is_never_shown(kind: str, case: Case, server: HttpServer[Any]) -> None:
    """The stand-in checks signature and token as documented; the recipient is not blamed."""
    channel = case.channel(kind, server.url, **case.wrong_secret(server.url))

    failure = fail(channel, case)

    assert type(failure) is PermanentFailure
    assert failure.fault is Fault.CREDENTIALS
    assert "wrong-secret" not in f"{failure} {failure.reply.text}"
    assert server.received == []


@every_kind
def test_a_provider_that_is_not_there_has_nothing(kind: str, case: Case) -> None:
    """Refused connections may be tried again."""
    with socket.create_server(("127.0.0.1", 0)) as placeholder:
        port = placeholder.getsockname()[1]

    failure = fail(case.channel(kind, f"http://127.0.0.1:{port}"), case)

    assert type(failure) is TemporaryFailure
    assert (failure.fault, failure.reply.phase) == (Fault.NETWORK, Phase.CONNECT)


@every_kind
@pytest.mark.parametrize("status", [301, 307, 308])
def test_a_redirect_is_never_followed(kind: str, case: Case, server: HttpServer[Any], status: int) -> None:
    """A secret goes where the operator said, or nowhere."""
    with case.server() as other:
        server.on(Answer(status, "", {"Location": other.url + "/elsewhere"}))

        failure = fail(case.channel(kind, server.url), case)

        assert type(failure) is TemporaryFailure
        assert failure.fault is Fault.PROVIDER
        assert other.requests == 0


@every_mail
def test_a_cut_within_the_body_is_no_message(kind: str, case: Case, server: HttpServer[Any]) -> None:
    """A body shorter than it says is acted on by nobody: to be tried again, not unknown."""
    file = File(name="a.bin", media_type="application/octet-stream", content=b"\xff" * 7_000_000)
    server.on(Slam())

    failure = fail(case.channel(kind, server.url), case, files=(file,))

    assert type(failure) is TemporaryFailure
    assert (failure.fault, failure.reason) == (Fault.NETWORK, "write-failed")


@every_kind
def test_a_cut_behind_the_body_is_unknown(kind: str, case: Case, server: HttpServer[Any]) -> None:
    """The provider has it, or has not; the session is done for."""
    channel = case.channel(kind, server.url)
    session = channel.open()
    server.on(HangUp())

    with pytest.raises(OutcomeUnknown):
        session.send(channel.prepare(case.message()))

    assert not session.is_usable
    assert len(server.received) == 1
    session.close()


@pytest.mark.parametrize(
    ("kind", "act"),
    [
        *((kind, Silence()) for kind in CASES),
        ("postmark", Dribble("HTTP/1.1 200 OK\r\nX-Slow: " + "z" * 400)),
        ("webhook", Dribble("HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n")),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_a_slow_answer_meets_the_deadline(
    kind: str, case: Case, server: HttpServer[Any], act: Silence | Dribble
) -> None:
    """Whatever the provider does, a send takes no longer than its lease was told."""
    connect = "5s" if isinstance(act, Silence) else "1s"
    channel = case.channel(kind, server.url, connect_timeout=connect, read_timeout="400ms")
    server.on(act)
    started = time.monotonic()

    failure = fail(channel, case)

    assert time.monotonic() - started < channel.phase_seconds < 7
    assert type(failure) is OutcomeUnknown
    assert failure.reason == "timeout"


@every_kind
def test_a_connection_that_went_stale_costs_nothing(kind: str, case: Case, server: HttpServer[Any]) -> None:
    """The provider hung up between two messages: the second goes over a new connection, once."""
    channel = case.channel(kind, server.url)
    session = channel.open()

    session.send(channel.prepare(case.message()))
    server.hang_up()
    session.send(channel.prepare(case.message()))

    session.close()
    assert (len(server.received), len(server.clients)) == (2, 2)


@every_kind
def test_an_answer_that_is_too_long_is_not_read(kind: str, case: Case, server: HttpServer[Any]) -> None:
    """No provider fills our memory; a refusal still counts by its status."""
    padding = " " * 3_000_000
    server.on(Answer(429, padding), Answer(200, json.dumps({"id": "x"}) + padding))
    channel = case.channel(kind, server.url)

    refused, taken = fail(channel, case), fail(channel, case)

    assert refused.fault is Fault.RATE
    assert (type(taken), taken.reason) == (OutcomeUnknown, "too-long-an-answer")


@every_kind
@pytest.mark.parametrize(
    "body", ["garbage", "[]", "{}", '{"messages": [3], "id": 7, "MessageId": null, "sid": 1}']
)
def test_a_yes_in_no_words_of_the_provider_is_unknown(
    kind: str, case: Case, server: HttpServer[Any], body: str
) -> None:
    """Some proxy may have said it; where any 2xx is a yes, it is one."""
    server.on(Answer(200, body))
    channel = case.channel(kind, server.url)

    if case.is_any_2xx_a_yes:
        assert send(channel, case).reply.code == 200
    else:
        failure = fail(channel, case)
        assert (type(failure), failure.reason) == (OutcomeUnknown, "protocol")


@every_kind
def test_a_session_keeps_its_connection(kind: str, case: Case, server: HttpServer[Any]) -> None:
    """TLS is negotiated once, and a refusal does not end it."""
    channel = case.channel(kind, server.url)
    session = channel.open()
    server.on(case.gone)

    with pytest.raises(PermanentFailure):
        session.send(channel.prepare(case.message()))
    for _ in range(2):
        session.refresh()
        session.send(channel.prepare(case.message()))

    session.close()
    assert len(server.clients) == 1


@every_kind
def test_tls_is_verified(
    kind: str, case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh_trust: None
) -> None:
    """A certificate nobody vouches for gets no secret; one that is trusted gets the message."""
    certificate = write_certificate(tmp_path)
    with case.server(certificate=certificate) as server:
        failure = fail(case.channel(kind, server.url), case)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        trusted.cache_clear()
        send(case.channel(kind, server.url), case)

        assert (type(failure), failure.fault) == (TemporaryFailure, Fault.TLS)
        assert len(server.received) == 1


@every_mail
def test_a_mail_that_needs_tls_does_not_leave_without(kind: str, case: Case) -> None:
    """Only a stand-in in one's own network may be spoken to in the clear, and not with this."""
    channel = case.channel(kind, "http://sandbox.example.com", plain_http_allowed=True)

    assert not channel.is_encrypted
    with pytest.raises(PermanentFailure) as failed:
        channel.prepare(case.message(is_tls_required=True))

    assert (failed.value.fault, failed.value.reply.phase) == (Fault.TLS, Phase.LOCAL)


@every_mail
def test_a_mail_that_is_too_large_does_not_leave(kind: str, case: Case) -> None:
    """The limit is the provider's own."""
    most = KINDS[kind].capabilities.max_bytes
    assert most is not None
    file = File(name="a.bin", media_type="application/octet-stream", content=b"\xff" * (most // 4 * 3 + 1000))

    with pytest.raises(PermanentFailure) as failed:
        case.channel(kind, "https://api.example.com").prepare(case.message(files=(file,)))

    assert (failed.value.fault, failed.value.reason) == (Fault.CONTENT, "too-large")


@every_mail
@pytest.mark.parametrize(
    ("changes", "kind_of", "fault"),
    [
        ({"to": ""}, PermanentFailure, Fault.RECIPIENT),
        ({"to": "bob@example.org\r\nBcc: all@example.org"}, PermanentFailure, Fault.RECIPIENT),
        ({"subject": "Hi\r\nBcc: all@example.org"}, PermanentFailure, Fault.CONTENT),
        ({"headers": {"X-A": "b\r\nBcc: all@example.org"}}, PermanentFailure, Fault.CONTENT),
        ({"to_name": "Bob\r\nBcc: all@example.org"}, PermanentFailure, Fault.CONTENT),
        ({"sender": "nobody"}, TemporaryFailure, Fault.SENDER),
    ],
)
def test_what_cannot_be_a_header_does_not_leave(
    kind: str, case: Case, changes: dict[str, Any], kind_of: type[SendError], fault: Fault
) -> None:
    """Nothing smuggles in a second recipient; our own mistakes can be mended while the mail waits."""
    with pytest.raises(kind_of) as failed:
        case.channel(kind, "https://api.example.com").prepare(case.message(**changes))

    assert failed.value.reply.phase is Phase.LOCAL
    assert failed.value.fault in {fault, Fault.RECIPIENT if "to_name" in changes else fault}
    assert "example.org" not in str(failed.value)


@pytest.mark.parametrize("kind", ["ses", "mailgun"])
def test_a_mail_goes_out_as_it_was_signed(kind: str, case: Case, server: HttpServer[Any]) -> None:
    """Not one byte of it changes behind the signature, which leaves out what the provider writes anew."""
    key = DkimKey(domain="example.com", selector="s1", key=Ed25519PrivateKey.generate())
    channel = case.channel(kind, server.url, Surroundings(signer=Signer([key])))

    send(channel, case, text=UNICODE, html="<p>--notifier.form.0\r\n</p>")

    mail: bytes = server.received[0].mail
    if kind == "ses":
        mail = mail.replace(b"Message-ID: <1.mac@example.com>", b"Message-ID: <0102@eu-west-1.amazonses.com>")
        assert b"amazonses" in mail
    assert verdicts(mail, records_of(key)) == [True]


def test_ses_takes_temporary_credentials_and_a_configuration_set() -> None:
    """The token is signed with the rest; the set is where events come from."""
    case = CASES["ses"]
    with case.server() as server:
        send(case.channel("ses", server.url, session_token="temporary", configuration_set="notifier"), case)

        [sent] = server.received
        assert sent.token == "temporary"
        assert sent.wanted["ConfigurationSetName"] == "notifier"


def test_a_webhook_is_signed_by_both_secrets_and_told_in_the_same_words_again() -> None:
    """While a receiver changes over, either verifies; the id lets it drop a second copy."""
    from tests.contracts.webhook_server import OTHER, SECRET, notice

    case = CASES["webhook"]
    with case.server() as server:
        endpoints = {"crm": {"url": server.url, "secret": OTHER, "old_secret": SECRET}}
        channel = case.channel("webhook", server.url, endpoints=endpoints)
        session, message = channel.open(), channel.prepare(notice())
        session.send(message)
        session.send(message)
        session.close()

        first, second = server.received
        assert first == second


@pytest.mark.parametrize("to", ["", "erp", "https://elsewhere.example.com"])
def test_a_webhook_goes_to_no_address_of_an_event(to: str) -> None:
    """Only a name of the settings leads anywhere."""
    case = CASES["webhook"]

    with pytest.raises(PermanentFailure) as failed:
        case.channel("webhook", "https://crm.example.com").prepare(case.message(to=to))

    assert (failed.value.fault, failed.value.reply.phase) == (Fault.RECIPIENT, Phase.LOCAL)


def test_a_long_text_in_many_parts_is_one_message() -> None:
    """Each part has an answer; the first one's id stands for all."""
    case = CASES["vonage"]
    with case.server() as server:
        accepted = send(case.channel("vonage", server.url), case, text="x" * 400)

        assert accepted.reply.text == "3 parts"
        assert server.received[0]["type"] == "text"


def test_a_text_beyond_the_gsm_alphabet_is_sent_as_unicode() -> None:
    """Vonage writes question marks otherwise."""
    case = CASES["vonage"]
    with case.server() as server:
        send(case.channel("vonage", server.url), case, text="Привет")

        assert server.received[0]["type"] == "unicode"


def test_postmark_keeps_our_message_id_and_tracks_nobody() -> None:
    """It would write one of its own, and its server may be set to track."""
    case = CASES["postmark"]

    written = json.loads(case.channel("postmark", "https://api.example.com").prepare(case.message()).wire)

    assert {"Name": "X-PM-KeepID", "Value": "true"} in written["Headers"]
    assert (written["TrackOpens"], written["TrackLinks"]) == (False, "None")


def test_postmark_takes_a_name_with_anything_in_it() -> None:
    """Quoted, so that a comma makes no second recipient."""
    case = CASES["postmark"]
    message = case.message(to_name='Bob "B." Größe, GmbH')

    written = json.loads(case.channel("postmark", "https://api.example.com").prepare(message).wire)

    assert written["To"] == f'"Bob \\"B.\\" Größe, GmbH" <{message.to}>'
