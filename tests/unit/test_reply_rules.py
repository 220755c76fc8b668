"""The rules files: what is packaged, what an operator puts in front, and what is refused with its line."""

import json
from pathlib import Path

import pytest
import yaml

from notifier.delivery.replies import ReplyRules, classify
from notifier.delivery.reply_rules import PACKAGED, own_rules, read_rules
from notifier.documents import ConfigErrors
from notifier.errors import ConfigError, Fault, PermanentFailure, Phase, Reply, TemporaryFailure
from tests.command import command
from tests.contracts.mails import mail
from tests.contracts.smtp_server import At, Say, SmtpServer

OWN = """\
rules:
  - reason: our-relay-sleeps
    fault: provider
    temporary: true
    code: 550
    phase: rcpt
    text: 'nightly (?:pause|rest)'
    source: our relay's handbook
"""


def folder(tmp_path: Path, text: str) -> Path:
    """Return a configuration with rules of its own."""
    (tmp_path / "replies.yaml").write_text(text, encoding="utf-8")
    return tmp_path


def test_every_packaged_rule_says_where_it_is_written() -> None:
    """And has no key that a reader of the file could take for one."""
    entries = yaml.safe_load(PACKAGED.read_text("utf-8"))["rules"]

    assert len(entries) == len(read_rules(PACKAGED)) > 50
    assert all(entry["source"].startswith(("RFC ", "IANA ")) or "." in entry["source"] for entry in entries)
    assert all(not entry.get("hard") or entry["fault"] == "recipient" for entry in entries)


def test_an_operators_rule_stands_in_front(tmp_path: Path) -> None:
    """Where it holds; elsewhere the packaged ones do."""
    rules = ReplyRules(own_rules(folder(tmp_path, OWN)))
    resting = Reply(phase=Phase.RCPT, code=550, text="5.1.1 Nightly pause; user unknown")

    found, usual = rules.classify(resting), classify(resting)

    assert type(found) is TemporaryFailure
    assert found.reason == "our-relay-sleeps"
    assert type(usual) is PermanentFailure
    assert usual.is_hard
    other = rules.classify(Reply(phase=Phase.RCPT, code=550, text="5.1.1 user unknown"))
    assert other is not None
    assert other.is_hard


def test_a_relay_is_judged_by_them(tmp_path: Path) -> None:
    """Down to the session, at any step."""
    from notifier.channels.smtp import SmtpChannel, SmtpRelay

    rules = ReplyRules(own_rules(folder(tmp_path, OWN)))
    with SmtpServer() as server:
        server.always(At.RCPT, Say("550 5.1.1 Nightly rest"))
        relay = SmtpRelay(name="test", host="127.0.0.1", port=server.port, security="none")
        channel = SmtpChannel(relay, rules=rules)
        session = channel.open()
        with pytest.raises(TemporaryFailure) as failed:
            session.send(channel.prepare(mail()))
        session.close()

    assert failed.value.reason == "our-relay-sleeps"


def test_without_a_file_only_the_packaged_rules_count(tmp_path: Path) -> None:
    """The file is optional."""
    assert own_rules(tmp_path) == ()


@pytest.mark.parametrize(
    ("entry", "field", "problem"),
    [
        ("code: 55", "code[0]", "reply code"),
        ("code: [550, 6xx]", "code[1]", "reply code"),
        ("enhanced: 5.1", "enhanced[0]", "enhanced status code"),
        ("enhanced: [5.1.1, 5.7.20-10]", "enhanced[1]", "enhanced status code"),
        ("phase: dinner", "phase[0]", "is no phase"),
        ("text: '(open'", "text[0]", "RE2"),
        ("text: '(?<=a)b'", "text[0]", "RE2"),
        ("", "", "holds for every reply"),
        ("kode: 550", "kode", "unknown key"),
        ("{code: 550, fault: nobody}", "fault", "Input should be"),
        ("{code: 550, reason: 'Two Words'}", "reason", "pattern"),
        ("{code: 550, hard: true}", "", "only a permanent fault of the recipient"),
        ("{code: 550, hard: true, fault: recipient, temporary: true}", "", "only a permanent fault"),
    ],
)
def test_a_wrong_rule_is_told_with_its_line(tmp_path: Path, entry: str, field: str, problem: str) -> None:
    """File, line and field; nothing else of the file counts then."""
    changes = yaml.safe_load(entry) or {}
    rule = {"reason": "odd", "fault": "sender", "source": "RFC 5321"} | changes
    lines = [
        "rules:",
        "  - reason: fine",
        "    fault: sender",
        "    code: 550",
        "    source: RFC 5321",
        "  -",
    ]
    lines += [f"    {key}: {json.dumps(value)}" for key, value in rule.items()]

    with pytest.raises(ConfigErrors) as refused:
        own_rules(folder(tmp_path, "\n".join(lines)))

    (error,) = refused.value.errors
    assert problem in error.problem
    top = field.partition("[")[0]
    at = (
        next(number for number, line in enumerate(lines, 1) if line.startswith(f"    {top}:") and number > 6)
        if top
        else 7
    )
    assert error.line == at
    assert (error.field or "").startswith("rules[1]" + (f".{top}" if top else ""))


@pytest.mark.parametrize(
    "text", ["- a", "rules", "rules: 3", "rule: []", "rules: [{}]", "a: [", "rules: [x]"]
)
def test_what_is_no_list_of_rules_is_refused(tmp_path: Path, text: str) -> None:
    """With the file, and never with a trace."""
    with pytest.raises(ConfigError) as refused:
        own_rules(folder(tmp_path, text))

    assert "replies.yaml" in str(refused.value)


def test_the_check_of_the_configuration_reads_them(tmp_path: Path) -> None:
    """Like every other file."""
    folder(tmp_path, OWN.replace("phase: rcpt", "phase: dinner"))
    (tmp_path / "templates").mkdir()
    env = {"NOTIFIER_CONFIG_DIR": str(tmp_path), "NOTIFIER_TEMPLATES_DIR": str(tmp_path / "templates")}

    result = command(None)("config", "check", "--json", env=env)

    found = [json.loads(line) for line in result.stdout.splitlines()]
    (one,) = (one for one in found if "replies.yaml" in str(one["file"]))
    assert (one["line"], one["field"], one["severity"]) == (6, "rules[0].phase", "error")


def test_any_fault_may_be_named(tmp_path: Path) -> None:
    """The words are those of the code."""
    entries = "".join(
        f"  - {{reason: r{n}, fault: {fault.value}, code: 5xx, text: word{n}, source: here}}\n"
        for n, fault in enumerate(Fault)
    )
    rules = ReplyRules(own_rules(folder(tmp_path, "rules:\n" + entries)))

    for n, fault in enumerate(Fault):
        failure = rules.classify(Reply(phase=Phase.DOT, code=550, text=f"so word{n}!"))
        assert failure is not None
        assert failure.fault is fault
