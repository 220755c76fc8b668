"""``notifier provider``: what is configured, what it cannot do, and one message to try it."""

import json
from pathlib import Path
from typing import Any

import pytest

from notifier.bootstrap import Services
from notifier.channels.registry import KINDS
from notifier.cli.doctor import _apis
from notifier.settings import load_settings
from tests.command import command, document, lines
from tests.contracts import postmark_server, webhook_server
from tests.contracts.http_server import Answer
from tests.contracts.mails import PHONE, TO

Folder = Path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    """A folder of settings that the command reads; it has no database."""
    monkeypatch.setenv("NOTIFIER_CONFIG_DIR", str(tmp_path))
    return tmp_path


def configure(folder: Folder, providers: dict[str, Any], more: str = "") -> None:
    """Write the settings."""
    text = f"mail: {{sender: shop@example.com}}\nrelay: post\nproviders: {json.dumps(providers)}\n{more}"
    (folder / "notifier.yaml").write_text(text, encoding="utf-8")


def postmark(url: str, **changes: object) -> dict[str, object]:
    """Return a provider of mail."""
    return {"kind": "postmark", "server_token": postmark_server.TOKEN, "base_url": url, **changes}


def test_the_list_says_what_each_cannot_do(folder: Folder) -> None:
    """Relays and gateway as well."""
    relays = "relays: {backup: {host: mail.example.com}}\n"
    gateway = f"sms: {{base_url: 'https://x.example', account_sid: A, auth_token: b, sender: '{PHONE}'}}\n"
    configure(folder, {"post": postmark("https://api.example.com")}, relays + gateway)

    found = {one["name"]: one for one in lines(command(None)("provider", "list", "--json"))}

    assert {name: one["kind"] for name, one in found.items()} == {
        "backup": "smtp", "sms": "twilio", "post": "postmark",
    }  # fmt: skip
    assert all(one["cannot"] for one in found.values())
    assert postmark_server.TOKEN not in str(found)


def test_the_list_of_kinds_needs_no_provider(folder: Folder) -> None:
    """It is what one reads before one configures any."""
    configure(folder, {}, "relays: {post: {host: mail.example.com}}\n")

    found = lines(command(None)("provider", "list", "--kinds", "--json"))
    shown = command(None)("provider", "list", "--kinds")

    assert [one["name"] for one in found] == list(KINDS)
    assert all(kind in shown.stdout for kind in KINDS)


def test_a_try_shows_what_the_provider_said_and_what_is_to_come(folder: Folder) -> None:
    """And where its callbacks must be sent."""
    with postmark_server.PostmarkServer() as server:
        configure(folder, {"post": postmark(server.url)}, "public_url: https://notifier.example.com\n")

        told = document(command(None)("provider", "test", "post", "--to", TO, "--text", "Größe", "--json"))
        shown = command(None)("provider", "test", "post", "--to", TO).stdout

    assert told["outcome"] == "accepted"
    assert told["remote_id"]
    assert "delivered" in told["receipts"]
    assert told["callbacks"] == "https://notifier.example.com/callbacks/post"
    assert "accepted by post (postmark)" in shown
    assert [one["TextBody"] for one in server.received] == ["Größe", "It works."]
    assert server.received[0]["From"] == "shop@example.com"


@pytest.mark.parametrize(
    ("answer", "outcome", "fault"),
    [
        (postmark_server.error(422, 406), "permanent failure", "recipient"),
        (Answer(429, "", {"Retry-After": "7"}), "temporary failure", "rate"),
        (Answer(200, "garbage"), "unknown", "network"),
    ],
)
def test_a_try_that_fails_says_whose_fault_it_is(
    folder: Folder, answer: Answer, outcome: str, fault: str
) -> None:
    """With exit code 1."""
    with postmark_server.PostmarkServer() as server:
        server.on(answer, answer)
        configure(folder, {"post": postmark(server.url)})

        result = command(None)("provider", "test", "post", "--to", TO, "--json")
        shown = command(None)("provider", "test", "post", "--to", TO)

    told = json.loads(result.stdout)
    assert (result.exit_code, shown.exit_code) == (1, 1)
    assert (told["outcome"], told["fault"]) == (outcome, fault)
    assert told["retry_after"] == (7 if fault == "rate" else None)
    assert outcome in shown.stdout


def test_an_address_that_cannot_be_written_is_told_too(folder: Folder) -> None:
    """Nothing was sent."""
    configure(folder, {"post": postmark("https://api.example.com")})

    told = json.loads(command(None)("provider", "test", "post", "--to", "nobody", "--json").stdout)

    assert (told["outcome"], told["phase"], told["fault"]) == ("permanent failure", "local", "recipient")


def test_an_endpoint_is_tried_by_its_name(folder: Folder) -> None:
    """A webhook has no other address."""
    with webhook_server.WebhookServer() as server:
        hook = {"kind": "webhook", **webhook_server.endpoint(server.url, webhook_server.SECRET)}
        configure(folder, {"post": postmark(server.url), "hook": hook})

        told = document(command(None)("provider", "test", "hook", "--to", "crm", "--json"))

    assert (told["outcome"], told["receipts"], told["callbacks"]) == ("accepted", [], None)
    assert server.received[0]["type"] == "notifier.test"


def test_a_try_respects_safe_mode(folder: Folder) -> None:
    """On a staging system nobody else is written to, by no command."""
    with postmark_server.PostmarkServer() as server:
        configure(folder, {"post": postmark(server.url)}, f"safe_mode: {{allow: ['{TO}']}}\n")

        allowed = command(None)("provider", "test", "post", "--to", TO)
        other = command(None)("provider", "test", "post", "--to", "ann@example.net")

    assert (allowed.exit_code, other.exit_code) == (0, 2)
    assert "safe mode" in other.stderr
    assert len(server.received) == 1


def test_a_name_that_is_not_there_names_those_that_are(folder: Folder) -> None:
    """With the exit code of wrong usage."""
    configure(folder, {"post": postmark("https://api.example.com")})

    result = command(None)("provider", "test", "pots", "--to", TO)

    assert result.exit_code == 2
    assert "one of post" in result.stderr


def test_the_doctor_asks_each_provider(folder: Folder) -> None:
    """A target that no plugin knows shows before the first alert; what nobody can ask is tried with a message."""
    pager = {"kind": "apprise", "targets": {"ops": ["nosuch://x"]}}
    with postmark_server.PostmarkServer() as server, webhook_server.WebhookServer() as crm:
        hook = {"kind": "webhook", **webhook_server.endpoint(crm.url, webhook_server.SECRET)}
        configure(folder, {"post": postmark(server.url), "pager": pager, "hook": hook})

        found = {one.name: one for one in _apis(Services(load_settings(folder / "notifier.yaml")))}

    assert (found["provider post"].state, found["provider post"].mend) == ("pass", "")
    assert "'Production'" in found["provider post"].detail
    assert "notifier provider test hook" in found["provider hook"].mend
    assert found["provider pager"].state == "fail"
    assert "providers.pager.targets.ops[0]" in found["provider pager"].detail
