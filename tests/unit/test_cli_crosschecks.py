"""What settings, event types and rules say of each other, each right in itself."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner

from notifier.catalog import Catalog
from notifier.cli import cli
from notifier.cli.crosschecks import (
    foreign_schedules,
    unchecked_tenants,
    unencrypted,
    unknown_sources,
    unknown_tenants,
    unsendable,
)
from notifier.cli.findings import Finding
from notifier.cli.places import Places
from notifier.documents import load
from notifier.rules.load import read_rules
from notifier.setting_tables import LookupSource, Relay, Route, Sms
from notifier.settings import Settings

ROOT = Path(__file__).parents[2]
TLS, PLAIN = Relay(host="mx.example.org"), Relay(host="catcher.example.org", security="none")
GATEWAY = Sms.model_validate(
    {"base_url": "https://sms.example.org", "account_sid": "AC1", "auth_token": "x", "sender": "+491"}
)

EVENTS = """
events:
  - type: door.opened
    title: A door was opened
    category: doors
    class: operational
    schema: {type: object}
    sample: {}
    sample_subject: D-1
    lookup:
      owner: {source: houses, sql: "SELECT 1 AS n", sample: {n: 1}}
      weather:
        url: /now
        sample: {sky: blue}
  - type: door.code
    title: A code for a door
    category: doors
    class: transactional
    schema: {type: object}
    sample: {}
    sample_subject: D-1
    tls_required: true
"""
ALONE = """
type: door.locked
title: A door was locked
category: doors
class: operational
schema: {type: object}
sample: {}
sample_subject: D-1
tls_required: true
"""
CODE_RULE = """
rules:
  - notify: code
    on: door.code
    recipients: [to]
    channels: [email, sms]
"""


def routed(use: str, *failover: str, **more: object) -> Route:
    """Return a route for mail."""
    return Route.model_validate({"channel": "email", "use": [use], "failover": failover, **more})


class Config:
    """A configuration in files, read; without a settings file."""

    def __init__(self, folder: Path, rules: str, **settings: object) -> None:
        (folder / "events").mkdir()
        (folder / "rules").mkdir()
        (folder / "events" / "alone.yaml").write_text(ALONE, encoding="utf-8")
        (folder / "events" / "doors.yaml").write_text(EVENTS, encoding="utf-8")
        (folder / "rules" / "doors.yaml").write_text(rules, encoding="utf-8")
        self.catalog = Catalog.load(folder / "events")
        self.rules = read_rules(folder / "rules", types=[entry.type for entry in self.catalog])
        self.settings = Settings.model_construct(**{**dict(Settings()), **settings})
        self.places = Places(folder)

    def unencrypted(self) -> list[Finding]:
        """Return what is said of types that need TLS."""
        return list(unencrypted(self.catalog, self.rules, self.settings, self.places))

    def unsendable(self) -> list[Finding]:
        """Return what is said of channels."""
        return list(unsendable(self.rules, self.settings, self.places))


def where(finding: Finding) -> tuple[str, str, int | None, str | None]:
    """Return severity and place of a finding."""
    return finding.severity, Path(finding.file or "").name, finding.line, finding.field


def test_a_lookup_in_a_source_that_nobody_configured(tmp_path: Path) -> None:
    """On the line that names it, or else of the look-up, which means the source called default."""
    config = Config(tmp_path, CODE_RULE, lookups={})

    found = list(unknown_sources(config.catalog, config.settings, config.places))

    assert [where(one) for one in found] == [
        ("error", "doors.yaml", 11, "events[0].lookup.owner.source"),
        ("error", "doors.yaml", 12, "events[0].lookup.weather.source"),
    ]
    assert [one.mend for one in found] == [
        "add lookups.houses to notifier.yaml", "add lookups.default to notifier.yaml",
    ]  # fmt: skip


def test_a_lookup_in_a_source_that_is_there(tmp_path: Path) -> None:
    """Nothing is said of it."""
    source = LookupSource.model_validate({"url": "https://houses.example.org"})
    config = Config(tmp_path, CODE_RULE, lookups={"houses": source, "default": source})

    assert not list(unknown_sources(config.catalog, config.settings, config.places))


@pytest.mark.parametrize(
    ("urgency", "settings", "severities"),
    [
        ("", {"relays": {"default": TLS}}, []),
        ("", {"relays": {"default": PLAIN}}, ["error"]),
        ("", {"relays": {}}, []),
        # The one that is not taken does not matter.
        ("", {"relays": {"default": TLS, "catcher": PLAIN}}, []),
        ("", {"relays": {"default": PLAIN, "safe": TLS}}, ["error"]),
        ("", {"relays": {"default": PLAIN, "safe": TLS}, "relay": "safe"}, []),
        # An event may say that it is urgent, or that it is not.
        ("", {"relays": {"default": TLS, "fast": PLAIN}, "urgent_relay": "fast"}, ["warning"]),
        ("", {"relays": {"default": PLAIN, "fast": TLS}, "urgent_relay": "fast"}, ["error"]),
        ("urgency: normal", {"relays": {"default": TLS, "fast": PLAIN}, "urgent_relay": "fast"}, []),
        ("urgency: urgent", {"relays": {"default": TLS, "fast": PLAIN}, "urgent_relay": "fast"}, ["error"]),
        ("urgency: urgent", {"relays": {"default": PLAIN, "fast": TLS}, "urgent_relay": "fast"}, []),
        ("enabled: false", {"relays": {"default": PLAIN}}, []),
        # Routes say who takes them, and who stands in; up to one that is for all tenants.
        ("", {"relays": {"default": PLAIN, "a": TLS}, "routes": [routed("a")]}, []),
        ("", {"relays": {"default": TLS, "a": TLS, "b": PLAIN}, "routes": [routed("a", "b")]}, ["error"]),
        ("", {"relays": {"default": PLAIN, "a": TLS}, "routes": [routed("a", tenants=["acme"])]}, ["error"]),
    ],
)
def test_a_type_that_needs_tls_and_a_relay_without(
    urgency: str, settings: Mapping[str, object], severities: list[str], tmp_path: Path
) -> None:
    """An error where the gate would refuse its mails; only over the relay that takes them."""
    config = Config(tmp_path, f"{CODE_RULE}    {urgency}\n", **settings)

    found = config.unencrypted()

    assert [one.severity for one in found] == severities
    for one in found:
        assert where(one)[1:] == ("doors.yaml", 22, "events[1].tls_required")
        assert "relays." in (one.mend or "")


def test_the_mend_names_a_relay_that_has_tls(tmp_path: Path) -> None:
    """Where there is one, using it is the shorter way."""
    config = Config(tmp_path, CODE_RULE, relays={"default": PLAIN, "safe": TLS})

    (found,) = config.unencrypted()

    assert found.mend == (
        "set relays.default.security to starttls or implicit in notifier.yaml,"
        " or let relay or urgent_relay name one that has it: safe"
    )


def test_a_type_in_a_file_of_its_own_and_one_that_goes_by_sms(tmp_path: Path) -> None:
    """The field has no index there; what no mail tells of needs no relay."""
    rules = """
rules:
  - notify: locked
    on: door.locked
    recipients: [to]
  - notify: code
    on: door.code
    recipients: [to]
    channels: [sms]
"""
    config = Config(tmp_path, rules, relays={"default": PLAIN})

    assert [where(one) for one in config.unencrypted()] == [("error", "alone.yaml", 9, "tls_required")]


def test_a_channel_that_nothing_sends(tmp_path: Path) -> None:
    """A warning while the plan has another; an error where it has none; a disabled rule is left alone."""
    rules = """
rules:
  - notify: code
    on: door.code
    recipients: [to]
    channels: [email, sms]
  - notify: alarm
    on: door.opened
    recipients: [to]
    channels: [sms]
  - notify: portal
    on: door.opened
    recipients: [to]
    channels: [portal, console]
  - notify: off
    on: door.opened
    recipients: [to]
    channels: [sms]
    enabled: false
"""
    config = Config(tmp_path, rules, relays={"default": TLS}, sms=None)

    found = config.unsendable()

    assert [where(one) for one in found] == [
        ("warning", "doors.yaml", 6, "rules[0].channels"), ("error", "doors.yaml", 10, "rules[1].channels"),
    ]  # fmt: skip
    assert found[0].problem == "nothing is configured that sends sms: the plan's rest is email"
    assert found[1].problem == "nothing is configured that sends sms: the plan has no other"
    assert found[0].mend == "add `sms:` to notifier.yaml, or take sms out of the rule"


def test_the_channels_of_an_alert_stand_with_it(tmp_path: Path) -> None:
    """An alert rule is found by its own kind."""
    rules = "rules:\n  - alert: open\n    on: door.opened\n    recipients: [to]\n    channels: [sms]\n"
    config = Config(tmp_path, rules, relays={"default": TLS}, sms=None)

    assert [where(one) for one in config.unsendable()] == [("error", "doors.yaml", 5, "rules[0].channels")]


def test_mail_without_a_relay_beside_a_gateway(tmp_path: Path) -> None:
    """A rule that names no channel means mail; its own line stands for the missing key."""
    rules = "rules:\n  - notify: code\n    on: door.code\n    recipients: [to]\n"
    config = Config(tmp_path, rules, relays={}, sms=GATEWAY)

    (found,) = config.unsendable()

    assert where(found) == ("error", "doors.yaml", 2, "rules[0].channels")
    assert "add `relays:`" in (found.mend or "")


def test_a_provider_serves_its_channel(tmp_path: Path) -> None:
    """And no other: what is left names where to add one."""
    rules = "rules:\n" + "".join(
        f"  - notify: {name}\n    on: door.code\n    recipients: [to]\n    channels: [{name}]\n"
        for name in ("email", "sms", "webhook", "apprise")
    )
    providers = {"post": {"kind": "postmark"}, "hook": {"kind": "webhook"}, "odd": {"kind": "odd"}}
    config = Config(tmp_path, rules, relays={}, sms=None, providers=providers)

    found = config.unsendable()

    assert [one.problem.partition(":")[0] for one in found] == [
        "nothing is configured that sends sms", "nothing is configured that sends apprise",
    ]  # fmt: skip
    assert "add `providers:`" in (found[1].mend or "")


@pytest.mark.parametrize(
    ("changes", "severities"),
    [
        ({}, []),
        ({"plain_http_allowed": True, "base_url": "http://127.0.0.1:9"}, []),
        ({"plain_http_allowed": True, "base_url": "http://sandbox.example.org"}, ["error"]),
    ],
)
def test_a_type_that_needs_tls_and_a_provider_without(
    changes: dict[str, object], severities: list[str], tmp_path: Path
) -> None:
    """Only a stand-in is spoken to in the clear."""
    providers = {"post": {"kind": "postmark", **changes}}
    config = Config(tmp_path, CODE_RULE, relays={}, providers=providers, relay="post")

    found = config.unencrypted()

    assert [one.severity for one in found] == severities
    assert all("providers.post.base_url" in (one.mend or "") for one in found)


def test_where_relay_and_gateway_are_left_to_the_environment(tmp_path: Path) -> None:
    """Without either, only a plan that no relay can help is wrong: the files alone may still be whole."""
    rules = f"{CODE_RULE}  - notify: alarm\n    on: door.opened\n    recipients: [to]\n    channels: [sms]\n"
    config = Config(tmp_path, rules, relays={}, sms=None)

    assert [where(one) for one in config.unsendable()] == [
        ("error", "doors.yaml", 10, "rules[1].channels")
    ]  # fmt: skip


def test_the_stages_of_a_journey_share_one_finding(tmp_path: Path) -> None:
    """It stands where the channels stand: with the defaults, or with the stage that has its own."""
    rules = """
rules:
  - journey: doors
    defaults:
      recipients: [to]
      channels: [email, sms]
    stages:
      - {stage: opened, on: door.opened}
      - {stage: coded, on: door.code}
      - stage: locked
        on: door.locked
        channels: [sms]
  - journey: plain
    stages:
      - {stage: opened, on: door.opened, recipients: [to], channels: [portal, sms]}
"""
    config = Config(tmp_path, rules, relays={"default": TLS}, sms=None)

    assert [where(one) for one in config.unsendable()] == [
        ("warning", "doors.yaml", 6, "rules[0].defaults.channels"),
        ("error", "doors.yaml", 12, "rules[0].stages[2].channels"),
        ("warning", "doors.yaml", 15, "rules[1].stages[0].channels"),
    ]


SCHEDULES = """
rules:
  - {schedule: ours, cron: "0 8 * * *", event: door.opened}
  - {schedule: off, cron: "0 8 * * *", event: door.opened, tenant: nobody, enabled: false}
  - schedule: theirs
    cron: "0 8 * * *"
    event: door.opened
    tenant: acme
"""


def test_a_schedule_for_a_tenant_that_nobody_knows(tmp_path: Path) -> None:
    """The default tenant is always there, and a schedule that is off asks for nobody."""
    config = Config(tmp_path, SCHEDULES)

    asked = foreign_schedules(config.rules)
    (found,) = unknown_tenants(asked, frozenset({"default"}), config.places)
    (unsure,) = unchecked_tenants(asked, "no database is configured", config.places)

    assert where(found) == ("error", "doors.yaml", 8, "rules[2].tenant")
    assert found.mend == "correct it, or: notifier tenant add acme"
    assert not list(unknown_tenants(asked, frozenset({"default", "acme"}), config.places))
    assert where(unsure) == ("warning", "doors.yaml", 8, "rules[2].tenant")
    assert "not checked" in unsure.problem


def test_the_command_says_all_of_it(tmp_path: Path) -> None:
    """One object a line with file, line, field and mend; what was not checked is said."""
    rules = SCHEDULES + CODE_RULE.removeprefix("\nrules:\n")
    Config(tmp_path, rules)
    (tmp_path / "notifier.yaml").write_text(
        "relays:\n  default: {host: catcher.example.org, security: none}\n", encoding="utf-8"
    )
    words = {"subject.txt": "Door", "body.txt": "Door", "body.html": "<p>Door</p>", "sms.txt": "Door"}
    for name, text in words.items():
        (tmp_path / "templates" / "door" / "code").mkdir(parents=True, exist_ok=True)
        (tmp_path / "templates" / "door" / "code" / f"{name}.j2").write_text(text, encoding="utf-8")
    env = {"NOTIFIER_CONFIG_DIR": str(tmp_path), "NOTIFIER_TEMPLATES_DIR": str(tmp_path / "templates")}
    away = {**env, "NOTIFIER_DATABASE_URL": "postgresql://worker:hush@127.0.0.1:1/nowhere"}

    result = CliRunner().invoke(cli, ["config", "check", "--json"], env=env)
    asked = CliRunner().invoke(cli, ["config", "check"], env=away)

    findings = [json.loads(line) for line in result.stdout.splitlines()]
    said = {(one["severity"], Path(one["file"]).name, one["field"]) for one in findings if one["mend"]}
    assert result.exit_code == 1
    assert said >= {
        ("error", "doors.yaml", "events[0].lookup.owner.source"),
        ("error", "doors.yaml", "events[0].lookup.weather.source"),
        ("error", "doors.yaml", "events[1].tls_required"),
        ("warning", "doors.yaml", "rules[2].tenant"),
        ("warning", "doors.yaml", "rules[3].channels"),
    }
    assert "no database is configured" in result.stdout
    assert "the database cannot be reached" in asked.stdout
    assert "hush" not in asked.output


def test_the_shipped_files_say_nothing_wrong_of_each_other() -> None:
    """With a relay that has TLS and a gateway; and as they lie there, with neither."""
    folder = ROOT / "config"
    catalog, places = Catalog.load(folder / "events"), Places(folder)
    lists = load(folder / "notifier.yaml").value["lists"]
    rules = read_rules(folder / "rules", types=[entry.type for entry in catalog], lists=lists)
    bare = Settings.model_construct(**dict(Settings()))
    for settings in (bare, bare.model_copy(update={"relays": {"default": TLS}, "sms": GATEWAY})):
        assert not list(unknown_sources(catalog, settings, places))
        assert not list(unencrypted(catalog, rules, settings, places))
        assert not list(unsendable(rules, settings, places))
    assert not foreign_schedules(rules)
