"""``notifier dkim``: a key that only its maker can read, and the record that fits it."""

import json
import stat
from pathlib import Path

import pytest

from notifier.crypto.dkim_keys import read_key, record
from tests.command import command, document, lines


@pytest.fixture(autouse=True)
def _empty_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder without settings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NOTIFIER_CONFIG_DIR", str(tmp_path))
    # The shipped templates take seconds to check.
    (tmp_path / "templates").mkdir()
    monkeypatch.setenv("NOTIFIER_TEMPLATES_DIR", str(tmp_path / "templates"))


def test_a_new_key_is_readable_to_its_owner_only(tmp_path: Path) -> None:
    """Mode 0600 from the first byte on; what is printed is the public half."""
    result = command(None)("dkim", "key", "Example.com.", "--selector", "n1", "--file", "key.pem")

    pem = (tmp_path / "key.pem").read_bytes()
    assert result.exit_code == 0, result.output
    assert stat.S_IMODE((tmp_path / "key.pem").stat().st_mode) == 0o600
    assert read_key(pem).key_size == 2048  # type: ignore[union-attr]
    assert 'n1._domainkey.example.com. IN TXT "v=DKIM1; k=rsa; p=' in result.stdout
    assert "PRIVATE" not in result.stdout


def test_what_it_says_to_configure_works(tmp_path: Path) -> None:
    """The lines it prints, put into notifier.yaml, give the record it printed."""
    made = command(None)("dkim", "key", "example.com", "--selector", "n1")
    (tmp_path / "notifier.yaml").write_text(made.stdout[made.stdout.index("dkim:") :], encoding="utf-8")

    shown = command(None)("dkim", "record")

    (line,) = shown.stdout.splitlines()
    assert line in made.stdout.splitlines()


def test_keys_of_both_kinds_are_listed(tmp_path: Path) -> None:
    """As JSON, for whoever feeds a DNS server."""
    for kind in ([], ["--ed25519"]):
        made = document(command(None)("dkim", "key", "example.com", *kind, "--json"))
        assert made["text"] == record(read_key(Path(made["file"]).read_bytes()))
    first, second = sorted(tmp_path.glob("*.pem"))
    config = {"selector": "a", "key_file": str(first), "ed25519": {"selector": "b", "key_file": str(second)}}
    (tmp_path / "notifier.yaml").write_text(json.dumps({"dkim": {"example.com": config}}), encoding="utf-8")

    shown = lines(command(None)("dkim", "record", "example.com", "--json"))

    assert [(one["selector"], one["algorithm"]) for one in shown] == [("a", "rsa"), ("b", "ed25519")]


def test_a_key_in_use_is_not_overwritten(tmp_path: Path) -> None:
    """Not even through a link."""
    (tmp_path / "there").write_text("key", encoding="utf-8")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")

    for name in ("there", "link"):
        result = command(None)("dkim", "key", "example.com", "--file", name)
        assert result.exit_code == 2
        assert "is there already" in result.stderr

    assert (tmp_path / "there").read_text(encoding="utf-8") == "key"
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        (["key", "not a domain"], "DOMAIN: must be a name"),
        (["key", "example.com", "--selector", "a_b"], "--selector: must be a name"),
        (["key", "example.com", "--file", "no/such/folder/key.pem"], "No such file"),
        (["record", "example.com"], "no key is configured"),
    ],
)
def test_wrong_usage_is_told(args: list[str], problem: str) -> None:
    """In one line, with exit code 2."""
    result = command(None)("dkim", *args)

    assert result.exit_code == 2
    assert problem in result.stderr


def test_the_check_finds_a_key_that_is_missing_at_its_line(tmp_path: Path) -> None:
    """Although the domain's name has dots; a sender without a key is a warning."""
    text = "brand: {name: x}\ndkim:\n  example.com:\n    selector: n1\n    key_file: missing.pem\n"
    (tmp_path / "notifier.yaml").write_text(text, encoding="utf-8")

    result = command(None)("config", "check", "--json")

    found = [json.loads(line) for line in result.stdout.splitlines()]
    (missing,) = (
        one for one in found if "missing" in str(one) or one["field"] == "dkim.example.com.key_file"
    )
    assert (missing["line"], missing["severity"]) == (5, "error")
    assert missing["mend"]


def test_the_check_warns_of_mails_that_nobody_signs(tmp_path: Path) -> None:
    """The sender's domain has no key."""
    command(None)("dkim", "key", "example.com", "--file", "key.pem")
    text = "mail: {sender: a@example.org}\ndkim:\n  example.com: {selector: n1, key_file: key.pem}\n"
    (tmp_path / "notifier.yaml").write_text(text, encoding="utf-8")

    result = command(None)("config", "check", "--json")

    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(one["severity"], one["line"]) for one in found if one["field"] == "mail.sender"] == [
        ("warning", 1)
    ]
