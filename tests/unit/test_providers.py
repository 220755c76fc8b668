"""Providers of the settings: read strictly, secrets hidden, each mistake told with its place."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from notifier.channels.provider import ProviderSettings, Surroundings, secret
from notifier.channels.registry import KINDS, build, channel_of, read_providers
from notifier.documents import ConfigErrors
from notifier.errors import ConfigError
from notifier.messages import ChannelName
from notifier.settings import Settings, load_settings
from tests.contracts.kinds import CASES

DOC = (Path(__file__).parents[2] / "docs" / "how-to" / "channels.md").read_text("utf-8")
KEY = "whsec_" + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVoxMjM0NTY="
EXAMPLES: Mapping[str, Mapping[str, Any]] = {
    "apprise": {"targets": {"ops": ["json://127.0.0.1:9/hidden"]}},
    **{kind: {**case.settings, **case.place("https://api.example.com")} for kind, case in CASES.items()},
}
SECRETS = [
    "hidden",
    "whsec_",
    *(
        EXAMPLES[kind][name]
        for kind, one in KINDS.items()
        for name, field in one.settings.model_fields.items()
        if field.annotation is SecretStr
    ),
]


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NOTIFIER_CONFIG_DIR", "NOTIFIER_RELAY", "NOTIFIER_RELAYS__DEFAULT__HOST"):
        monkeypatch.delenv(name, raising=False)


def read(folder: Path, text: str) -> Settings:
    """Read settings from a file with this text."""
    file = folder / "notifier.yaml"
    file.write_text(text, encoding="utf-8")
    return load_settings(file)


def wrong(folder: Path, text: str) -> list[ConfigError]:
    """Return what is wrong with providers."""
    with pytest.raises(ConfigErrors) as failed:
        read_providers(read(folder, text))
    return list(failed.value.errors)


@pytest.mark.parametrize("kind", KINDS)
def test_a_provider_is_read_and_built_by_its_name(tmp_path: Path, kind: str) -> None:
    """Its name is the relay's in flows and attempts; its secrets show nowhere."""
    relay = "relay: mine\n" if KINDS[kind].capabilities.channel is ChannelName.EMAIL else ""
    settings = read(tmp_path, f"{relay}providers:\n  mine: {json.dumps({'kind': kind, **EXAMPLES[kind]})}\n")

    provider = read_providers(settings)["mine"]
    channel = build("mine", provider, Surroundings())

    assert (channel.relay, channel.name) == ("mine", channel_of(provider))
    assert channel.phase_seconds > 5
    shown = f"{settings!r} {provider!r}"
    assert not [one for one in SECRETS if one in shown]


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_says_what_it_cannot_do_and_where_that_is_written(kind: str) -> None:
    """Nobody finds out in production."""
    capabilities = KINDS[kind].capabilities

    assert capabilities.cannot
    assert all(page.startswith("https://") for page in capabilities.documentation)


@pytest.mark.parametrize(
    ("entry", "line", "field", "said"),
    [
        ("kind: sess", 2, "providers.mine.kind", "did you mean 'ses'?"),
        ("region: eu-west-1", 2, "providers.mine.kind", "'kind' is required"),
        ("kind: postmark, server_token: x, sream: y", 2, "providers.mine.sream", "unknown key"),
        ("kind: postmark", 2, "providers.mine", "'server_token' is required"),
        ("kind: postmark, server_token: x, base_url: 'http://api.example.com'", 2, "providers.mine", "TLS"),
        ("kind: postmark, server_token: x, base_url: 'https://[::'", 2, "providers.mine", "must be an http"),
        ("kind: postmark, server_token: x, read_timeout: 0s", 2, "providers.mine.read_timeout", "0s"),
        ("kind: ses, region: Ireland, access_key_id: x, secret_access_key: y", 2, "providers.mine.region", "match"),
        ("kind: ses, region: eu-west-1, access_key_id: x", 2, "providers.mine", "belong together"),
        ("kind: ses, region: eu-west-1, session_token: x", 2, "providers.mine", "of no use without keys"),
        ("kind: mailgun, domain: mg.example.com, api_key: x, region: de", 2, "providers.mine.region", "'us'"),
        ("kind: vonage, api_key: x, api_secret: y", 2, "providers.mine", "'sender' is required"),
        ("kind: webhook, endpoints: {}", 2, "providers.mine.endpoints", "at least 1"),
        (
            f"kind: webhook, endpoints: {{crm: {{url: 'http://crm.example.com', secret: '{KEY}'}}}}",
            2, "providers.mine.endpoints.crm", "TLS",
        ),
        (
            "kind: webhook, endpoints: {crm: {url: 'https://crm.example.com', secret: short}}",
            2, "providers.mine.endpoints.crm.secret", "whsec_",
        ),
        ("kind: apprise, targets: {ops: [nonsense]}", 2, "providers.mine.targets.ops[0]", "Apprise URL"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_file_line_field_and_mend(
    tmp_path: Path, entry: str, line: int, field: str, said: str
) -> None:
    """And never with the value, which may be a secret."""
    [error] = wrong(tmp_path, f"providers:\n  mine: {{{entry}}}\n")

    assert (error.file, error.line) == (tmp_path / "notifier.yaml", line)
    assert error.field == field
    assert said in str(error)
    assert error.mend


@pytest.mark.parametrize("name", ["sms", "portal", "main", "link", "tracking", "Größe", "a/b", "UPPER"])
def test_a_name_that_is_taken_or_fits_no_address_is_refused(tmp_path: Path, name: str) -> None:
    """Callbacks come to /callbacks/<name>, and attempts name who sent."""
    text = "relays: {main: {host: mail.example.com}}\nrelay: main\nproviders:\n"

    [error] = wrong(tmp_path, f"{text}  {name}: {{kind: postmark, server_token: x}}\n")

    assert error.line == 4


def test_mail_goes_over_a_provider_that_is_named_where_a_relay_is(tmp_path: Path) -> None:
    """With relays beside it, or none."""
    provider = "relay: pm\nproviders: {pm: {kind: postmark, server_token: x}}\n"

    assert set(read_providers(read(tmp_path, provider))) == {"pm"}
    assert set(read_providers(read(tmp_path, "relays: {main: {host: m.example}}\n" + provider))) == {"pm"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("relay: gone\nproviders: {pm: {kind: postmark, server_token: x}}\n", "no relay or provider 'gone'"),
        (
            "relay: text\nproviders: {text: {kind: vonage, api_key: x, api_secret: y, sender: z}}\n",
            "'text' takes no mail",
        ),
    ],
)
def test_a_relay_that_takes_no_mail_is_refused(tmp_path: Path, text: str, said: str) -> None:
    """Before the first mail finds out."""
    [error] = wrong(tmp_path, text)

    assert (error.field, error.line) == ("relay", 1)
    assert said in str(error)


def test_a_route_to_what_sends_another_channel_is_refused(tmp_path: Path) -> None:
    """Its messages would wait there until their time is over."""
    text = (
        "relay: pm\nproviders:\n  pm: {kind: postmark, server_token: x}\n"
        "  text: {kind: vonage, api_key: x, api_secret: y, sender: z, limits: {rate: 1/s}}\n"
        "routes:\n  - {channel: email, use: [pm]}\n  - {channel: email, use: [pm], failover: [text]}\n"
    )

    [error] = wrong(tmp_path, text)

    assert (error.field, error.line) == ("routes[1].failover", 7)
    assert "'text' sends sms, the route is for email" in str(error)
    assert error.mend == "one of pm"


def test_secrets_come_from_variables_and_files_as_they_stand_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Digits alone, or what looks like a number, stay a text."""
    (tmp_path / "token").write_text("1e5\n", encoding="utf-8")
    monkeypatch.setenv("NOTIFIER_PROVIDERS__TEXT__API_KEY", "00123456")
    monkeypatch.setenv("NOTIFIER_PROVIDERS__TEXT__API_SECRET_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("NOTIFIER_PROVIDERS__TEXT__CONNECTIONS", "3")
    (tmp_path / "key").write_text(f"{KEY}\n", encoding="utf-8")
    monkeypatch.setenv("NOTIFIER_PROVIDERS__HOOK__ENDPOINTS__CRM__SECRET_FILE", str(tmp_path / "key"))
    monkeypatch.setenv("NOTIFIER_PROVIDERS__CLOUD__TOPIC_ARNS", '["arn:aws:sns:eu-west-1:1:events"]')

    providers = read_providers(
        read(
            tmp_path,
            "relay: cloud\nproviders:\n  text: {kind: vonage, sender: Example}\n"
            "  hook: {kind: webhook, endpoints: {crm: {url: 'https://crm.example.com'}}}\n"
            "  cloud: {kind: ses, region: eu-west-1, access_key_id: A, secret_access_key: B}\n",
        )
    )

    text, cloud = providers["text"], providers["cloud"]
    assert (text.api_key, secret(text.api_secret), text.connections) == ("00123456", "1e5", 3)  # type: ignore[attr-defined]
    assert secret(providers["hook"].endpoints["crm"].secret) == KEY  # type: ignore[attr-defined]
    assert cloud.topic_arns == ("arn:aws:sns:eu-west-1:1:events",)  # type: ignore[attr-defined]


def test_a_mistake_in_a_variable_names_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no line to look at."""
    monkeypatch.setenv("NOTIFIER_PROVIDERS__MINE__CONNECTIONS", "many")

    [error] = wrong(tmp_path, "relay: mine\nproviders:\n  mine: {kind: postmark, server_token: x}\n")

    assert error.field == "NOTIFIER_PROVIDERS__MINE__CONNECTIONS"


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_has_its_row_in_the_docs(kind: str) -> None:
    """With its channel, each setting of its own, what it cannot do, and the pages its mapping comes from."""
    [row] = [line for line in DOC.splitlines() if line.startswith(f"| `{kind}` |")]
    known = KINDS[kind]
    own = {
        f"**`{name}`**" if field.is_required() else f"`{name}`"
        for name, field in known.settings.model_fields.items()
        if name not in ProviderSettings.model_fields
    }

    assert f"| {known.capabilities.channel.value} |" in row
    assert not [name for name in own if name not in row]
    assert not [page for page in known.capabilities.documentation if page not in row]
    assert row.count(" | ") == 4


@pytest.mark.parametrize("kind", KINDS)
def test_no_setting_looks_like_a_variable_that_names_a_file(kind: str) -> None:
    """``…_FILE`` always names the file of a secret here (``notifier.variables``)."""
    assert not [name for name in KINDS[kind].settings.model_fields if name.endswith("_file")]
