"""Alerts and their groups when workers race, die, or lose their clock or Redis: each thing is told once (laws 1-4)."""

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import psycopg
import pytest

from notifier.clock import VirtualClock
from notifier.events import Urgency
from notifier.pipeline import groups as groups_stage
from notifier.store import alert_groups
from notifier.store.alert_groups import drop_members
from notifier.store.alerts import KeptAlert, forget_alerts, live_sources, lock_alerts
from notifier.store.database import Connection
from tests.alerting import RULES, Stage
from tests.faults.stages import Bench, MakeBench, await_true
from tests.faults.test_twins import at_once
from tests.services import ROOT, Flow, MakeFlow

pytestmark = [pytest.mark.faults, pytest.mark.servers]

RACE_SECONDS = float(os.environ.get("ALERT_RACE_SECONDS", "6"))
"""``make faults`` races longer."""
HOSTS, SITES, RACERS = 48, 12, 3
"""No more hosts than a message carries."""
OPERATORS = ["one@example.org", "two@example.org"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What a group said."""

    group: str
    number: int
    why: str
    firing: frozenset[str]
    resolved: frozenset[str]


class Twins:
    """Several notifiers on one database, with one clock, and hosts that go down and come back."""

    def __init__(self, make_flow: MakeFlow, folder: Path, rules: str, *, count: int = RACERS) -> None:
        (folder / "rules").mkdir()
        (folder / "rules" / "rules.yaml").write_text(rules)
        (folder / "events").symlink_to(ROOT / "config" / "events")
        self.clock = VirtualClock(datetime.now(UTC))
        lists = {"operators": OPERATORS}
        self.flows = [make_flow(clock=self.clock, config_dir=folder, lists=lists) for _ in range(count)]
        self.one: Flow = self.flows[0]

    def events(self, type_: str, hosts: Iterable[int]) -> list[dict[str, Any]]:
        """Return an event of each host."""
        made = []
        for host in hosts:
            event = self.one.sample(type_, subject=f"web-{host}", time=self.clock.now().isoformat())
            event["data"] = {**event["data"], "host": f"web-{host}", "location": f"site-{host % SITES}"}
            made.append(event)
        return made

    def race(self, *calls: Callable[[Flow], object]) -> None:
        """Let each call run in a thread and a notifier of its own, all at once."""
        at_once(
            *(lambda call=call, flow=flow: call(flow) for call, flow in zip(calls, self.flows, strict=True))
        )

    def sweep_all(self) -> None:
        """Let all notifiers sweep at once until nothing is due."""
        for _ in range(20):
            self.race(*(lambda flow: flow.services.sweep.run() for _ in self.flows))
            if not self.is_due():
                return
        raise AssertionError("what is due stays due")

    def is_due(self) -> bool:
        """Tell whether a group or an alert is due."""
        now = self.clock.now()
        return bool(
            self.one.query(
                "SELECT 1 FROM alert_group WHERE due_at <= %s UNION SELECT 1 FROM alert WHERE due_at <= %s",
                now,
                now,
            )
        )

    def said(self) -> list[Message]:
        """Return what all groups said, in the order of their messages."""
        keyring = self.one.services.keyring
        found = []
        for external_id, data_key, sealed in self.one.query(
            "SELECT external_id, data_key, sealed FROM event WHERE source = 'notifier'"
        ):
            alert = orjson.loads(keyring.open_data_key(data_key).unseal(sealed, b"event"))["alert"]
            _, group, number = external_id.split(":")
            found.append(
                Message(
                    group=group, number=int(number), why=alert["reason"],
                    firing=frozenset(one["subject"] for one in alert["firing"]),
                    resolved=frozenset(one["subject"] for one in alert["resolved"]),
                )
            )  # fmt: skip
        return sorted(found, key=lambda one: (one.group, one.number))

    def reasons(self) -> Counter[tuple[str, str]]:
        """Return how often each group spoke for each reason."""
        return Counter((one.group, one.why) for one in self.said())

    def counts(self, *tables: str) -> list[int]:
        """Return how many rows the tables have."""
        return [self.one.query(f"SELECT count(*) FROM {table}")[0][0] for table in tables]


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


WILD = """
rules:
  - alert: server-down
    on: [server.down, server.recovered]
    resolved: server.recovered
    labels: {host: data.host, site: data.location}
    key: [host]
    severity: critical
    group_by: [site]
    first_after: 3s
    batch_every: 10s
    remind_after: 60s
    ttl: 90s
    recipients: [{list: operators}]
    channels: [email]
    routes:
      - route: first-half
        match: 'site=~"site-[0-5]"'
        continue: true
      - route: everything
        group_by: []
  - alert: site-down
    on: [network.disrupted, network.restored]
    resolved: network.restored
    labels: {site: data.device}
    key: [site]
    first_after: 0s
    batch_every: 10s
    recipients: [{list: operators}]
    channels: [email]
  - inhibit: site-mutes-servers
    source: rule="site-down"
    target: rule="server-down"
    equal: [site]
"""


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


def sites(twins: Twins, type_: str, numbers: Iterable[int]) -> list[dict[str, Any]]:
    """Return an event about the network of each site."""
    made = []
    for number in numbers:
        event = twins.one.sample(type_, subject=f"site-{number}", time=twins.clock.now().isoformat())
        event["data"] = {**event["data"], "device": f"site-{number}"}
        made.append(event)
    return made


def flaws(said: Sequence[Message]) -> list[str]:
    """Return what is wrong with a group's messages, given in their order."""
    found = []
    if [one.number for one in said] != list(range(1, len(said) + 1)):
        found.append(f"numbers {[one.number for one in said]}")
    believed: frozenset[str] = frozenset()
    for one in said:
        if one.why not in reasons_for(one, believed):
            found.append(f"{one.number}: {one.why}, while {len(believed)} were known to fire")
        if wrong := one.resolved - believed:
            found.append(f"{one.number}: over, and never told before: {sorted(wrong)}")
        believed = (believed | one.firing) - one.resolved
    if believed:
        found.append(f"believed to the end: {sorted(believed)}")
    return found


def reasons_for(one: Message, believed: frozenset[str]) -> set[str]:
    """Return the reasons there can be for a message, by what people knew before it.

    A reminder that is due before the group's next turn has what is new in it.
    """
    reminder = {"reminder"} if one.firing & believed else set()
    if one.firing - believed:
        return {"new_member" if believed else "first"} | reminder
    if one.resolved:
        return {"member_resolved" if believed - one.resolved else "all_resolved"} | reminder
    return reminder


def test_a_sweep_killed_between_its_look_and_its_commit_told_nothing_and_forgot_nothing(
    make_bench: MakeBench, tmp_path: Path
) -> None:
    """The group it held is taken by the next sweep, and speaks once."""
    bench = alarmed(make_bench, tmp_path, *HELD)

    with psycopg.connect(bench.url) as lock:
        lock.execute("LOCK TABLE notification IN ACCESS EXCLUSIVE MODE")
        with bench.child("sweep"):
            await_true(lambda: is_waiting_for(bench, "notification"))
    bench.flow.services.sweep.run()
    settle(bench)

    assert mails(bench) == ONE_EACH


def test_a_sweep_killed_between_decision_and_send_loses_nothing(
    make_bench: MakeBench, tmp_path: Path
) -> None:
    """What it committed is sent by whoever comes next, once."""
    bench = alarmed(make_bench, tmp_path, *HELD)

    with bench.child("sweep"):
        await_true(lambda: bench.flow.query("SELECT count(*) FROM message") == [(len(OPERATORS),)])
    bench.flow.services.sweep.run()
    settle(bench)

    assert mails(bench) == ONE_EACH
    assert bench.flow.query("SELECT number FROM alert_group") == [(1,)]


def test_an_ingest_killed_before_its_commit_leaves_its_events_and_no_group(
    make_bench: MakeBench, tmp_path: Path
) -> None:
    """Another reader takes the entries over; the group is opened once and tells all of them."""
    bench = alarmed(make_bench, tmp_path)
    put_down(bench, *HELD)

    with psycopg.connect(bench.url) as lock:
        lock.execute("LOCK TABLE alert_member IN ACCESS EXCLUSIVE MODE")
        with bench.child("ingest"):
            await_true(lambda: is_waiting_for(bench, "alert_member"))
    await_true(lambda: bench.flow.services.sweep.run() is not None and count(bench, "alert") == len(HELD))
    settle(bench)

    assert [count(bench, table) for table in ("alert_group", "alert_member", "dead_letter")] == [
        1,
        len(HELD),
        0,
    ]
    assert mails(bench) == ONE_EACH


HELD = ("web-1", "web-2", "web-3")
ONE_EACH = Counter({"one": 1, "two": 1})
AT_ONCE = RULES.replace("first_after: 30s", "first_after: 0s")


def alarmed(make_bench: MakeBench, folder: Path, *hosts: str) -> Bench:
    """A notifier run by hand, with hosts that are down and not told of yet."""
    (folder / "rules").mkdir()
    (folder / "rules" / "rules.yaml").write_text(AT_ONCE)
    (folder / "events").symlink_to(ROOT / "config" / "events")
    bench = make_bench(config_dir=folder, lists={"operators": OPERATORS})
    put_down(bench, *hosts)
    bench.flow.services.ingest.run(Urgency.NORMAL)
    return bench


def put_down(bench: Bench, *hosts: str) -> None:
    """Hand over that hosts are down; nobody ingests it here."""
    for host in hosts:
        event = bench.flow.sample("server.down", subject=host)
        event["data"] = {**event["data"], "host": host, "location": "berlin"}
        bench.flow.services.intake.put(Urgency.NORMAL, bench.flow.payload(event))


def is_waiting_for(bench: Bench, table: str) -> bool:
    """Tell whether somebody waits for a table's lock."""
    return bool(
        bench.flow.query("SELECT 1 FROM pg_locks WHERE NOT granted AND relation = to_regclass(%s)", table)
    )


def settle(bench: Bench) -> None:
    """Do what the workers do until nothing is due or left to send."""

    def is_settled() -> bool:
        bench.flow.services.sweep.run()
        bench.flow.deliver()
        due = "SELECT 1 FROM alert_group WHERE due_at <= now()"
        return not count(bench, "work") and not bench.flow.query(due) and bool(count(bench, "message"))

    await_true(is_settled)


def mails(bench: Bench) -> Counter[str]:
    """Return how many mails each operator got."""
    return Counter(mail.event for mail in bench.sink.mails)


def count(bench: Bench, table: str) -> int:
    """Return how many rows a table has."""
    found: int = bench.flow.query(f"SELECT count(*) FROM {table}")[0][0]
    return found


def test_clocks_that_jump_repeat_nothing_and_delay_nothing_for_good(
    make_flow: MakeFlow, tmp_path: Path
) -> None:
    """An hour back, and forth again; then thirty hours forth: a single reminder; and back."""
    stage = Stage(make_flow, tmp_path)
    first = len(stage.down("web-1"))

    back = stage.told(hours=-1)
    stage.feed("server.down", "web-2")
    stage.feed("server.down", "web-1")
    forth = [*stage.told(hours=1), *stage.told(minutes=5), *stage.told(minutes=5)]
    far = [*stage.told(hours=30), *stage.told()]
    home = stage.told(hours=-30)
    stage.feed("server.down", "web-3")
    new = [*stage.told(minutes=5), *stage.told(minutes=5)]

    assert (first, back) == (1, [])
    assert len(forth) == 1
    assert (len(far), home) == (1, [])
    assert len(new) == 1


def test_what_redis_forgets_is_nothing_that_groups_wait_for(make_flow: MakeFlow, tmp_path: Path) -> None:
    """FLUSHALL during each wait: the first message, a new member, the reminder and the end come all the same."""
    stage = Stage(make_flow, tmp_path)

    def forgetful(**span: float) -> int:
        stage.flow.services.redis.flushall()
        return len(stage.told(**span))

    stage.feed("server.down", "web-1")
    told = [forgetful(seconds=30)]
    stage.feed("server.down", "web-2")
    told += [forgetful(minutes=5), forgetful(minutes=60)]
    stage.feed("server.recovered", "web-1", "web-2")
    told += [forgetful(minutes=5), forgetful(days=1)]

    assert told == [1, 1, 1, 1, 0]
    assert stage.counts("alert_group", "alert_member") == [0, 0]


def test_an_alert_that_is_forgotten_while_somebody_waits_for_it_is_made_anew(flow: Flow) -> None:
    """A row goes between the look and the lock; whoever waits for it still gets one."""
    database, wanted = flow.services.database, [("default", "server-down", bytes([n])) for n in range(3)]
    with database.transaction() as connection:
        before = {row.digest: row.id for row in lock_alerts(connection, wanted)}
    found: list[set[bytes]] = []

    def wait_for_them() -> None:
        with database.transaction() as connection:
            found.append({row.digest for row in lock_alerts(connection, wanted)})

    def forget() -> None:
        with database.transaction() as connection:
            lock_alerts(connection, wanted[1:2])
            is_locked.set()
            await_true(lambda: flow.query("SELECT 1 FROM pg_locks WHERE NOT granted"))
            forget_alerts(connection, [before[bytes([1])]])

    is_locked = threading.Event()
    at_once(forget, lambda: is_locked.wait(10) and wait_for_them())

    assert found == [{bytes([n]) for n in range(3)}]


def test_an_alert_that_begins_anew_while_a_sweep_drops_it_is_told_again(
    make_flow: MakeFlow, tmp_path: Path
) -> None:
    """The sweep read that it is over; whoever waits for the group makes it a member once more."""
    stage = Stage(make_flow, tmp_path, AT_ONCE.replace("batch_every: 5m", "batch_every: 0s"))
    stage.down("web-1", "web-2")
    groups, again = stage.flow.services.groups, threading.Event()
    flow = make_flow(clock=stage.clock, config_dir=tmp_path)

    def drop(connection: Connection, rows: Sequence[tuple[UUID, UUID]]) -> None:
        drop_members(connection, rows)
        again.set()
        await_true(lambda: flow.query("SELECT 1 FROM pg_locks WHERE NOT granted"))

    def begin_anew() -> None:
        assert again.wait(10)
        stage.feed("server.down", "web-2")

    stage.feed("server.recovered", "web-2")
    stage.clock.advance(timedelta(seconds=1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(alert_groups, "drop_members", drop)
        at_once(groups.speak, begin_anew)

    # The newer message has it all, and supersedes the one that web-2 is back.
    assert [len(stage.told()), len(stage.told(seconds=1))] == [1, 0]
    assert stage.flow.query("SELECT told_firing FROM alert_member") == [(True,), (True,)]


def test_what_a_stronger_alert_muted_is_told_also_where_that_ended_during_the_look(
    make_flow: MakeFlow, tmp_path: Path
) -> None:
    """Whoever ends the stronger alert finds nobody it mutes: the sweep has not written that down yet."""
    stage = Stage(make_flow, tmp_path, WILD.replace("ttl: 90s", "ttl: 1d"))
    restored = make_flow(clock=stage.clock, config_dir=tmp_path)
    event = stage.flow.sample("network.disrupted", subject="berlin", time=stage.clock.now().isoformat())
    event["data"] = {**event["data"], "device": "berlin"}
    stage.flow.ingest(event)
    stage.told()
    stage.feed("server.down", "web-1", site="berlin")

    def sources(connection: Connection, tenants: Sequence[str]) -> list[KeptAlert]:
        found = live_sources(connection, tenants)
        moment = stage.clock.now().isoformat()
        restored.ingest(
            {
                **event,
                "type": "network.restored",
                "time": moment,
                "data": restored.sample("network.restored")["data"] | {"device": "berlin"},
            }
        )
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(groups_stage, "live_sources", sources)
        muted = [one["Subject"] for one in stage.told(seconds=5)]
    told = [one["Subject"] for seconds in (10, 10, 10) for one in stage.told(seconds=seconds)]

    assert [one for one in muted if "web-1" in one] == []
    assert len([one for one in told if "web-1" in one]) == 1


def test_an_alert_nobody_can_read_holds_up_no_other(make_flow: MakeFlow, tmp_path: Path) -> None:
    """Its moment has come each second; the absence of the others is noticed all the same."""
    stage = Stage(make_flow, tmp_path, AT_ONCE.replace("remind_after: 1h", "ttl: 10m"))
    stage.down("web-1", "web-2")
    with stage.flow.services.database.connection() as connection:
        connection.execute(
            "UPDATE alert SET sealed = 'x', due_at = due_at - interval '1 s' WHERE subject = 'web-1'"
        )

    stage.told(minutes=11)

    assert stage.statuses() == {"web-1": "firing", "web-2": "resolved"}


def test_what_goes_on_firing_waits_for_no_group(make_flow: MakeFlow, tmp_path: Path) -> None:
    """A sweep holds the group and takes its time: the hundredth word of the same alert is stored meanwhile."""
    stage = Stage(make_flow, tmp_path)
    stage.feed("server.down", "web-1")

    with stage.flow.services.database.transaction() as sweep:
        sweep.execute("SELECT FROM alert_group FOR UPDATE")
        stage.feed("server.down", "web-1")
        stored = stage.flow.query("SELECT count(*) FROM event")

    assert stored == [(2,)]
    assert len(stage.told(seconds=30)) == 1
