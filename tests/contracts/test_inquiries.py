"""What ``doctor`` asks each provider of HTTP APIs: the documented question, and a verdict with its mend."""

import re
import socket
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from notifier.channels import http_dialect
from notifier.channels.inquiry import Seen
from notifier.channels.provider import ProviderSettings
from notifier.channels.registry import KINDS
from notifier.pipeline.checks import providers
from notifier.pipeline.checks.providers import check_provider
from notifier.pipeline.checks.verdict import Check
from tests.contracts.http_server import Act, Answer, Dribble, HangUp, HttpServer, Silence, as_json
from tests.contracts.kinds import CASES
from tests.contracts.mailgun_server import MailgunServer
from tests.contracts.ses_server import SesServer, error

ASKED = [kind for kind in CASES if KINDS[kind].inquire is not None]
every_kind = pytest.mark.parametrize("kind", ASKED)


@pytest.fixture
def server(kind: str) -> Iterator[HttpServer[Any]]:
    """The kind's provider."""
    with CASES[kind].server() as server:
        yield server


def settings_of(kind: str, url: str, **changes: Any) -> ProviderSettings:
    """Return settings that lead to a provider."""
    case = CASES[kind]
    return KINDS[kind].settings.model_validate({"kind": kind, **case.settings, **case.place(url), **changes})


def check(kind: str, server: HttpServer[Any], **changes: Any) -> Check:
    """Ask, and see that no secret is told."""
    found = check_provider("mine", settings_of(kind, server.url, **changes))
    for secret in CASES[kind].settings.values():
        assert len(secret) < 16 or secret not in found.detail + found.mend
    return found


def test_every_provider_with_an_account_is_asked() -> None:
    """Only what is no provider is not: one's own webhooks, and Apprise, whose questions would be messages."""
    assert set(KINDS) - set(ASKED) == {"apprise", "webhook"}


@every_kind
def test_a_good_account_passes(kind: str, server: HttpServer[Any]) -> None:
    """By one question, which sends nothing."""
    found = check(kind, server)

    assert (found.name, found.state, found.mend) == ("provider mine", "pass", "")
    assert found.detail.startswith(f"{KINDS[kind].capabilities.channel.value} over {kind}: ")
    assert [one.method for one in server.questions] == ["GET"]
    assert server.requests == 0
    assert server.received == []


@every_kind
def test_wrong_credentials_fail(kind: str, server: HttpServer[Any]) -> None:
    """The mend names the settings."""
    found = check(kind, server, **CASES[kind].wrong_secret(server.url))

    assert found.state == "fail"
    assert re.search("token|key|secret", found.mend)
    assert "wrong-secret" not in found.detail + found.mend


@every_kind
@pytest.mark.parametrize(
    ("act", "state"),
    [
        (Answer(500, ""), "warn"),
        (Answer(503, '{"message": "away"}'), "warn"),
        (Answer(429, ""), "warn"),
        (Answer(302, "", {"Location": "https://example.com"}), "fail"),
        (Answer(200, "<html>Welcome</html>"), "fail"),
        (Answer(200, "[]"), "fail"),
        (HangUp(), "fail"),
        (Dribble("SSH-2.0-OpenSSH\r\n\r\n", every=0), "fail"),
    ],
)
def test_a_provider_that_is_ill_is_told(kind: str, server: HttpServer[Any], act: Act, state: str) -> None:
    """A warning where it is theirs and passes, a failure where something else answers there."""
    server.always(act)

    found = check(kind, server)

    assert found.state == state
    assert found.mend


@every_kind
@pytest.mark.parametrize("act", [Silence(), Dribble("HTTP/1.1 200 OK\r\n" + "X: y\r\n" * 50)])
def test_nobody_is_waited_for(
    kind: str, server: HttpServer[Any], act: Act, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time is for all of it."""
    monkeypatch.setattr(providers, "_HTTP_SECONDS", 0.3)
    server.always(act)
    started = time.monotonic()

    found = check(kind, server)

    assert time.monotonic() - started < 5
    assert (found.state, found.detail.rpartition(": ")[2]) == ("fail", "ReadTimeout")


@every_kind
def test_nobody_there_fails(kind: str) -> None:
    """With the kind of failure."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"

    found = check_provider("mine", settings_of(kind, url))

    assert (found.state, found.detail.rpartition(": ")[2]) == ("fail", "ConnectError")
    assert "providers.mine" in found.mend


ACCOUNT = {"ProductionAccessEnabled": True, "SendingEnabled": True, "EnforcementStatus": "HEALTHY"}
DOMAIN = {"name": "mg.example.com", "state": "active", "type": "custom", "is_disabled": False}


@pytest.mark.parametrize(
    ("kind", "answer", "state", "words"),
    [
        ("ses", as_json(200, **ACCOUNT), "pass", "sending is enabled"),
        ("ses", as_json(200, **{**ACCOUNT, "SendingEnabled": False}), "fail", "paused"),
        ("ses", as_json(200, **{**ACCOUNT, "EnforcementStatus": "SHUTDOWN"}), "fail", "paused"),
        ("ses", as_json(200, **{**ACCOUNT, "EnforcementStatus": "PROBATION"}), "warn", "under review"),
        ("ses", as_json(200, **{**ACCOUNT, "ProductionAccessEnabled": False}), "warn", "sandbox"),
        ("ses", as_json(200, **ACCOUNT, SendQuota={"Max24HourSend": 9, "SentLast24Hours": 9}), "warn", "9 of 9"),
        ("ses", as_json(200, **ACCOUNT, SendQuota={"Max24HourSend": -1, "SentLast24Hours": 190}), "pass", "enabled"),
        ("ses", error(403, "AccessDeniedException"), "warn", "may not ask"),
        ("ses", error(403, "UnrecognizedClientException"), "fail", "credentials"),
        ("postmark", as_json(200, Name="Test", DeliveryType="Sandbox"), "warn", "sandbox"),
        ("postmark", as_json(200, Name="A" * 99, DeliveryType="Live"), "pass", "A" * 40 + "'"),
        ("mailgun", as_json(200, domain={**DOMAIN, "state": "unverified"}), "warn", "unverified"),
        ("mailgun", as_json(200, domain={**DOMAIN, "state": "disabled"}), "fail", "disabled"),
        ("mailgun", as_json(200, domain={**DOMAIN, "is_disabled": True}), "fail", "disabled"),
        ("mailgun", as_json(200, domain={**DOMAIN, "type": "sandbox"}), "warn", "sandbox"),
        ("mailgun", as_json(404, message="Domain not found"), "fail", "no such account"),
        ("twilio", Answer(200, '{"status": "suspended", "type": "Full"}'), "fail", "suspended"),
        ("twilio", Answer(200, '{"status": "active", "type": "Trial"}'), "warn", "trial"),
        ("twilio", Answer(501, ""), "pass", "messages only"),
        ("vonage", as_json(200, value=0.0, autoReload=False), "fail", "no credit"),
        ("vonage", as_json(200, value=-0.5, autoReload=True), "warn", "-0.50"),
        ("vonage", as_json(200, balance=3), "fail", "not as it is documented"),
    ],
)  # fmt: skip
def test_what_an_account_says_of_itself(
    kind: str, server: HttpServer[Any], answer: Answer, state: str, words: str
) -> None:
    """As each provider's page has it."""
    server.on(answer)

    found = check(kind, server)

    assert (found.state, bool(found.mend)) == (state, state != "pass")
    assert words in found.detail


@pytest.mark.parametrize(("key", "state"), [({}, "pass"), ({"api_key": "wrong-secret"}, "fail")])
def test_mailguns_sending_key_is_told_from_a_wrong_one(key: Mapping[str, str], state: str) -> None:
    """It may ask for nothing: an empty message, which is refused, shows that it is taken."""
    with MailgunServer() as server:
        server.may_ask = False
        found = check("mailgun", server, **key)

    assert found.state == state
    assert server.received == []


def test_twilio_itself_is_no_gateway_that_speaks_of_messages_only() -> None:
    """Where no base_url is set, 404 says that there is no such account."""
    settings = KINDS["twilio"].settings.model_validate({"kind": "twilio", **CASES["twilio"].settings})
    inquire = KINDS["twilio"].inquire
    assert inquire is not None

    seen = inquire(settings).judge(http_dialect.Answer(status=404, body=b'{"code": 20404}'))

    assert isinstance(seen, Seen)
    assert seen.level == "fail"


def test_ses_without_any_key_fails_with_its_mend(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """Nobody is asked then."""
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with SesServer() as server:
        found = check("ses", server, access_key_id=None, secret_access_key=None)

    assert (found.state, "no role" in found.detail) == ("fail", True)
    assert server.questions == []
