"""Alerts from the event to the mail: grouped, reminded of, called off, each once; on real servers."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from pathlib import Path

import pytest

from notifier.clock import VirtualClock
from tests.services import ROOT, Flow, MakeFlow

pytestmark = pytest.mark.servers

RULES = """
rules:
  - alert: server-down
    on: [server.down, server.recovered]
    resolved: server.recovered
    labels: {host: data.host, site: data.location}
    key: [host]
    severity: critical
    group_by: [site]
    first_after: 30s
    batch_every: 5m
    remind_after: 1h
    recipients: [{list: operators}]
    channels: [email]
"""


class Stage:
    """A notifier with rules of the test's choice, its clock in the test's hand."""

    def __init__(self, make_flow: MakeFlow, folder: Path, rules: str) -> None:
        (folder / "rules").mkdir()
        (folder / "rules" / "rules.yaml").write_text(rules)
        (folder / "events").symlink_to(ROOT / "config" / "events")
        self.clock = VirtualClock(datetime.now(UTC))
        self.flow: Flow = make_flow(clock=self.clock, config_dir=folder)

    def feed(self, type_: str, *hosts: str, site: str = "berlin") -> None:
        """Let hosts go down, or come back."""
        events = []
        for host in hosts:
            event = self.flow.sample(type_, subject=host, time=self.clock.now().isoformat())
            event["data"] = {**event["data"], "host": host, "location": site}
            events.append(event)
        self.flow.ingest(*events)

    def told(self, **span: float) -> list[str]:
        """Let time pass and send what is due; return the reasons stored with the new messages."""
        before = len(self.flow.smtp.received)
        self.clock.advance(timedelta(**span))
        self.flow.services.sweep.run()
        self.flow.deliver()
        return [
            str(message_from_bytes(one.data, policy=policy.default)["Subject"])
            for one in self.flow.smtp.received[before:]
        ]


@pytest.fixture
def stage(make_flow: MakeFlow, tmp_path: Path) -> Stage:
    """A notifier with one alert rule."""
    return Stage(make_flow, tmp_path, RULES)


def counts(stage: Stage, *tables: str) -> Sequence[int]:
    """Return how many rows the tables have."""
    return [stage.flow.query(f"SELECT count(*) FROM {table}")[0][0] for table in tables]


def test_what_begins_within_the_wait_is_told_in_one_mail(stage: Stage) -> None:
    """Two hosts of one site go down within 30 seconds: one mail, and not before."""
    stage.feed("server.down", "web-1")
    early = stage.told(seconds=10)
    stage.feed("server.down", "web-2")
    still_early = stage.told(seconds=19)

    told = stage.told(seconds=1)

    assert (early, still_early) == ([], [])
    assert len(told) == 1
    assert stage.told(minutes=4) == []


def test_down_and_back_within_the_wait_is_told_to_nobody(stage: Stage) -> None:
    """What recovers before its first message leaves no trace but its events."""
    stage.feed("server.down", "web-1")
    stage.feed("server.recovered", "web-1")

    assert stage.told(minutes=10) == []
    assert counts(stage, "alert_group", "alert_member", "notification") == [0, 0, 0]


def test_the_way_of_an_alert(stage: Stage) -> None:
    """First message, a new member on the grid, a reminder when it is due, and the end."""
    stage.feed("server.down", "web-1")
    first = stage.told(seconds=30)
    stage.feed("server.down", "web-2")
    waiting = stage.told(minutes=4)
    joined = stage.told(minutes=1)
    quiet = stage.told(minutes=59)
    reminded = stage.told(minutes=1)
    stage.feed("server.recovered", "web-1", "web-2")
    over = stage.told(minutes=5)

    assert [len(one) for one in (first, waiting, joined, quiet, reminded, over)] == [1, 0, 1, 0, 1, 1]
    assert counts(stage, "alert_group", "alert_member") == [0, 0]
    assert stage.told(days=1) == []
