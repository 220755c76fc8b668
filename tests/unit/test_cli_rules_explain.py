"""``notifier rules explain`` says what would come of an event and when; files alone, nothing is sent."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from notifier.cli import cli


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a small configuration: one rule tells at once, one gathers, one is switched off."""
    common = "category: it\n    class: operational\n    schema: {}\n    sample: {load: 3}\n    sample_subject: web-9\n"
    types = "".join(f"  - type: {name}\n    title: T\n    {common}" for name in ("server.down", "server.up"))
    for name, text in {
        "notifier.yaml": "lists: {operators: [ops@x.example], managers: [boss@x.example]}\n",
        "events/it.yaml": f"events:\n{types}",
        "rules/it.yaml": """
rules:
  - alert: gathered
    on: server.down
    first_after: 2m
    remind_after: 1h
    recipients: [{list: operators}]
  - notify: at-once
    on: server.down
    when: data.load > 2
    recipients: [{list: managers}]
  - notify: never
    on: server.down
    enabled: false
    recipients: [{list: managers}]
  - schedule: daily
    cron: "* * * * *"
    zone: UTC
    event: server.up
  - notify: up
    on: server.up
    when: data.load > 2
    recipients: [{list: managers}]
    template: server/recovered
""",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def run(folder: Path, *arguments: str, input_: str | None = None) -> Result:
    """Run the command with this configuration; its templates are the shipped ones."""
    env = {"NOTIFIER_CONFIG_DIR": str(folder), "NOTIFIER_LOG_LEVEL": "error"}
    return CliRunner().invoke(cli, ["rules", "explain", *arguments], env=env, input=input_)


def test_every_rule_and_the_next_message_are_told(folder: Path) -> None:
    """Verdict, reason and facts; who at once; who next and when. A schedule speaks of something else."""
    result = run(folder, "--type", "server.down")

    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].startswith("server.down about web-9: rules (")
    assert lines[1:4] == [
        "  gathered: tracked: it begins; told by the group of subject",
        "  at-once: fired: told by email: on the list managers [data.load = 3]",
        "  never: disabled: switched off by `enabled: false`",
    ]
    assert lines[4:7] == ["", "at once", "  at-once → boss@x.example by email: server/down, normal"]
    assert lines[8].startswith("next, ")
    assert lines[8].endswith(" UTC, in 0:02:00")
    assert lines[9:] == ["  gathered → ops@x.example by email: server/down, normal, first"]


def test_a_file_an_object_and_standard_input_are_read(folder: Path) -> None:
    """What they leave out is the sample's, or now."""
    file = folder / "event.json"
    file.write_text(json.dumps({"type": "server.down", "subject": "web-1", "data": {"load": 1}}))

    by_file = json.loads(run(folder, str(file), "--json").stdout)
    by_input = json.loads(run(folder, "-", "--json", input_=file.read_text()).stdout)
    by_type = json.loads(
        run(folder, "--type", "server.down", "--subject", "web-1", "--data", '{"load": 1}', "--json").stdout
    )

    for found in (by_file, by_input, by_type):
        assert (found["subject"], found["now"]) == ("web-1", [])
        assert [one["verdict"] for one in found["rules"]] == ["tracked", "condition_false", "disabled"]
        ((told),) = found["next"]
        assert (told["rule"], told["why"], told["firing"]) == ("gathered", "first", ["web-1"])


def test_nobody_is_told_of_what_no_rule_is_for(folder: Path) -> None:
    """It says so, and for how long it looked ahead."""
    result = run(folder, "--type", "server.up", "--data", '{"load": 1}')

    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == "nobody would be told within 7 days, if nothing else happened"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        pytest.param([], 2, id="no event"),
        pytest.param(["x.json", "--type", "server.down"], 2, id="two events"),
        pytest.param(["x.json"], 2, id="no such file"),
        pytest.param(["--type", "server.gone"], 3, id="no such type"),
    ],
)
def test_what_cannot_be_explained_is_refused(folder: Path, arguments: list[str], code: int) -> None:
    """Wrong usage, or an event that would be refused."""
    assert run(folder, *arguments).exit_code == code
