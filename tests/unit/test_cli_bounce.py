"""``notifier bounce classify``: one line a mail, whatever the files."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from notifier.cli.group import cli

BOUNCE = b"""\
From: MAILER-DAEMON@mx.example
To: shop@sender.example
Subject: failure notice

Hi. This is the qmail-send program at mx.example.

<jo@receiver.example>:
192.0.2.1 does not like recipient.
Remote host said: 550 5.1.1 no such user
Giving up on 192.0.2.1.

--- Below this line is a copy of the message.

From: shop@sender.example
"""
EXPECTED = {
    "address": "jo@receiver.example", "aliases": [], "status": "5.1.1", "code": "550", "reason": "userunknown",
    "hard": True, "action": "failed",
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of a bounce, a mail of a person, and an mbox of two bounces."""
    (tmp_path / "a.eml").write_bytes(BOUNCE)
    (tmp_path / "b.eml").write_bytes(b"From: jo@receiver.example\nSubject: Hello\n\nHow are you?\n")
    stamp = b"From MAILER-DAEMON Fri Jan  1 00:00:00 2015\n"
    (tmp_path / "c.mbox").write_bytes(stamp + BOUNCE + b"\n" + stamp + BOUNCE)
    return tmp_path


def test_each_mail_has_a_line(folder: Path) -> None:
    """Of a folder in the order of names; an mbox has one for each of its mails."""
    result = CliRunner().invoke(cli, ["bounce", "classify", str(folder), "--json"])

    assert result.exit_code == 0, result.output
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(line["file"], line["kind"]) for line in lines] == [
        ("a.eml", "bounce"), ("b.eml", "other"), ("c.mbox", "bounce"), ("c.mbox", "bounce"),
    ]  # fmt: skip
    assert lines[0]["recipients"] == [EXPECTED]
    assert lines[1]["recipients"] == []
    assert all(line["feedback_type"] is None for line in lines)


def test_a_file_named_eml_is_one_mail(tmp_path: Path) -> None:
    """Also where a mailbox gave it a From line and another mail is appended: one line a file is what is counted."""
    stamp = b"From MAILER-DAEMON Fri Jan  1 00:00:00 2015\n"
    (tmp_path / "a.eml").write_bytes(stamp + BOUNCE + b"\n" + stamp + BOUNCE.replace(b"jo@", b"al@"))

    result = CliRunner().invoke(cli, ["bounce", "classify", str(tmp_path / "a.eml"), "--json"])

    (line,) = map(json.loads, result.stdout.splitlines())
    assert line["recipients"] == [EXPECTED]


def test_a_file_that_cannot_be_read_does_not_stop_the_others(folder: Path) -> None:
    """It is told, in its place, and the exit code says so."""
    files = [str(folder / "missing.eml"), str(folder / "a.eml")]

    result = CliRunner().invoke(cli, ["bounce", "classify", *files, "--json"])

    assert result.exit_code == 1
    first, second = (json.loads(line) for line in result.stdout.splitlines())
    assert first["error"] == "No such file or directory"
    assert second["recipients"] == [EXPECTED]


def test_people_get_a_table(folder: Path) -> None:
    """With what matters: who, why, and whether for good."""
    result = CliRunner().invoke(cli, ["bounce", "classify", str(folder), str(folder / "missing.eml")])

    assert result.exit_code == 1
    assert "userunknown" in result.stdout
    assert "missing.eml: No such file or directory" in result.stderr


def test_it_needs_neither_settings_nor_a_database(folder: Path) -> None:
    """So it starts fast, and works anywhere."""
    program = (
        "import sys\nfrom notifier.cli import bounce\n"
        "list(bounce.readings([__import__('pathlib').Path(sys.argv[1])]))\n"
        "print(sorted({'sqlalchemy', 'pydantic', 'celery', 'redis'} & set(sys.modules)))"
    )

    result = subprocess.run(
        [sys.executable, "-c", program, str(folder)], capture_output=True, text=True, check=True
    )

    assert result.stdout.strip() == "[]"
