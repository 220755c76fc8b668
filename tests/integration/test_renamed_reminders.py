"""A reminder that was renamed, removed or switched off leaves timers behind: nobody is told by them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from notifier.clock import VirtualClock
from notifier.pipeline.intake.timers import Timers
from tests.services import ROOT, Flow, MakeFlow

pytestmark = pytest.mark.servers

REMINDER = """
  - reminder: due-date
    on: invoice.issued
    until: invoice.paid
    date: data.due_on
    offsets: [-3d, 0d]
    event: invoice.due
"""
TOLD = """
rules:
  - notify: invoice-due
    on: invoice.due
    recipients: [{data: last.customer.email}]
    channels: [email]
"""
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


def notifier(make_flow: MakeFlow, folder: Path, rules: str, clock: VirtualClock) -> Flow:
    """Return a notifier with these rules, on the one database."""
    (folder / "rules").mkdir(parents=True)
    (folder / "rules" / "rules.yaml").write_text(rules)
    (folder / "events").symlink_to(ROOT / "config" / "events")
    return make_flow(clock=clock, config_dir=folder)


def fire(flow: Flow) -> None:
    """Make the events that are due."""
    services = flow.services
    Timers(
        database=services.database,
        decider=services.decider,
        catalog=services.catalog,
        rules=services.rules,
        keyring=services.keyring,
        clock=services.clock,
    ).fire()


@pytest.mark.parametrize(
    ("rules", "tellings", "dropped"),
    [
        (TOLD + REMINDER, 0, 0),
        (TOLD + REMINDER.replace("due-date", "pay-by"), 0, 1),
        (TOLD, 0, 1),
        (TOLD + REMINDER + "    enabled: false\n", 0, 1),
    ],
    ids=["as it was", "renamed", "removed", "switched off"],
)
def test_what_was_paid_is_not_reminded_of(
    make_flow: MakeFlow, tmp_path: Path, rules: str, tellings: int, dropped: int
) -> None:
    """The payment cannot call off what the rules do not know any more; its timer is dropped with a line."""
    clock = VirtualClock(NOON)
    before = notifier(make_flow, tmp_path / "before", TOLD + REMINDER, clock)
    issued = before.sample("invoice.issued", subject="I-1", time=NOON.isoformat())
    issued["data"] = {**issued["data"], "due_on": "2026-06-11"}
    before.ingest(issued)
    set_ = before.query("SELECT count(*) FROM timer WHERE key LIKE 'reminder:due-date:%%'")
    after = notifier(make_flow, tmp_path / "after", rules, clock)
    clock.advance(timedelta(days=1))
    after.ingest(after.sample("invoice.paid", subject="I-1", time=clock.now().isoformat()))

    clock.advance(timedelta(days=7))
    with capture_logs() as logs:
        fire(after)

    assert set_ == [(2,)]
    assert after.query("SELECT count(*) FROM event WHERE type = 'invoice.due'") == [(tellings,)]
    assert [one["reminder"] for one in logs if one["event"] == "sweep.dropped"] == ["due-date"] * dropped
    assert after.query("SELECT count(*) FROM dead_letter") == [(0,)]


def test_what_the_rules_still_know_is_told(make_flow: MakeFlow, tmp_path: Path) -> None:
    """Where nobody paid, the reminder comes."""
    clock = VirtualClock(NOON)
    flow = notifier(make_flow, tmp_path / "rules", TOLD + REMINDER, clock)
    issued = flow.sample("invoice.issued", subject="I-1", time=NOON.isoformat())
    issued["data"] = {**issued["data"], "due_on": "2026-06-11"}
    flow.ingest(issued)

    clock.advance(timedelta(days=8))
    fire(flow)

    assert flow.query("SELECT count(*) FROM event WHERE type = 'invoice.due'") == [(1,)]
