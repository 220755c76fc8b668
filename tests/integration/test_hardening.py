"""Nothing a producer, a source or a server does stops the rest: one entry, one part, one question at most."""

import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest
import redis

from notifier.broker.connection import BrokerUnavailable
from notifier.broker.wakeups import WakeUp, WakeUps
from notifier.catalog import Catalog
from notifier.client.wire import ASKED_KEY, LANES_KEY, PAYLOAD, Ask, result_key, stream_key
from notifier.crypto import blind_index
from notifier.events import Urgency
from notifier.health import Health
from notifier.pipeline.intake import letters
from notifier.store import persons
from notifier.store.database import Connection, DatabaseUnavailable
from notifier.store.dead_letters import DeadLetter, bury
from notifier.store.persons import Persons
from tests.services import Flow
from workers.loops import Loops

LONG = "\u6771" * 512


def refusals(flow: Flow) -> list[tuple[str, str | None, str]]:
    """Return (kind, field, error) of the dead letters."""
    return [
        (row[0], row[1], row[2])
        for row in flow.query("SELECT kind, field, error FROM dead_letter ORDER BY id")
    ]


def nested(depth: int) -> object:
    """Return lists in lists."""
    value: object = "x"
    for _ in range(depth):
        value = [value]
    return value


# What comes in


def test_data_nested_too_deep_is_refused_and_the_others_go_on(flow: Flow) -> None:
    """The serializer gives up at 254 levels; the batch must not."""
    deep = flow.sample("order.shipped", data={"extra": nested(400)})

    counts = flow.ingest(deep, flow.sample("order.shipped"))

    assert (counts["refused"], counts["stored"]) == (1, 1)
    assert refusals(flow) == [("refused", "data", "is nested deeper than 64 levels")]


def test_what_checking_trips_over_is_refused(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug in a check costs the one event it meets."""

    def recurse(*_: object) -> None:
        raise RecursionError

    monkeypatch.setattr(Catalog, "check", recurse)

    counts = flow.ingest(flow.sample("order.shipped"))

    assert counts["refused"] == 1
    assert refusals(flow) == [("refused", "event", "cannot be processed: RecursionError")]


def test_an_entry_whose_id_is_no_time_counts_as_taken_now(flow: Flow) -> None:
    """Redis numbers all later entries after such an id: they too must go through."""
    payload = flow.payload(flow.sample("order.shipped"))
    flow.services.redis.xadd(stream_key(Urgency.NORMAL), {PAYLOAD: payload}, id="18446744073709551610-1")
    flow.services.intake.put(Urgency.NORMAL, flow.payload(flow.sample("order.shipped")))

    counts = flow.services.ingest.run(Urgency.NORMAL)

    assert counts["stored"] == 2
    assert flow.query("SELECT count(*) FROM event WHERE received_at > now() + interval '1 hour'") == [(0,)]


def test_an_id_and_source_too_long_for_the_index_are_refused(flow: Flow) -> None:
    """A row of an index has 2,704 bytes; CJK characters have three each."""
    counts = flow.ingest(
        {**flow.sample("order.shipped"), "id": LONG, "source": LONG}, flow.sample("order.shipped")
    )

    assert (counts["refused"], counts["stored"]) == (1, 1)
    ((kind, field, error),) = refusals(flow)
    assert (kind, field) == ("refused", "id")
    assert "2000 bytes" in error


def test_two_long_ids_with_one_beginning_are_two_dead_letters(flow: Flow) -> None:
    """Shortening must not make one of two."""
    for end in ("a", "b", "a"):
        flow.ingest({"type": "nobody.knows", "subject": "x", "id": "i" * 500 + end, "source": LONG})

    assert flow.query("SELECT seen FROM dead_letter ORDER BY id") == [(2,), (1,)]


def test_a_letter_that_cannot_be_written_leaves_a_stub(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    """The batch always finishes, and the entry is somewhere."""

    def fail_on_names(connection: Connection, letter: DeadLetter) -> object:
        if letter.source:
            raise psycopg.errors.ProgramLimitExceeded
        return bury(connection, letter)

    monkeypatch.setattr(letters, "bury", fail_on_names)

    counts = flow.ingest({"type": "nobody.knows", "subject": "x"}, flow.sample("order.shipped"))

    assert (counts["refused"], counts["stored"]) == (1, 1)
    ((source, kind, error),) = flow.query("SELECT source, type, error FROM dead_letter")
    assert (source, kind) == ("", None)
    assert "ProgramLimitExceeded" in error


def test_without_a_place_for_dead_letters_nothing_is_let_go(
    flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The entry stays in its stream."""

    def fail(*_: object) -> None:
        raise psycopg.errors.InsufficientPrivilege

    monkeypatch.setattr(letters, "bury", fail)

    with pytest.raises(DatabaseUnavailable, match="dead letter"):
        flow.ingest({"type": "nobody.knows", "subject": "x"})


def test_more_than_a_thousand_recipients_are_refused(flow: Flow) -> None:
    """One event is not a mailing."""
    to = [f"p{n}@example.com" for n in range(1001)]

    assert flow.ingest(flow.sample("order.shipped", to=to))["refused"] == 1
    assert refusals(flow) == [("refused", "to", "has 1001 entries, the limit is 1000")]
    assert flow.ingest(flow.sample("order.shipped", to=to[:1000]))["stored"] == 1


# Persons


def test_threads_share_the_persons(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    """The memory of persons is no place for two threads at once: it would raise KeyError ever after."""
    keyring = flow.services.keyring
    keys = [("default", blind_index(keyring.index_key, "default", f"p{n}@example.com")) for n in range(60)]
    shared = Persons(flow.services.database, keyring, seconds=0.0005, size=30)
    known = shared.get(keys)
    # The database's answers would leave the threads little time to meet.
    monkeypatch.setattr(shared, "_select", lambda _, wanted: {key: known[key] for key in wanted})
    errors: list[BaseException] = []

    def hammer() -> None:
        end = time.monotonic() + 1.5
        try:
            while time.monotonic() < end:
                shared.get(keys)
        except Exception as error:  # noqa: BLE001
            errors.append(error)

    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        run_at_once(hammer, 6)
    finally:
        sys.setswitchinterval(usual)

    assert errors == []


def run_at_once(work: Callable[[], None], count: int) -> None:
    """Run something in so many threads and wait for them."""
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_a_person_erased_meanwhile_is_noticed_and_starts_anew(flow: Flow) -> None:
    """Nothing is sealed under a key that was destroyed, though the memory still holds it."""
    services = flow.services
    key = ("default", blind_index(services.keyring.index_key, "default", "p@example.com"))
    old = services.persons.get([key])[key]
    with services.database.transaction() as connection:
        persons.erase(connection, *key)

    with services.database.transaction() as connection:
        gone = services.persons.confirm(connection, [old])
    services.persons.get([key])
    with services.database.transaction() as connection:
        persons.erase(connection, *key)
    with services.database.transaction() as connection:
        held = services.persons.hold(connection, [key])[key]

    assert gone == {old.id}
    ((wrapped,),) = flow.query("SELECT data_key FROM person")
    sealed = held.key.seal(b"x", b"test")
    assert services.keyring.open_data_key(wrapped).unseal(sealed, b"test") == b"x"


def test_a_person_held_cannot_be_erased_before_the_commit(flow: Flow) -> None:
    """The erasure waits, and then finds what was written."""
    services = flow.services
    key = ("default", blind_index(services.keyring.index_key, "default", "p@example.com"))

    with services.database.transaction() as connection:
        services.persons.hold(connection, [key])

        with services.database.connection() as other:
            other.execute("SET lock_timeout = 100")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                persons.erase(other, *key)
            other.execute("RESET lock_timeout")


# Live data and files


def test_a_timer_of_a_tenant_nobody_knows_is_a_dead_letter(flow: Flow) -> None:
    """No rows that could never be sent."""
    flow.ingest(flow.sample("returns.requested"))
    with flow.services.database.connection() as connection:
        connection.execute(
            "UPDATE timer SET tenant = 'gone', due_at = now() - interval '1 second' WHERE key LIKE 'stuck:%%'"
        )

    flow.services.sweep.run()

    assert flow.query("SELECT tenant, kind, field FROM dead_letter") == [("gone", "refused", "tenant")]
    assert flow.query("SELECT count(*) FROM event WHERE tenant = 'gone'") == [(0,)]
    assert flow.query("SELECT count(*) FROM timer WHERE key LIKE 'stuck:%%'") == [(0,)]


def test_a_part_of_the_sweep_that_stumbles_does_not_stop_the_others(
    flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Timers fail each second: expired messages and the heartbeat go on."""
    services = flow.services
    flow.ingest(flow.sample("order.shipped"))
    with services.database.connection() as connection:
        connection.execute("UPDATE work SET expires_at = now() - interval '1 second'")

    def fail() -> None:
        raise KeyError("a value")

    monkeypatch.setattr(services.sweep._timers, "fire", fail)
    monkeypatch.setattr(services.sweep._settler, "unknown", fail)

    found = services.sweep.run()

    assert found["expired"] == 1
    assert found["stumbled"] == 2
    assert flow.query("SELECT count(*) FROM heartbeat WHERE name = 'sweep'") == [(1,)]


def test_a_sweep_without_database_says_so(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    """Away is not a stumble: the worker waits."""

    def fail() -> None:
        raise DatabaseUnavailable

    monkeypatch.setattr(flow.services.sweep._timers, "fire", fail)

    with pytest.raises(DatabaseUnavailable):
        flow.services.sweep.run()


def test_what_the_sweep_settles_is_counted(flow: Flow) -> None:
    """An expired message shows in /metrics like a sent one, and so does one whose worker vanished."""
    services = flow.services
    flow.ingest(*[{**flow.sample("order.shipped"), "subject": f"O-{n}"} for n in range(2)])
    with services.database.connection() as connection:
        connection.execute("UPDATE work SET expires_at = now() - interval '1 second'")
        connection.execute(
            """UPDATE work SET expires_at = now() + interval '1 hour', state = 1, is_sending = true,
                      lease_until = now(), token = gen_random_uuid() WHERE message_id = %s""",
            [flow.one_id()],
        )
    sweep = services.sweep
    sweep._grace = 0.0

    sweep.run()

    counts, _ = services.counters.read()
    (_, ended, _), (_, vanished, _) = flow.messages()[:2]
    assert vanished == "deferred"
    assert counts == {f"email|{ended}|normal": 1, "email|deferred|normal": 1}


# Redis


def test_the_lanes_come_back_after_redis_lost_its_memory(flow: Flow) -> None:
    """Clients look the lane of a type up: without the map urgent events would queue with the others."""
    services = flow.services
    loops = Loops(services, Health("test", None))
    step = loops._doorbell(patience=timedelta(milliseconds=20))
    step()
    before = services.redis.hgetall(LANES_KEY)

    services.redis.flushall()
    end = time.monotonic() + 5
    while not services.redis.exists(LANES_KEY) and time.monotonic() < end:
        step()

    assert before
    assert services.redis.hgetall(LANES_KEY) == before


def test_a_request_that_cannot_be_answered_stops_no_other(flow: Flow) -> None:
    """Its list is something else: the next one is answered, and it is not tried again."""
    flow.ingest(flow.sample("order.shipped", id="e-1", source="shop"))
    ends, client = time.time() + 60, flow.services.redis
    broken, sound = (
        Ask(
            tenant="default",
            source="shop",
            id="e-1",
            until="decided",
            reply=result_key(name),
            expires_at=ends,
        )
        for name in ("1", "2")
    )
    client.set(broken.reply, "no list")
    client.rpush(ASKED_KEY, broken.dumps(), sound.dumps())

    Loops(flow.services, Health("test", None))._asks()

    assert client.llen(sound.reply) == 1
    assert flow.services.asks.take(time.time()) == []


@pytest.mark.parametrize("text", ["OOM command not allowed", "NOPERM no", "MISCONF disk"])
def test_a_bell_never_raises(redis_url: str, text: str) -> None:
    """The sweep is the safety net, whatever Redis says."""

    def publish(_: WakeUp) -> None:
        raise redis.ResponseError(text)

    with redis.Redis.from_url(redis_url) as client:
        assert not WakeUps(client, publish).ring(WakeUp("deliver", "normal", "email"))
        assert not client.keys()


def test_a_redis_that_takes_no_writes_counts_as_away(flow: Flow) -> None:
    """Full memory passes: the task waits instead of failing."""
    client = flow.services.redis
    client.config_set("maxmemory", "1")
    try:
        with pytest.raises(BrokerUnavailable, match="not ready"):
            flow.services.intake.put(Urgency.NORMAL, uuid4().bytes)
    finally:
        client.config_set("maxmemory", "0")
