"""``notifier rules test`` needs files alone: no database, no servers."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from notifier.cli import cli

TESTS = """
tests:
  - test: who runs it reads of it
    start: 2026-03-02T09:00:00Z
    feed: [{type: server.down, subject: web-1}]
    want: [{at: 5s, to: ops@x.example, by: email}]
    until: 1h
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a small configuration with one rule and one test that passes."""
    for name, text in {
        "notifier.yaml": "lists: {operators: [ops@x.example]}\n",
        "events/it.yaml": "type: server.down\ntitle: A server is down\ncategory: it\nclass: operational\n"
        "schema: {}\nsample: {}\nsample_subject: web-9\n",
        "rules/it.yaml": "rules:\n  - alert: servers\n    on: server.down\n    first_after: 5s\n"
        "    recipients: [{list: operators}]\n",
        "tests/it.yaml": TESTS,
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def run(folder: Path, *arguments: str) -> Result:
    """Run the command with this configuration; its templates are the shipped ones."""
    return CliRunner().invoke(
        cli,
        ["rules", "test", *arguments],
        env={"NOTIFIER_CONFIG_DIR": str(folder), "NOTIFIER_LOG_LEVEL": "error"},
    )


def test_the_tests_beside_the_rules_are_run(folder: Path) -> None:
    """Without naming them."""
    result = run(folder)

    assert (result.exit_code, result.stdout) == (0, "tests: 1, failed: 0, messages: 1\n"), result.output


def test_a_failure_has_its_line_and_an_exit_code(folder: Path) -> None:
    """For people, and with --json for programs."""
    (folder / "other.yaml").write_text(TESTS.replace("5s", "6s"))

    told, plain = run(folder, str(folder / "other.yaml")), run(folder, "--json", str(folder))

    assert (told.exit_code, plain.exit_code) == (1, 2)  # the folder itself holds files that are no tests
    assert f"FAIL who runs it reads of it ({folder / 'other.yaml'}:3)" in told.stdout
    assert f"{folder / 'other.yaml'}:6: missing: 6s (2026-03-02T09:00:06+00:00)" in told.stdout
    one = json.loads(run(folder, "--json", str(folder / "other.yaml")).stdout)
    assert (one["test"], one["passed"], one["problems"][0]["line"]) == ("who runs it reads of it", False, 6)


def test_where_there_are_no_tests_it_says_so(folder: Path) -> None:
    """Nothing found is not the same as all well."""
    (folder / "tests/it.yaml").unlink()

    result = run(folder)

    assert result.exit_code == 2
    assert "there are no tests" in result.stderr
