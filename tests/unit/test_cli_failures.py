"""What a program reads where a command fails: one object with what is known, and the exit code."""

import functools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from notifier.cli import cli
from notifier.cli.failures import as_object, exit_code
from notifier.cli.group import SECTIONS, load
from notifier.client import Client
from notifier.documents import ConfigErrors
from notifier.errors import (
    ConfigError,
    EventRefused,
    IntakeFull,
    NotDurable,
    NotifierError,
    ResultTimeout,
    TemplateError,
)

WRONG = ConfigError("no\nsuch key", file=Path("x.yaml"), line=3, field="a.b", mend="remove it")
AWAY = {"NOTIFIER_DATABASE_URL": "postgresql://worker:hush@127.0.0.1:1/nowhere"}


def run(*args: str, **env: str) -> Result:
    """Run the command inside this process."""
    return CliRunner().invoke(cli, args, env=env)


def told(result: Result) -> dict[str, object]:
    """Return the error a program finds: the only object on standard error, nothing on the other."""
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    found = json.loads(result.stderr)
    assert set(found) == {"error"}
    error: dict[str, object] = found["error"]
    return error


def every_command() -> Iterator[tuple[str, ...]]:
    """Yield the path of each command."""
    for section in SECTIONS.values():
        for name, lazy in section.items():
            command = load(lazy)
            if isinstance(command, click.Group):
                yield from ((name, part) for part in command.commands)
            else:
                yield (name,)


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (
            WRONG,
            {"message": "no such key", "file": "x.yaml", "line": 3, "field": "a.b", "mend": "remove it"},
        ),
        (ConfigErrors([WRONG]), as_object(WRONG)),
        (
            ConfigErrors([WRONG, ConfigError("two")]),
            {"message": "2 things are wrong", "errors": [as_object(WRONG), {"message": "two"}]},
        ),
        (
            TemplateError("oh", template="a/b/x.j2", line=2, variable="who"),
            {"message": "oh", "file": "a/b/x.j2", "line": 2, "field": "who"},
        ),
        (
            EventRefused("too long", field="data.x", code="schema"),
            {"message": "too long", "field": "data.x", "code": "schema"},
        ),
        (NotifierError("oh"), {"message": "oh"}),
        (FileNotFoundError(2, "No such file", "x"), {"message": "No such file", "file": "x"}),
        (ValueError("jo@example.org"), {"message": "ValueError (--debug shows where; please report it)"}),
        (click.UsageError("oh"), {"message": "oh"}),
        (click.Abort(), {"message": "aborted"}),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_an_error_is_its_message_and_what_else_is_known(error: Exception, found: dict[str, object]) -> None:
    """Only the keys that exist; values in foreign errors stay out of it."""
    assert as_object(error) == found


def test_notes_go_along() -> None:
    """The client says so which event it was."""
    error = IntakeFull("full")
    error.add_note("event id: e-1")

    assert as_object(error) == {"message": "full", "notes": ["event id: e-1"]}


def test_the_clients_errors_have_the_codes_of_enqueue() -> None:
    """The same number says the same, whichever command ended."""
    assert [exit_code(error) for error in (NotDurable(), ResultTimeout())] == [4, 5]


@pytest.mark.parametrize("path", list(every_command()), ids="-".join)
def test_wrong_usage_of_any_command_is_an_object(path: tuple[str, ...]) -> None:
    """The option, and whose help to see; without --json it stays click's text with the same code."""
    wrong, text = run(*path, "--json", "--nonsense"), run(*path, "--nonsense")

    error = told(wrong)
    assert (wrong.exit_code, text.exit_code) == (2, 2)
    assert str(error["message"]).startswith("No such option")
    assert error["mend"] == f"see `cli {' '.join(path)} --help`"
    assert text.stderr.startswith("Usage: ")


@pytest.mark.parametrize(
    ("args", "field"),
    [
        (["--nonsense", "log", "--json"], "--nonsense"),
        (["lgo", "--json"], None),
        (["log", "--json", "--since", "yesterday"], "--since"),
        (["show", "--json"], "ID"),
        (["log", "--json", "--limit"], "--limit"),
        (["dead", "retry", "--json"], None),
    ],
)
def test_wrong_usage_names_the_option_or_argument(args: list[str], field: str | None) -> None:
    """Before the command, of the command, and of what it takes."""
    result = run(*args)

    assert result.exit_code == 2
    assert told(result).get("field") == field


def test_what_stands_behind_two_dashes_is_no_option() -> None:
    """An argument may be called --json; the error stays text."""
    assert run("nothing", "--", "--json").stderr.startswith("Usage: ")


def test_a_wrong_configuration_names_the_place(tmp_path: Path) -> None:
    """File, line, field and mend each have a key of their own."""
    (tmp_path / "notifier.yaml").write_text("locale: en\nmial: {}\n", encoding="utf-8")

    result = run("events", "--json", NOTIFIER_CONFIG_DIR=str(tmp_path))

    error = told(result)
    assert result.exit_code == 2
    assert error == {
        "message": "unknown key", "file": str(tmp_path / "notifier.yaml"), "line": 2, "field": "mial",
        "mend": "did you mean 'mail'?",
    }  # fmt: skip


def test_an_unknown_type_is_refused_with_its_field() -> None:
    """As an event of that type would be."""
    result = run("events", "order.shiped", "--json")

    assert result.exit_code == 3
    assert (told(result)["field"], told(result)["code"]) == ("type", "unknown_type")


@pytest.mark.parametrize("args", [["tenant", "list"], ["dead", "list"], ["suppression", "list"]])
def test_the_database_away_is_an_object_too(args: list[str]) -> None:
    """Exit code 4; nothing of the password."""
    result = run(*args, "--json", **AWAY)

    assert result.exit_code == 4
    error = told(result)
    assert str(error["message"]).startswith("the database cannot be reached")
    assert "mend" not in str(error["message"])
    assert error["mend"] == "is PostgreSQL up, and NOTIFIER_DATABASE_URL right?"
    assert "hush" not in result.stderr


@pytest.mark.parametrize(
    ("data", "code", "field"),
    [("{}", 4, None), ("[]", 3, "data"), ("{", 2, "--data")],
    ids=["away", "no", "usage"],
)
def test_what_enqueue_is_refused_is_an_object_too(
    monkeypatch: pytest.MonkeyPatch, data: str, code: int, field: str | None
) -> None:
    """With the code it has without --json; the id goes along, so that the same event can be sent again."""
    monkeypatch.setattr("notifier.client.command.Client", functools.partial(Client, retry_for=0.2))
    args = ["enqueue", "a.b", "--subject", "s", "--data", data, "--url", "redis://127.0.0.1:1", "--id", "e-1"]

    result, text = run(*args, "--json"), run(*args)

    assert (result.exit_code, text.exit_code) == (code, code)
    assert told(result).get("field") == field
    assert told(result).get("notes") == (["event id: e-1"] if code == 4 else None)


def test_migrate_says_nothing_else_while_it_waits() -> None:
    """A line for people would stand before the object."""
    url = AWAY["NOTIFIER_DATABASE_URL"]

    result = run("migrate", "--wait", "0.7", "--json", NOTIFIER_MIGRATOR_DATABASE_URL=url)

    assert result.exit_code == 4
    assert "no answer from the database" in str(told(result)["message"])


def test_a_question_left_unanswered_ends_its_line_first() -> None:
    """The object stands alone on the last line."""
    result = run("erase", "jo@example.org", "--json")

    assert result.exit_code == 1
    assert json.loads(result.stderr.splitlines()[-1]) == {"error": {"message": "aborted"}}


def test_a_missing_package_is_an_object_too() -> None:
    """Without the server's packages the command that reads --json cannot even be loaded."""
    code = (
        "import sys\nsys.modules['sqlalchemy'] = None\n"
        "from notifier.cli import main\nsys.argv[1:] = ['log', '--json']\nmain()"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert result.returncode == 2
    assert "pip install 'notifier[server]'" in json.loads(result.stderr)["error"]["message"]


def test_debug_shows_the_trace_of_an_error_and_not_of_wrong_usage(tmp_path: Path) -> None:
    """--debug is for people: it wins over --json where something broke."""
    env = {**os.environ, "NOTIFIER_CONFIG_DIR": str(tmp_path)}
    command = [sys.executable, "-c", "from notifier.cli import main; main()", "--debug"]

    broken = subprocess.run(
        [*command, "events", "--json"], capture_output=True, text=True, env=env, check=False
    )
    usage = run("--debug", "events", "--json", "--nonsense")

    assert "Traceback" in broken.stderr
    assert told(usage)["field"] == "--nonsense"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("outbox", "install", "postgresql://shop:hush@127.0.0.1:1/shop"), "Connection refused"),
        (("tenant", "list"), "(mend: is PostgreSQL up, and NOTIFIER_DATABASE_URL right?)"),
        (
            ("template", "preview", "order/shipped", "--out", "/nowhere/a.html"),
            "/nowhere/a.html: No such file",
        ),
        (("template", "preview", "order/shipped", "--data", "@{binary}"), "binary: is not UTF-8"),
        (("oncall", "show"), "docs/how-to/alerts.md"),
        (("provider", "list"), "docs/how-to/channels.md"),
        (("dkim", "record"), "`notifier dkim key DOMAIN` makes one"),
    ],
)
def test_a_person_reads_what_to_do(arguments: tuple[str, ...], says: str, tmp_path: Path) -> None:
    """The reason, not the last line of a driver; the page that has it; no secret."""
    (tmp_path / "binary").write_bytes(b"\xff\xfe{}")

    result = run(*(one.format(binary=tmp_path / "binary") for one in arguments), **AWAY)

    assert says in result.output
    assert "hush" not in result.output
    assert "Traceback" not in result.output
