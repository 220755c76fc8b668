"""Alerts and their groups when workers die, or lose their clock or Redis, or meet halfway: each thing is told once."""

import threading
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from notifier.events import Urgency
from notifier.pipeline.alerting import muting
from notifier.store import alert_members
from notifier.store.alert_members import drop_members
from notifier.store.alerts import KeptAlert, forget_alerts, live_sources, lock_alerts
from notifier.store.database import Connection
from tests.alerting import RULES, Stage
from tests.faults.alert_twins import OPERATORS, WILD
from tests.faults.sabotage import apply
from tests.faults.stages import Bench, MakeBench, await_true
from tests.faults.test_twins import at_once
from tests.services import ROOT, Flow, MakeFlow

pytestmark = [pytest.mark.faults, pytest.mark.servers]

HELD = ("web-1", "web-2", "web-3")
ONE_EACH = Counter({"one": 1, "two": 1})
AT_ONCE = RULES.replace("first_after: 30s", "first_after: 0s")


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
        patch.setattr(alert_members, "drop_members", drop)
        at_once(groups.speak, begin_anew)

    # The newer message has it all, and supersedes the one that web-2 is back.
    assert [len(stage.told()), len(stage.told(seconds=1))] == [1, 0]
    assert stage.flow.query("SELECT told_firing FROM alert_member") == [(True,), (True,)]


@pytest.mark.parametrize(("sabotage", "mails"), [("", 1), ("no_second_look", 0)])
def test_what_a_stronger_alert_muted_is_told_also_where_that_ended_during_the_look(
    make_flow: MakeFlow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sabotage: str, mails: int
) -> None:
    """Whoever ends the stronger alert finds nobody it mutes: the sweep has not written that down yet."""
    apply(sabotage, monkeypatch.setattr)
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
        patch.setattr(muting, "live_sources", sources)
        muted = [one["Subject"] for one in stage.told(seconds=5)]
    told = [one["Subject"] for seconds in (10, 10, 10) for one in stage.told(seconds=seconds)]

    assert [one for one in muted if "web-1" in one] == []
    assert len([one for one in told if "web-1" in one]) == mails


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


def test_a_group_nobody_can_read_holds_up_no_other(make_flow: MakeFlow, tmp_path: Path) -> None:
    """It is put off, each time it stumbles; the other group speaks in the same round."""
    stage = Stage(make_flow, tmp_path)
    stage.feed("server.down", "web-1", site="berlin")
    stage.feed("server.down", "web-2", site="paris")
    with stage.flow.services.database.connection() as connection:
        connection.execute(
            "UPDATE alert_group SET sealed = 'x' WHERE id = (SELECT min(id::text)::uuid FROM alert_group)"
        )

    told = stage.told(seconds=30)

    assert len(told) == 1
    assert stage.flow.query("SELECT count(*) FROM alert_group WHERE number = 0") == [(1,)]


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
