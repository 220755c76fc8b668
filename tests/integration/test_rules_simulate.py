"""``notifier rules simulate`` runs what is stored through other rules; on real servers."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from notifier.clock import VirtualClock
from tests.command import command
from tests.services import ROOT, MakeFlow

pytestmark = pytest.mark.servers

RULES = """
rules:
  - notify: down
    on: server.down
    recipients: [{list: operators}]
  - schedule: often
    cron: "* * * * *"
    zone: UTC
    event: server.recovered
"""


def test_stored_events_are_run_through_other_rules(make_flow: MakeFlow, tmp_path: Path) -> None:
    """What producers sent is replayed; what the rules themselves made is made anew; nothing is sent."""
    for name in ("config/rules", "other"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "config/rules/rules.yaml").write_text(RULES)
    (tmp_path / "other/rules.yaml").write_text(RULES.replace("operators", "managers"))
    (tmp_path / "config/events").symlink_to(ROOT / "config" / "events")
    lists = {"operators": ["ops@notifier.example"], "managers": ["boss@notifier.example"]}
    flow = make_flow(clock=VirtualClock(datetime.now(UTC)), config_dir=tmp_path / "config", lists=lists)
    flow.ingest(flow.sample("server.down", subject="web-1"), flow.sample("server.down", subject="web-2"))
    flow.deliver()
    sent = flow.messages()

    with capture_logs():
        run = command(flow.services)
        found = json.loads(
            run("rules", "simulate", "--since", "1h", "--rules", str(tmp_path / "other"), "--json").stdout
        )
        shown = run("rules", "simulate", "--since", "1h", "--rules", str(tmp_path / "other")).stdout
        same = run("rules", "simulate", "--since", "1h", "--rules", str(tmp_path / "config/rules")).stdout

    assert (found["events"], found["unreadable"], found["unfit"]) == (2, 0, 0)
    assert (found["messages_before"], found["messages_after"], found["more"], found["less"]) == (2, 2, 2, 2)
    assert {(one["change"], (one["after"] or one["before"])["subject"]) for one in found["differences"]} == {
        ("more", "web-1"), ("more", "web-2"), ("less", "web-1"), ("less", "web-2"),
    }  # fmt: skip
    assert shown.splitlines()[0] == "events: 2, messages before: 2, messages after: 2, more: 2, less: 2"
    assert same.splitlines()[-1] == "everybody would have got the same at the same time"
    assert flow.messages() == sent
