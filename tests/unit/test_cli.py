"""The command without servers: what it imports, how it fails, what it writes."""

import json
import os
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import yaml
from click.testing import CliRunner

from notifier.cli import cli
from notifier.cli.arguments import read_moment
from notifier.cli.failures import exit_code, lines
from notifier.cli.group import SECTIONS, load
from notifier.cli.health import last_words
from notifier.cli.log import next_page
from notifier.cli.output import Column, as_json, printable, show_table
from notifier.documents import ConfigErrors
from notifier.errors import ConfigError, EventRefused, NotifierError
from notifier.health import STALE_SECONDS

ROOT = Path(__file__).parents[2]
SERVER_ONLY = ("sqlalchemy", "pydantic", "jinja2", "yaml", "structlog", "rich", "celery", "httpx", "psycopg")


def python(code: str, *args: str) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter."""
    return subprocess.run([sys.executable, "-c", code, *args], capture_output=True, text=True, check=False)


def without(*packages: str) -> str:
    """Return code that makes the packages as absent as they are from the base install."""
    return (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] in {packages!r}:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Absent())\n"
    )


def test_the_base_install_has_help_and_enqueue() -> None:
    """Neither needs, nor imports, anything of the server."""
    code = without(*SERVER_ONLY) + "from notifier.cli import main\nmain()"

    whole, enqueue = python(code, "--help"), python(code, "enqueue", "--help")

    assert (whole.returncode, enqueue.returncode) == (0, 0), whole.stderr + enqueue.stderr
    for section in SECTIONS.values():
        for name in section:
            assert f"\n  {name} " in whole.stdout
    assert "--subject" in enqueue.stdout


def test_enqueue_starts_without_the_servers_libraries() -> None:
    """They are installed here, and still not imported: a script that enqueues in a loop stays fast."""
    code = (
        "import sys\nfrom notifier.cli.group import SECTIONS, load\n"
        "load(SECTIONS['Produce']['enqueue'])\n"
        f"print([name for name in {SERVER_ONLY!r} if name in sys.modules])"
    )

    assert python(code).stdout.strip() == "[]"


@pytest.mark.parametrize(
    "name",
    [
        name
        for title, section in SECTIONS.items()
        if title != "Produce"
        for name in section
        if name != "serve"
    ],
)
def test_a_server_command_says_what_to_install(name: str) -> None:
    """Without the extra: one line with the mend, exit code 2, no traceback."""
    code = without(*SERVER_ONLY) + "from notifier.cli import main\nmain()"

    result = python(code, name, "--help")

    assert result.returncode == 2
    assert "pip install 'notifier[server]'" in result.stderr
    assert result.stderr.count("\n") == 1


def test_every_command_of_the_table_exists_and_has_help() -> None:
    """The lazy table names real commands; each, and each of its parts, explains itself."""
    for section in SECTIONS.values():
        for name, lazy in section.items():
            command = load(lazy)
            assert command.help, name
            for part in getattr(command, "commands", {}).values():
                assert part.help, (name, part.name)


def test_every_command_that_answers_writes_json() -> None:
    """``--json`` everywhere; only what runs a server, or prints a schema, has none."""
    lacking = set()
    for section in SECTIONS.values():
        for name, lazy in section.items():
            command = load(lazy)
            for part in getattr(command, "commands", {name: command}).values():
                if not any("--json" in option.opts for option in part.params):
                    lacking.add((name, part.name))

    assert lacking == {("serve", "serve"), ("config", "schema"), ("mail-in", "serve")}


def test_an_unknown_command_is_wrong_usage() -> None:
    """Exit code 2, as any wrong usage."""
    result = CliRunner().invoke(cli, ["lgo"])

    assert result.exit_code == 2
    assert "No such command 'lgo'" in result.stderr


def test_errors_become_lines_and_exit_codes() -> None:
    """One line per thing that is wrong, however many lines its text has."""
    several = ConfigErrors([ConfigError("a\nb", file="x.yaml", line=3), ConfigError("c", mend="d")])

    assert lines(several) == ["x.yaml:3: a b", "c (mend: d)"]
    assert exit_code(several) == 2
    assert exit_code(EventRefused("no")) == 3
    assert exit_code(NotifierError("oh")) == 1
    assert lines(ValueError("jo@example.org")) == ["ValueError (--debug shows where; please report it)"]


def test_debug_shows_where_an_error_comes_from(tmp_path: Path) -> None:
    """And without it there is no traceback."""
    env = {**os.environ, "NOTIFIER_CONFIG_DIR": str(tmp_path)}
    command = [sys.executable, "-c", "from notifier.cli import main; main()"]

    plain = subprocess.run([*command, "events"], capture_output=True, text=True, env=env, check=False)
    debug = subprocess.run(
        [*command, "--debug", "events"], capture_output=True, text=True, env=env, check=False
    )

    assert plain.returncode == 2
    assert plain.stderr.startswith("error: ")
    assert "the folder does not exist" in plain.stderr
    assert "Traceback" not in plain.stderr
    assert "Traceback" in debug.stderr


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2h", datetime(2026, 7, 1, 10, tzinfo=UTC)),
        ("1d12h", datetime(2026, 6, 30, tzinfo=UTC)),
        ("2026-06-01", datetime(2026, 6, 1, tzinfo=UTC)),
        ("2026-06-01T08:00:00+02:00", datetime(2026, 6, 1, 6, tzinfo=UTC)),
        ("yesterday", None),
        ("99999999999d", None),
        ("", None),
    ],
)
def test_moments_are_spans_before_now_or_times(text: str, moment: datetime | None) -> None:
    """A time without an offset is UTC."""
    assert read_moment(text, datetime(2026, 7, 1, 12, tzinfo=UTC)) == moment


def test_the_next_page_repeats_the_moment_and_not_the_span() -> None:
    """Ten minutes later "2h" would be another page; words with blanks stay whole."""
    given = {
        "address": "o'neil@example.org", "type_": "order.shipped", "since": datetime(2026, 7, 1, tzinfo=UTC),
        "statuses": ("queued", "deferred"), "limit": 50, "after": None, "is_json": False,
    }  # fmt: skip

    command = next_page(given, UUID(int=7))

    assert command == (
        """notifier log --to 'o'"'"'neil@example.org' --type order.shipped --since"""
        " 2026-07-01T00:00:00+00:00 --status queued --status deferred --after 00000000-0000-0000-0000-000000000007"
    )


def test_what_a_server_said_cannot_steer_the_terminal() -> None:
    """Escape sequences, carriage returns and direction overrides are written out, in text and in JSON."""
    evil = "250 ok\x1b]0;owned\x07\r\x9b2J\u202eabc"

    for shown in (printable(evil), as_json({"reply": evil})):
        assert not set(shown) & {"\x1b", "\x07", "\r", "\x9b", "\u202e"}
    assert json.loads(as_json({"reply": evil})) == {"reply": evil}


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_a_table_fits_the_terminal(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ids stay whole; what is optional goes first."""
    monkeypatch.setenv("COLUMNS", str(width))
    columns = [Column("id", 36, is_whole=True), Column("to", 12), Column("why", 40, is_optional=True)]
    row = [str(UUID(int=1)), "a-very-long-address-of-somebody@example.org", "reason " * 12]

    show_table(columns, [row], empty="nothing")

    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= width
    assert str(UUID(int=1)) in shown
    assert ("why" in shown) == (width >= 100)
    assert "a-very-long" in shown


def test_a_config_check_finds_everything_at_once(tmp_path: Path) -> None:
    """Settings, catalogue and rules are all checked: each finding with file, line and mend; exit code 1."""
    config = tmp_path / "config"
    (config / "events").mkdir(parents=True)
    (config / "rules").mkdir()
    (config / "notifier.yaml").write_text("mail:\n  domian: x\nlocale: en\n", encoding="utf-8")
    (config / "events" / "a.yaml").write_text("type: a.b\ntitle: A\n", encoding="utf-8")
    (config / "rules" / "r.yaml").write_text("rules:\n  - notify: x\n    on: a.c\n", encoding="utf-8")
    env = {"NOTIFIER_CONFIG_DIR": str(config)}

    broken = CliRunner().invoke(cli, ["config", "check", "--json"], env=env)
    shipped = CliRunner().invoke(cli, ["config", "check"], env={"NOTIFIER_CONFIG_DIR": str(ROOT / "config")})

    found = [json.loads(line) for line in broken.stdout.splitlines()]
    places = {(Path(one["file"]).name, one["line"]) for one in found}
    assert broken.exit_code == 1
    assert ("notifier.yaml", 2) in places
    assert "a.yaml" in {name for name, _ in places}
    assert shipped.exit_code == 0, shipped.stdout
    assert "error:" not in shipped.stdout


@pytest.mark.parametrize(
    ("variable", "value", "named"),
    [
        ("NOTIFIER_WEB_PORT", "abc", "NOTIFIER_WEB_PORT"),
        ("NOTIFIER_RELAYS__DEFAULT__PORT", "xx", "NOTIFIER_RELAYS__DEFAULT__PORT"),
        ("NOTIFIER_TUNING__CLAIM_LEASE", "5x", "NOTIFIER_TUNING__CLAIM_LEASE"),
        ("NOTIFIER_LOG_LEVEL", "LOUD", "NOTIFIER_LOG_LEVEL"),
        ("NOTIFIER_SMS__BASE_URL", "https://sms.example", "NOTIFIER_SMS__AUTH_TOKEN"),
        ("NOTIFIER_LISTS", "no json", "NOTIFIER_LISTS"),
    ],
)
def test_a_wrong_variable_is_a_finding_beside_those_of_the_files(
    tmp_path: Path, variable: str, value: str, named: str
) -> None:
    """Catalogue and rules are checked all the same; nothing asks for a report of a bug."""
    (tmp_path / "events").mkdir()
    (tmp_path / "rules").mkdir()
    (tmp_path / "events" / "a.yaml").write_text("type: a.b\ntitle: A\n", encoding="utf-8")
    found = findings({"NOTIFIER_CONFIG_DIR": str(tmp_path), variable: value})

    assert named in {one["field"] for one in found}
    assert str(tmp_path / "events" / "a.yaml") in {one["file"] for one in found}


@pytest.mark.parametrize(
    ("text", "line", "field", "mend"),
    [
        ("delivery:\n  urgent:\n    frist: 1s\n", 3, "delivery.urgent.frist", "did you mean 'first'?"),
        ("delivery:\n  bulk: {attempts: 0}\n", 2, "delivery.bulk.attempts", "write 1 or more"),
        ("delivery:\n  bulk: {first: 5x}\n", 2, "delivery.bulk.first", "write a duration such as 500ms"),
        ("lists:\n  ops:\n    - ops@example.com\n    - nobody\n", 4, "lists.ops[1]", "write an address, or"),
        ("relays:\n  default:\n    host: a\n    ca_file: none.pem\n", 4, "relays.default.ca_file", "name a file"),
        (
            "sms:\n  account_sid: AC1\n  auth_token: t\n  sender: '+491'\n  base_url: ftp://a\n",
            5, "sms.base_url", "write https://",
        ),
        ("mail_in:\n  tls:\n    cert_file: none.pem\n", 3, "mail_in.tls.cert_file", "check the path"),
        ("mail_in:\n  port: 24\n  require_tls: true\n", 3, "mail_in.require_tls", "name one: mail_in.tls.cert"),
        ("web_port: eighty\n", 1, "web_port", "write a whole number"),
        ("log_level: loud\n", 1, "log_level", "write one of 'DEBUG'"),
    ],
)  # fmt: skip
def test_a_finding_about_a_setting_has_its_line_and_mend(
    tmp_path: Path, text: str, line: int, field: str, mend: str
) -> None:
    """Also where another part checks the value; the variable where the value came from one."""
    (tmp_path / "notifier.yaml").write_text(text, encoding="utf-8")
    table, rest = yaml.safe_load(text).popitem()
    shutil.copytree(ROOT / "config", tmp_path / "other")
    (tmp_path / "other" / "notifier.yaml").write_text("", encoding="utf-8")
    variable = f"NOTIFIER_{table.upper()}"
    value = rest if isinstance(rest, str) else json.dumps(rest)

    in_file = findings({"NOTIFIER_CONFIG_DIR": str(tmp_path)})
    in_variable = findings({"NOTIFIER_CONFIG_DIR": str(tmp_path / "other"), variable: value})

    (one,) = [one for one in in_file if one["field"] == field]
    assert (one["file"], one["line"]) == (str(tmp_path / "notifier.yaml"), line)
    assert one["mend"].startswith(mend)
    (other,) = [one for one in in_variable if one["field"] == variable]
    assert (other["file"], other["mend"]) == (None, one["mend"])


def test_a_provider_that_waits_for_a_role_is_refused_where_there_is_none(tmp_path: Path) -> None:
    """At its line, with both ways to mend it; where the machine has keys, nothing is said."""
    text = "relay: cloud\nproviders:\n  cloud:\n    kind: ses\n    region: eu-west-1\n"
    (tmp_path / "notifier.yaml").write_text(text, encoding="utf-8")
    none = str(tmp_path / "none")
    env = {
        "NOTIFIER_CONFIG_DIR": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": none,
        "AWS_SHARED_CREDENTIALS_FILE": none,
    }  # fmt: skip

    refused = findings(env)
    taken = findings({**env, "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"})

    field = "providers.cloud.access_key_id"
    (one,) = [one for one in refused if one["field"] == field]
    assert (one["severity"], one["file"], one["line"]) == ("error", str(tmp_path / "notifier.yaml"), 3)
    assert "no role" in one["problem"]
    assert "secret_access_key" in one["mend"]
    assert field not in {one["field"] for one in taken}


def test_what_is_wrong_in_one_file_hides_nothing_in_another(tmp_path: Path) -> None:
    """A wrong class, YAML that is none in both folders, a wrong rule; and no type is called unknown for it."""
    texts = {
        "events/a.yaml": "type: a.b\ntitle: A\ncategory: c\nschema: {}\nclass: wrong\n",
        "events/b.yaml": "type: [b.c\n",
        "events/c.yaml": "type: c.d\ntitel: C\n",
        "rules/a.yaml": "rules: [\n",
        "rules/b.yaml": "rules:\n  - notify: x\n    on: [b.c, a.*]\n    recipients: [{list: nobody}]\n",
        "rules/c.yaml": "rules:\n  - notify: y\n    on: a.b\n    recipient: []\n",
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")

    found = findings({"NOTIFIER_CONFIG_DIR": str(tmp_path)})

    places = {str(Path(str(one["file"])).relative_to(tmp_path)) for one in found if one["file"]}
    assert set(texts) <= places
    assert "unknown list 'nobody'" in {one["problem"] for one in found}
    assert [one for one in found if "event type" in one["problem"]] == []


def findings(env: dict[str, str]) -> list[dict[str, Any]]:
    """Return what the check finds; without templates, which take the longest."""
    env = {**env, "NOTIFIER_TEMPLATES_DIR": str(Path(env["NOTIFIER_CONFIG_DIR"]) / "none")}
    checked = CliRunner().invoke(cli, ["config", "check", "--json"], env=env)
    assert checked.exit_code == 1
    return [json.loads(line) for line in checked.stdout.splitlines()]


def test_the_schema_of_rules_is_one_json_document() -> None:
    """For editors, on standard output and nothing else."""
    result = CliRunner().invoke(cli, ["config", "schema", "rules"])

    assert json.loads(result.stdout)["title"] == "notifier rules"


def test_events_shows_a_type_with_schema_and_sample() -> None:
    """Enough for a producer to send one; an unknown type is refused with the way to the list."""
    env = {"NOTIFIER_CONFIG_DIR": str(ROOT / "config")}

    one = json.loads(CliRunner().invoke(cli, ["events", "order.shipped", "--json"], env=env).stdout)
    wrong = CliRunner().invoke(cli, ["events", "order.shiped"], env=env)
    table = CliRunner().invoke(cli, ["events"], env={**env, "COLUMNS": "100"})

    assert set(one["schema"]["required"]) <= set(one["sample"])
    assert "order.shipped" in table.stdout
    assert wrong.exit_code == 3
    assert "`notifier events` lists" in wrong.stderr


def test_health_is_the_newest_word_of_each_process(tmp_path: Path) -> None:
    """Started again, a process counts once; silence is stale; nobody is no health."""
    now = time.time()

    def said(name: str, state: str, ago: float) -> None:
        file = tmp_path / f"{name}.json"
        file.write_text(json.dumps({"state": state, "since": "", "reason": "away"}), encoding="utf-8")
        os.utime(file, (now - ago, now - ago))

    nobody = CliRunner().invoke(cli, ["health", "--dir", str(tmp_path)])
    said("core-1", "fine", STALE_SECONDS * 9)
    said("core-2", "fine", 1)
    well = CliRunner().invoke(cli, ["health", "--dir", str(tmp_path)])
    said("deliver-3", "waiting", 1)
    said("urgent-4", "fine", STALE_SECONDS + 60)
    (tmp_path / "beat-5.json").write_text("{", encoding="utf-8")
    ill = CliRunner().invoke(cli, ["health", "--dir", str(tmp_path), "--json"])

    assert (nobody.exit_code, well.exit_code, ill.exit_code) == (1, 0, 1)
    assert {word.process: word.state for word in last_words(tmp_path, now)} == {
        "beat": "unreadable", "core": "fine", "deliver": "waiting", "urgent": "stale",
    }  # fmt: skip
    assert len(ill.stdout.splitlines()) == 4


def test_spans_are_json_numbers() -> None:
    """A duration is its seconds, a moment ISO 8601."""
    value = {"span": timedelta(minutes=2), "at": datetime(2026, 7, 1, tzinfo=UTC)}

    assert json.loads(as_json(value)) == {"span": 120.0, "at": "2026-07-01T00:00:00+00:00"}
