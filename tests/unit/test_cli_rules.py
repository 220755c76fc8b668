"""The commands for people who write rules: what they print, and how they end."""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from notifier.cli import cli
from notifier.documents import load

ROOT = Path(__file__).parents[2]
ALERTMANAGER = """
route:
  receiver: ops
  repeat_interval: 12m
receivers:
- name: ops
  email_configs: [{to: ops@example.org}]
"""
SERVER_DOWN = """
type: server.down
title: Server down
category: infrastructure
class: operational
schema: {type: object, properties: {host: {type: string}}}
sample: {}
sample_subject: db-02
"""
SLIP = """
rules:
  - notify: slip
    on: server.down
    when: data.hots == 'db-02'
    recipients: [{list: operators}]
    reason: you run it
  - window: never-used
    intervals: [{months: [may]}]
"""


@pytest.fixture(name="config")
def _config(tmp_path: Path) -> Path:
    """Return a copy of the shipped configuration."""
    return Path(shutil.copytree(ROOT / "config", tmp_path / "config"))


def run(*args: str, config: Path = ROOT / "config") -> Result:
    """Run a command on a configuration."""
    env = {"NOTIFIER_CONFIG_DIR": str(config), "NOTIFIER_TEMPLATES_DIR": str(ROOT / "templates")}
    return CliRunner().invoke(cli, ["rules", *args], env=env)


def test_the_shipped_rules_pass_their_check() -> None:
    """Without a warning."""
    result = run("check")

    assert (result.exit_code, result.stdout) == (0, "all is well\n")


def test_a_slip_is_told_with_its_line(config: Path) -> None:
    """Exit code 1 for errors; one object a line for programs."""
    (config / "rules" / "slip.yaml").write_text(SLIP, encoding="utf-8")

    shown, listed = run("check", config=config), run("check", "--json", config=config)
    found = [json.loads(line) for line in listed.stdout.splitlines()]

    assert (shown.exit_code, listed.exit_code) == (1, 1)
    assert "slip.yaml:5: rules[0].when: no event of server.down has the field data.hots" in shown.stdout
    assert "mend: did you mean 'data.host'?" in shown.stdout
    assert [(one["severity"], one["line"]) for one in found] == [("error", 5), ("warning", 8)]


def test_what_loading_refuses_is_told_as_well(config: Path) -> None:
    """Beside what can be said of the rest."""
    broken = SLIP + "  - notify: lost\n    on: server.dwon\n    recipients: [{list: nobody}]\n"
    (config / "rules" / "slip.yaml").write_text(broken, encoding="utf-8")

    result = run("check", config=config)

    assert result.exit_code == 1
    for problem in ("unknown event type 'server.dwon'", "unknown list 'nobody'", "field data.hots"):
        assert problem in result.stdout


def test_a_template_that_is_not_there_is_told(config: Path) -> None:
    """As when the workers load the rules."""
    text = "rules:\n  - {notify: a, on: server.down, recipients: [to], template: server/nowhere}\n"
    (config / "rules" / "slip.yaml").write_text(text, encoding="utf-8")

    assert "there is no template 'server/nowhere'" in run("check", config=config).stdout


def test_rules_that_load_are_warned_of_by_the_check_of_everything(tmp_path: Path) -> None:
    """They do run: what nobody can have meant does not stop a deployment."""
    for name in ("events", "rules", "templates"):
        (tmp_path / name).mkdir()
    (tmp_path / "events" / "it.yaml").write_text(SERVER_DOWN, encoding="utf-8")
    (tmp_path / "rules" / "slip.yaml").write_text(SLIP, encoding="utf-8")
    env = {"NOTIFIER_CONFIG_DIR": str(tmp_path), "NOTIFIER_TEMPLATES_DIR": str(tmp_path / "templates")}

    result = CliRunner().invoke(cli, ["config", "check", "--json"], env=env)
    found = [json.loads(line) for line in result.stdout.splitlines()]

    assert [(one["severity"], one["line"]) for one in found if "data.hots" in one["problem"]] == [
        ("warning", 5)
    ]


def test_an_import_prints_rules_and_remarks_apart(tmp_path: Path) -> None:
    """So that the output can go into a file; remarks are no failure."""
    file = tmp_path / "alertmanager.yml"
    file.write_text(ALERTMANAGER, encoding="utf-8")

    result = run("import", str(file))

    assert result.exit_code == 0
    assert yaml.safe_load(result.stdout)["rules"][0]["remind_after"] == "15m"
    assert f"{file}:4: route.repeat_interval: Alertmanager looks every 5m" in result.stderr
    assert result.stderr.endswith("remarks: 1\n")


def test_an_import_for_programs_has_everything(tmp_path: Path) -> None:
    """Rules, lists and remarks in one object."""
    file = tmp_path / "alertmanager.yml"
    file.write_text(ALERTMANAGER, encoding="utf-8")

    shown = json.loads(run("import", str(file), "--name", "prom", "--json").stdout)

    assert shown["rules"][0]["alert"] == "prom"
    assert shown["lists"] == {"ops": ["ops@example.org"]}
    assert [one["line"] for one in shown["remarks"]] == [4]


def test_an_import_never_writes_over_a_file_unasked(tmp_path: Path) -> None:
    """Somebody may have worked on it."""
    file = tmp_path / "alertmanager.yml"
    file.write_text(ALERTMANAGER, encoding="utf-8")
    out = tmp_path / "rules"

    codes = [run("import", str(file), "--out", str(out), *more).exit_code for more in ((), (), ("--force",))]

    assert codes == [0, 2, 0]
    assert load(out / "alertmanager.yaml").value["rules"][0]["alert"] == "alertmanager"


@pytest.mark.parametrize(
    ("text", "problem"),
    [(None, "No such file"), (b"\xff\xfe", "not UTF-8"), (b"a: [", "not YAML"), (b"a: b", "has no `route:`")],
)
def test_a_file_that_cannot_be_read_is_wrong_usage(tmp_path: Path, text: bytes | None, problem: str) -> None:
    """Exit code 2, with its name and one line."""
    file = tmp_path / "alertmanager.yml"
    if text is not None:
        file.write_bytes(text)

    result = run("import", str(file))

    assert result.exit_code == 2
    assert problem in result.stderr
    assert str(file) in result.stderr
    assert result.stdout == ""
