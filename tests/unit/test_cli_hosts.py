"""Doctor waits for nobody's resolver: the hosts of an address are looked for within a time."""

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from notifier.channels.configured import smtp_relay
from notifier.channels.smtp import SmtpChannel
from notifier.cli import cli, doctor
from notifier.cli.hosts import hosts_of, silent_hosts
from notifier.crypto import MasterKeys
from notifier.pipeline.checks import providers
from notifier.pipeline.checks.verdict import State
from notifier.setting_tables import Relay
from notifier.settings import Settings
from tests.contracts.resolver import HungResolver


@pytest.fixture
def hung(monkeypatch: pytest.MonkeyPatch) -> Iterator[HungResolver]:
    """A resolver whose servers are silent."""
    with HungResolver() as resolver:
        monkeypatch.setattr(socket, "getaddrinfo", resolver)
        yield resolver


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("postgresql://worker:p%40ss@db.example.org:5432/notifier", ["db.example.org"]),
        ("postgresql://worker@db1:5432,db2/notifier?target_session_attrs=read-write", ["db1", "db2"]),
        ("postgresql://worker@/notifier?host=/run/postgresql", []),
        ("postgresql:///notifier?host=db3,db4", ["db3", "db4"]),
        ("postgresql://%2Frun%2Fpostgresql/notifier", []),
        ("postgresql://worker@[::1]:5432/notifier", ["::1"]),
        ("redis://:hush@cache:6379/0", ["cache"]),
        ("sentinel://one:26379,two:26379/notifier", ["one", "two"]),
        ("unix:///run/valkey.sock", []),
        ("redis://[::1", []),
        ("", []),
    ],
)
def test_the_hosts_of_an_address(url: str, hosts: list[str]) -> None:
    """One or several, in whatever form; sockets have none, and what is no address is the driver's to say."""
    assert hosts_of(url) == hosts


def test_a_host_that_is_found_or_does_not_exist_is_not_silent() -> None:
    """Both are answers."""
    assert silent_hosts("redis://127.0.0.1:6379/0", 20) == []
    assert silent_hosts("redis://no-such-host.invalid/0", 20) == []


def test_a_silent_resolver_costs_its_time_once(hung: HungResolver) -> None:
    """However many hosts the address has."""
    started = time.monotonic()

    assert silent_hosts("sentinel://one,two,three/notifier", 0.2) == ["one", "two", "three"]
    assert time.monotonic() - started < 5


def test_doctor_goes_on_where_nobody_finds_a_host(
    hung: HungResolver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Every check has a verdict in time; those of database, Redis, relay and gateway say what is silent."""
    (tmp_path / "notifier.yaml").write_text(
        "relays:\n  default: {host: mx.example.org, connect_timeout: 300ms}\n", encoding="utf-8"
    )
    monkeypatch.setattr(doctor, "_NAME_SECONDS", 0.2)
    monkeypatch.setattr(providers, "_HTTP_SECONDS", 0.2)
    env = {
        "NOTIFIER_CONFIG_DIR": str(tmp_path), "NOTIFIER_MASTER_KEY": MasterKeys.new_line("test"),
        "NOTIFIER_DATABASE_URL": "postgresql://worker:hush@db.example.org/notifier",
        "NOTIFIER_REDIS_URL": "redis://:hush@cache.example.org/0",
        "NOTIFIER_SMS": json.dumps(
            {"base_url": "https://sms.example.org", "account_sid": "A", "auth_token": "hush", "sender": "+1"}
        ),
    }  # fmt: skip
    started = time.monotonic()

    result = CliRunner().invoke(cli, ["doctor", "--json"], env=env)

    found = {one["name"]: one for one in map(json.loads, result.stdout.splitlines())}
    assert time.monotonic() - started < 10
    assert result.exit_code == 1
    assert found.pop("DNS")["state"] == "warn"
    assert {one["state"] for one in found.values()} == {"fail"}
    assert set(found) == {
        "database", "keyring", "rules", "redis", "intake", "queue", "relay default", "sms", "reports"
    }  # fmt: skip
    for name, host in (
        ("database", "db"), ("keyring", "db"), ("rules", "db"), ("queue", "db"), ("redis", "cache")
    ):  # fmt: skip
        assert found[name]["detail"] == f"no resolver tells where {host}.example.org is, within 0.2 s"
        assert "DNS" in found[name]["mend"]
    assert "hush" not in result.output


def test_a_relay_nobody_finds_is_a_verdict_in_time(hung: HungResolver) -> None:
    """After the time for connecting, whatever the resolver does."""
    relay = Relay.model_validate({"host": "mx.example.org", "connect_timeout": "200ms"})
    started = time.monotonic()

    check = providers.check_relay("default", relay, SmtpChannel(smtp_relay("default", relay, Settings())))

    assert time.monotonic() - started < 5
    assert check.state is State.FAIL
    assert "at connect: " in check.detail
