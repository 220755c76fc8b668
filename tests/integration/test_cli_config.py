"""What a check of the configuration asks a database: whether it knows the tenants of schedules."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from notifier.crypto import MasterKeys
from tests.command import command
from tests.services import CONFIG, Flow

pytestmark = pytest.mark.servers

EVENT = """
type: door.opened
title: A door was opened
category: doors
class: operational
schema: {type: object}
sample: {}
sample_subject: D-1
"""
SCHEDULE = """
rules:
  - schedule: nightly
    cron: "0 8 * * *"
    event: door.opened
    tenant: acme
"""


@pytest.fixture
def check(tmp_path: Path) -> Callable[[str], list[dict[str, object]]]:
    """Return the check of a configuration with one schedule, against the database at a URL."""
    for folder, text in (("events", EVENT), ("rules", SCHEDULE)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "doors.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "templates").mkdir()

    def run(url: str) -> list[dict[str, object]]:
        env = {
            "NOTIFIER_CONFIG_DIR": str(tmp_path), "NOTIFIER_TEMPLATES_DIR": str(tmp_path / "templates"),
            "NOTIFIER_DATABASE_URL": url,
        }  # fmt: skip
        result = command(None)("config", "check", "--json", env=env)
        found = [json.loads(line) for line in result.stdout.splitlines()]
        assert result.exit_code == any(one["severity"] == "error" for one in found)
        return found

    return run


def test_a_tenant_is_unknown_until_it_is_added(
    check: Callable[[str], list[dict[str, object]]], worker_url: str
) -> None:
    """The mend that is named is the one that works."""
    (before,) = check(worker_url)
    added = command(None)("tenant", "add", "acme", env={"NOTIFIER_DATABASE_URL": worker_url})
    after = check(worker_url)

    assert (before["severity"], before["line"], before["field"]) == ("error", 6, "rules[0].tenant")
    assert "notifier tenant add acme" in str(before["mend"])
    assert added.exit_code == 0
    assert after == []


def test_a_database_without_tables_leaves_the_tenants_unchecked(
    check: Callable[[str], list[dict[str, object]]], worker_url: str
) -> None:
    """A warning that says so, and what to run."""
    empty = worker_url.rpartition("/")[0] + "/postgres"

    (found,) = check(empty)

    assert found["severity"] == "warning"
    assert "run `notifier migrate`" in str(found["problem"])


@pytest.mark.parametrize("args", [["log"], ["keys", "init"], ["suppression", "show", "a@example.com"]])
def test_another_databases_master_key_is_named(flow: Flow, worker_url: str, args: list[str]) -> None:
    """It is configuration, and the mend is to find the right one: never to make a new ring."""
    flow.ingest(flow.sample("order.shipped"))
    key = MasterKeys.new_line("test")

    result = command(None)(*args, env={"NOTIFIER_DATABASE_URL": worker_url, "NOTIFIER_MASTER_KEY": key})

    assert result.exit_code == 2
    assert "set NOTIFIER_MASTER_KEY_FILE to the key that this database was made with" in result.stderr
    assert key.partition(":")[2] not in result.output


def test_a_file_nobody_can_read_is_the_only_thing_wrong(tmp_path: Path) -> None:
    """Not every list of every rule as well."""
    shutil.copytree(CONFIG, tmp_path / "config")
    (tmp_path / "config" / "notifier.yaml").write_text("lists: [\n")

    result = command(None)("config", "check", "--json", env={"NOTIFIER_CONFIG_DIR": str(tmp_path / "config")})

    (only,) = (json.loads(line) for line in result.stdout.splitlines())
    assert (only["severity"], only["line"]) == ("error", 2)
