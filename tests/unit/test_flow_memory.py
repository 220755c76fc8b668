"""What a process remembers of the pace of flows is bounded, however many there are."""

from types import SimpleNamespace
from typing import cast

import pytest

from notifier.broker.buckets import Buckets
from notifier.pipeline.relays import throttling
from notifier.pipeline.relays.throttling import Throttling


def test_flows_that_took_nothing_lately_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each domain that limited us is one; what went through a moment ago still counts."""
    seconds = 100.0
    monkeypatch.setattr(throttling, "time", SimpleNamespace(monotonic=lambda: seconds))
    flows = Throttling({}, cast("Buckets", None))
    for number in range(10_001):
        flows.sent("hooks", f"endpoint-{number}")

    seconds = 105.0
    for _ in range(7):
        flows.sent("hooks", "busy")

    assert len(flows._recent) == 1
    assert flows._observed("hooks", "busy", "busy") == 7
