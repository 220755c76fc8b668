"""``notifier relay reply`` says what an answer means before a relay gives it; it asks neither database nor relay."""

from pathlib import Path
from typing import Any

import pytest

from tests.command import command, document

OWN = """rules:
  - {reason: nightly-pause, fault: provider, temporary: true, text: 'nightly pause', source: our relay's handbook}
"""


def reply(folder: Path, *arguments: str) -> dict[str, Any]:
    """Run the command with a configuration that holds no rules but those in the folder."""
    env = {"NOTIFIER_CONFIG_DIR": str(folder)}
    return document(command(None)("relay", "reply", *arguments, "--json", env=env))


@pytest.mark.parametrize(
    ("said", "phase", "meaning", "fault", "then", "address"),
    [
        ("550 5.1.1 No such user", "rcpt", "hard", "recipient", "next channel", "suppressed"),
        ("550 5.2.1 disabled", "rcpt", "permanent", "recipient", "next channel", "counted"),
        ("452 4.2.2 full", "rcpt", "temporary", "mailbox", "again in", "counted"),
        ("550-5.7.1 blocked\nusing a blocklist", "rcpt", "permanent", "sender", "next channel", "not to blame"),
        ("550 5.7.1 poor reputation", "mail", "permanent", "sender", "the flow rests", "not to blame"),
        ("421 4.7.28 too fast", "dot", "temporary", "rate", "slows down", "not to blame"),
        ("535 5.7.8 no", "auth", "permanent", "credentials", "the flow rests", "not to blame"),
    ],
)  # fmt: skip
def test_an_answer_is_explained(  # noqa: PLR0917 - a table's columns
    tmp_path: Path, said: str, phase: str, meaning: str, fault: str, then: str, address: str
) -> None:
    """Whose fault it is, what would follow for the message and for the address, and where that is written."""
    told = reply(tmp_path, said, "--phase", phase)

    assert (told["meaning"], told["fault"]) == (meaning, fault)
    assert then in told["then"]
    assert address in told["address"]
    assert told["source"]


def test_rules_of_ones_own_are_tried(tmp_path: Path) -> None:
    """Before the next night is."""
    before = reply(tmp_path, "550 nightly pause until 6", "--phase", "mail")
    (tmp_path / "replies.yaml").write_text(OWN, encoding="utf-8")

    after = reply(tmp_path, "550 nightly pause until 6", "--phase", "mail")

    assert (before["reason"], after["reason"]) == ("sender-refused", "nightly-pause")
    assert after["source"] == "our relay's handbook"


def test_a_success_and_what_is_no_answer(tmp_path: Path) -> None:
    """Neither is a failure with a rule."""
    refused = command(None)("relay", "reply", "no such user", env={"NOTIFIER_CONFIG_DIR": str(tmp_path)})

    assert reply(tmp_path, "250 2.0.0 Ok") == {"meaning": "success"}
    assert (refused.exit_code, "begins with no reply code" in refused.stderr) == (2, True)
