"""Alerts and their groups when workers and sweeps race for them: each thing is told once, and none is lost."""

import os
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.alerting import RULES
from tests.faults.alert_twins import HOSTS, OPERATORS, RACERS, SITES, WILD, Message, Twins, flaws, sites
from tests.services import Flow, MakeFlow

pytestmark = [pytest.mark.faults, pytest.mark.servers]

RACE_SECONDS = float(os.environ.get("ALERT_RACE_SECONDS", "6"))
"""``make faults`` races longer."""


@pytest.fixture
def twins(make_flow: MakeFlow, tmp_path: Path) -> Twins:
    """Three notifiers with one alert rule."""
    return Twins(make_flow, tmp_path, RULES)


def test_workers_and_sweeps_that_race_tell_each_group_once_for_each_reason(twins: Twins) -> None:
    """The same hosts go down and come back by three workers at once, in different orders, then three sweeps."""
    down, back = (
        [twins.events(type_, order) for order in orders(RACERS)]
        for type_ in ("server.down", "server.recovered")
    )

    twins.race(*(lambda flow, batch=batch: flow.ingest(*batch) for batch in down))
    twins.clock.advance(timedelta(seconds=31))
    twins.sweep_all()
    twins.sweep_all()
    first = twins.reasons()
    twins.race(*(lambda flow, batch=batch: flow.ingest(*batch) for batch in later(back)))
    twins.clock.advance(timedelta(minutes=6))
    twins.sweep_all()

    assert sorted(first.values()) == [1] * SITES
    assert {why for _, why in first} == {"first"}
    assert Counter(why for _, why in twins.reasons()) == {"first": SITES, "all_resolved": SITES}
    assert set(twins.reasons().values()) == {1}
    assert twins.counts("alert_group", "alert_member", "dead_letter") == [0, 0, 0]
    assert twins.counts("message") == [2 * SITES * len(OPERATORS)]


def orders(count: int) -> list[list[int]]:
    """Return all hosts in different orders."""
    return [random.Random(seed).sample(range(HOSTS), HOSTS) for seed in range(count)]


def later(batches: Sequence[list[dict[str, Any]]]) -> list[list[dict[str, Any]]]:
    """Return the events a second later: of one moment, the end counts."""
    moment = timedelta(seconds=1)
    return [
        [{**one, "time": (datetime.fromisoformat(one["time"]) + moment).isoformat()} for one in batch]
        for batch in batches
    ]


def test_a_wild_race_ends_in_peace_and_nobody_believes_what_is_over(
    make_flow: MakeFlow, tmp_path: Path
) -> None:
    """Overlapping alerts in all orders, shared groups, stronger alerts, absence, reminders, three sweeps; then rest."""
    twins = Twins(make_flow, tmp_path, WILD, count=2 * RACERS)
    end = time.monotonic() + RACE_SECONDS

    def feed(seed: int) -> Callable[[Flow], None]:
        return lambda flow: feed_wildly(twins, flow, random.Random(seed), end)

    def sweep(flow: Flow) -> None:
        while time.monotonic() < end:
            twins.clock.advance(timedelta(seconds=random.uniform(0, 2)))
            flow.services.sweep.run()

    twins.race(*(feed(seed) for seed in range(RACERS)), *(sweep for _ in range(RACERS)))
    twins.clock.advance(timedelta(seconds=1))
    twins.one.ingest(*sites(twins, "network.restored", range(SITES)))
    rest(twins, seconds=60)
    untold = twins.one.query(UNTOLD)
    twins.one.ingest(*twins.events("server.recovered", range(HOSTS)))
    rest(twins, seconds=180)

    assert untold == []
    assert twins.counts("alert_group", "alert_member", "dead_letter") == [0, 0, 0]
    assert twins.one.query("SELECT count(*) FROM alert WHERE status <> 'resolved'") == [(0,)]
    by_group: dict[str, list[Message]] = {}
    for one in twins.said():
        by_group.setdefault(one.group, []).append(one)
    assert len(by_group) >= SITES
    assert [flaw for said in by_group.values() for flaw in flaws(said)] == []


UNTOLD = """
SELECT a.subject FROM alert a WHERE a.rule = 'server-down' AND a.status = 'firing'
AND (NOT EXISTS (SELECT FROM alert_member m WHERE m.alert_id = a.id)
     OR EXISTS (SELECT FROM alert_member m WHERE m.alert_id = a.id AND m.told_firing IS NOT TRUE))
"""


def rest(twins: Twins, *, seconds: int) -> None:
    """Let time pass in small steps, and all sweep."""
    for _ in range(seconds // 12):
        twins.clock.advance(timedelta(seconds=12))
        twins.sweep_all()


def feed_wildly(twins: Twins, flow: Flow, choose: random.Random, end: float) -> None:
    """Ingest batches of any hosts and sites, down and back, until the time is over."""
    while time.monotonic() < end:
        hosts = choose.sample(range(HOSTS), choose.randint(1, 40))
        cut = choose.randint(0, len(hosts))
        batch = [
            *twins.events("server.down", hosts[:cut]),
            *twins.events("server.recovered", hosts[cut:]),
            *sites(
                twins,
                choose.choice(["network.disrupted", "network.restored"]),
                choose.sample(range(SITES), 2),
            ),
        ]
        choose.shuffle(batch)
        flow.ingest(*batch)
