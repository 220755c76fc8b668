"""``notifier address check`` judges what somebody typed, and asks DNS where it is told to."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from notifier.cli import cli
from tests.command import command
from tests.dns_server import DnsServer, Zone
from tests.services import Flow

ZONE: Zone = {
    ("takes.test", "MX"): ["10 mx.takes.test."],
    ("plain.test", "A"): ["192.0.2.1"],
    ("never.test", "MX"): ["0 ."],
}


def run(*arguments: str, given: str | None = None) -> Result:
    """Run the command."""
    return CliRunner().invoke(cli, ["address", "check", *arguments], input=given)


def test_each_address_gets_a_line() -> None:
    """With what speaks against it, what was meant, and which line is the same mailbox."""
    result = run("--json", "--file", "-", given="a.b@gmail.com\nada@gmial.com\nAB@googlemail.com\nnonsense\n")

    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == 1
    assert [one["concerns"] for one in found] == [[], ["typo"], [], ["syntax"]]
    assert found[1]["suggestion"] == "ada@gmail.com"
    assert [one["same_as"] for one in found] == [None, None, 1, None]


def test_a_table_for_people() -> None:
    """In words; all usable is exit code 0."""
    result = run("info@example.org", "ada@example.org")

    assert result.exit_code == 0
    assert "role" in result.stdout
    assert "2 usable, 0 not" in result.stdout


def test_throw_away_mailboxes_are_known_by_a_list(tmp_path: Path) -> None:
    """The operator's own."""
    banned = tmp_path / "banned.txt"
    banned.write_text("Tempo.example\n")

    result = run("--json", "--disposable", str(banned), "x@tempo.example")

    assert json.loads(result.stdout)["concerns"] == ["disposable"]


def test_dns_says_who_takes_mail(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """MX, or the domain's own address; a null MX, or no such domain, ends it."""
    with DnsServer(ZONE) as server:
        (tmp_path / "notifier.yaml").write_text(f'dns_servers: ["{server.place}"]\n')
        monkeypatch.setenv("NOTIFIER_CONFIG_DIR", str(tmp_path))
        names = ("takes", "plain", "never", "gone")

        result = run("--json", "--mx", *(f"ada@{name}.test" for name in names))

    found = [json.loads(line)["concerns"] for line in result.stdout.splitlines()]
    assert found == [[], [], ["no_mail"], ["no_domain"]]


@pytest.mark.servers
def test_the_address_book_tells_second_spellings(flow: Flow) -> None:
    """It merges nothing."""
    notifier = command(flow.services)
    for reference, email in (
        ("ada", "Ada.L@gmail.com"),
        ("al", "adal+x@googlemail.com"),
        ("bob", "bob@example.org"),
    ):
        assert notifier("contact", "set", reference, "--email", email).exit_code == 0

    result = notifier("contact", "duplicates", "--json")

    assert result.exit_code == 1
    assert json.loads(result.stdout) == {"references": ["ada", "al"]}


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    """Neither a guess of the encoding nor an empty answer to no question."""
    (tmp_path / "list.txt").write_bytes(b"ada@example.com\n\xff\xfe\n")

    binary, nothing = run("--file", str(tmp_path / "list.txt")), run()

    assert (binary.exit_code, nothing.exit_code) == (2, 2)
    assert f"{tmp_path / 'list.txt'}: is no UTF-8 text" in binary.stderr
    assert "name addresses" in nothing.stderr
