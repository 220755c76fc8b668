"""Operators' alerts over Apprise: every target of a group, or an honest word about it."""

import logging
import time

import pytest

from notifier.channels.base import Channel
from notifier.channels.provider import Surroundings
from notifier.channels.registry import KINDS, build
from notifier.errors import (
    ConfigError,
    Fault,
    OutcomeUnknown,
    PermanentFailure,
    Phase,
    SendError,
    TemporaryFailure,
)
from notifier.messages import Accepted, ChannelName
from tests.contracts.apprise_server import AppriseServer, apprise_channel
from tests.contracts.http_server import Answer, Silence
from tests.contracts.mails import sms


def send(through: Channel, **changes: object) -> Accepted:
    """Send one message over a session of its own."""
    message = sms(channel=ChannelName.APPRISE, **{"to": "ops", "text": "Größe 日本 😀", **changes})
    return through.open().send(through.prepare(message))


def test_every_target_of_the_group_is_told() -> None:
    """In the words of the SMS template."""
    with AppriseServer() as one, AppriseServer() as two:
        accepted = send(apprise_channel(one.url, two.url))

        assert accepted.reply.text == "2 targets"
        assert [kept["message"] for kept in (*one.received, *two.received)] == ["Größe 日本 😀"] * 2


@pytest.mark.parametrize(("failing", "kind"), [("first", TemporaryFailure), ("second", OutcomeUnknown)])
def test_a_failure_behind_a_success_is_unknown(failing: str, kind: type[SendError]) -> None:
    """A second try would tell the first target again."""
    with AppriseServer() as one, AppriseServer() as two:
        (one if failing == "first" else two).always(Answer(403, "no"))

        with pytest.raises(kind) as failed:
            send(apprise_channel(one.url, two.url))

        assert type(failed.value) is kind
        assert failed.value.fault is Fault.PROVIDER
        assert len(two.received) == 0


def test_silence_ends_within_what_was_promised() -> None:
    """A target that says nothing does not hold the others' turn for ever."""
    with AppriseServer() as server:
        server.always(Silence())
        channel = apprise_channel(server.url, connect_timeout="300ms", read_timeout="400ms")
        started = time.monotonic()

        with pytest.raises(TemporaryFailure):
            send(channel)

        assert time.monotonic() - started < channel.phase_seconds


def test_its_log_tells_no_token(caplog: pytest.LogCaptureFixture) -> None:
    """Apprise likes to name the target that failed."""
    caplog.set_level(logging.DEBUG)
    with AppriseServer() as server:
        server.always(Answer(500, "no"))

        with pytest.raises(TemporaryFailure) as failed:
            send(apprise_channel(server.url))

    assert "hidden-word" not in caplog.text + str(failed.value)


@pytest.mark.parametrize("to", ["", "dev", "json://elsewhere.example.com"])
def test_no_target_comes_from_an_event(to: str) -> None:
    """Only a name of the settings leads anywhere."""
    with pytest.raises(PermanentFailure) as failed:
        send(apprise_channel("http://127.0.0.1:9"), to=to)

    assert (failed.value.fault, failed.value.reply.phase) == (Fault.RECIPIENT, Phase.LOCAL)


def test_a_target_of_no_service_is_refused_with_its_place() -> None:
    """Without its URL, which holds a token."""
    entry = {"kind": "apprise", "targets": {"ops": ["json://127.0.0.1:9", "nosuch://hidden-word"]}}

    with pytest.raises(ConfigError) as refused:
        build("pager", KINDS["apprise"].settings.model_validate(entry), Surroundings())

    assert refused.value.field == "providers.pager.targets.ops[1]"
    assert "hidden-word" not in str(refused.value)
