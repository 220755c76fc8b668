"""A notifier with alert rules of the test's choice, its clock in the test's hand."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from uuid import UUID

from notifier.clock import VirtualClock
from notifier.pipeline.alerting.acknowledge import Acknowledger
from tests.services import ROOT, Flow, MakeFlow

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
    """Feeds servers that go down and come back, lets time pass, and reads what was told."""

    def __init__(self, make_flow: MakeFlow, folder: Path, rules: str = RULES, **settings: Any) -> None:
        (folder / "rules").mkdir()
        (folder / "rules" / "rules.yaml").write_text(rules)
        (folder / "events").symlink_to(ROOT / "config" / "events")
        self.clock = VirtualClock(datetime.now(UTC))
        self.flow: Flow = make_flow(clock=self.clock, config_dir=folder, **settings)

    @property
    def acknowledger(self) -> Acknowledger:
        """What takes charge."""
        return self.flow.services.acknowledger

    def feed(self, type_: str, *hosts: str, site: str = "berlin") -> None:
        """Let hosts go down, or come back."""
        events = []
        for host in hosts:
            event = self.flow.sample(type_, subject=host, time=self.clock.now().isoformat())
            event["data"] = {**event["data"], "host": host, "location": site}
            events.append(event)
        self.flow.ingest(*events)

    def down(self, *hosts: str) -> list[EmailMessage]:
        """Let hosts go down, and return what is told of it."""
        self.feed("server.down", *hosts)
        return self.told(seconds=30)

    def told(self, **span: float) -> list[EmailMessage]:
        """Let time pass and send what is due; return the new mails."""
        before = len(self.flow.smtp.received)
        self.clock.advance(timedelta(**span))
        self.flow.services.sweep.run()
        self.flow.deliver()
        return [
            message_from_bytes(one.data, policy=policy.default) for one in self.flow.smtp.received[before:]
        ]

    def statuses(self) -> dict[str, str]:
        """Return each alert's status by its subject."""
        return dict(self.flow.query("SELECT subject, status FROM alert ORDER BY subject"))

    def group(self) -> UUID:
        """Return the one group's id."""
        return self.flow.one_id("alert_group")

    def counts(self, *tables: str) -> Sequence[int]:
        """Return how many rows the tables have."""
        return [self.flow.query(f"SELECT count(*) FROM {table}")[0][0] for table in tables]
