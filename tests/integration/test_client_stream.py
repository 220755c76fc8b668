"""The client on the intake streams: lanes, chunks, cuts, limits, the disk."""

import asyncio
import json
import re
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis

from notifier.broker.lanes import publish_lanes
from notifier.client import Client, EventSpec, Urgency, event, wire
from notifier.embedded.proxy import Mode, Proxy
from notifier.embedded.valkey import ValkeyServer
from notifier.errors import EventRefused, IntakeFull, IntakeUnavailable, NotDurable
from notifier.events import Event
from notifier.setting_tables import Limits

pytestmark = pytest.mark.servers


@pytest.fixture
def store(redis_url: str) -> Iterator[redis.Redis]:
    """An empty server, seen as the ingest stage sees it; what a test turns is turned back."""
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        before = client.config_get("maxmemory", "appendonly", "appendfsync")
        yield client
        for name, value in before.items():
            client.config_set(name, value)


@pytest.fixture
def client(redis_url: str, store: redis.Redis) -> Iterator[Client]:
    """A producer, ready to go."""
    with Client(redis_url, source="shop") as producer:
        yield producer


@pytest.fixture
def proxy(valkey_server: ValkeyServer) -> Iterator[Proxy]:
    """A network to break."""
    with Proxy(valkey_server.port) as network:
        yield network


def through(url: str, proxy: Proxy) -> str:
    """Return the server's URL by way of the proxy."""
    return re.sub(r":\d+/", f":{proxy.port}/", url)


def entries(store: redis.Redis, lane: str = "normal") -> list[Event]:
    """Return the events of a lane's stream."""
    found: Any = store.xrange(f"notifier:intake:{lane}")
    return [Event.from_json(json.loads(fields["e"])) for _id, fields in found]


def specs(count: int, **changes: Any) -> Iterator[EventSpec]:
    """Yield events numbered from 0, with ids to match."""
    for n in range(count):
        yield event("order.placed", **{"subject": f"O-{n}", "data": {"n": n}, "id": f"e-{n}", **changes})


def until(condition: Callable[[], bool], timeout: float = 15) -> None:
    """Poll until something holds."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)


def test_an_event_lands_in_its_lane_with_everything_it_was_given(client: Client, store: redis.Redis) -> None:
    """The stream holds the event; the receipt its key."""
    receipt = client.enqueue(
        "order.placed", subject="O-1", data={"näme": "Ünal"}, to="a@b.org", urgency="urgent", id="e-1"
    )

    (stored,) = entries(store, "urgent")
    assert (stored.id, stored.source, stored.data) == ("e-1", "shop", {"näme": "Ünal"})
    assert receipt.id == "e-1"
    assert receipt.event == stored.key == ("default", "shop", "e-1")
    assert receipt.lane is Urgency.URGENT


def test_the_lane_is_the_callers_then_the_types_then_normal(
    client: Client, store: redis.Redis, redis_url: str
) -> None:
    """The server publishes a map; a lane it does not know counts for nothing."""
    store.hset(wire.LANES_KEY, mapping={"password.reset": "urgent", "newsletter": "bulk", "odd": "express"})

    lanes = [
        client.enqueue(name, subject="s", data={}).lane
        for name in ("password.reset", "newsletter", "odd", "x")
    ]
    own = client.enqueue("password.reset", subject="s", data={}, urgency="bulk").lane

    assert lanes == ["urgent", "bulk", "normal", "normal"]
    assert own == "bulk"


def test_a_hundred_thousand_events_of_a_generator_need_little_memory(
    redis_url: str, store: redis.Redis
) -> None:
    """Nothing is collected: what is alive at any time is a few chunks, whatever the length."""
    blocks: list[int] = []

    def endless() -> Iterator[EventSpec]:
        for n in range(100_000):
            if n % 1_000 == 0:
                blocks.append(sys.getallocatedblocks())
            yield event("order.placed", subject="s", data={"n": n})

    with Client(redis_url, source="shop") as producer:
        summary = producer.enqueue_many(endless())

    assert summary.accepted == 100_000
    assert summary.lanes == {Urgency.NORMAL: 100_000}
    assert store.xlen("notifier:intake:normal") == 100_000
    # Kept, the events would hold more than ten blocks each.
    assert max(blocks) - blocks[0] < 30_000


def test_large_events_are_sent_before_they_pile_up(client: Client, store: redis.Redis) -> None:
    """Chunks are bounded in bytes too: 100 events of 200 kB never stand in memory together."""
    client.enqueue_many(specs(1))
    tracemalloc.start()
    summary = client.enqueue_many(
        event("order.placed", subject="s", data={"x": "x" * 200_000}) for _ in range(100)
    )
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert summary.accepted == 100
    assert peak < 16 * 2**20


def test_many_keep_their_order_within_a_lane_and_give_receipts(client: Client, store: redis.Redis) -> None:
    """Lanes are separate, order within one is the producer's."""
    mixed: list[EventSpec] = [
        {**spec, "urgency": "bulk" if n % 3 else "urgent"} for n, spec in enumerate(specs(1_300))
    ]

    receipts = list(client.enqueue_each(mixed))

    assert [stored.id for stored in entries(store, "urgent")] == [f"e-{n}" for n in range(0, 1_300, 3)]
    assert [stored.id for stored in entries(store, "bulk")] == [f"e-{n}" for n in range(1_300) if n % 3]
    assert {receipt.id for receipt in receipts} == {f"e-{n}" for n in range(1_300)}


def test_an_asynchronous_program_hands_over_beside_its_loop(redis_url: str, store: redis.Redis) -> None:
    """One client for many tasks at once, and the loop goes on (complaint 18, anymail#306)."""
    turns = 0

    async def enqueue_all(client: Client) -> None:
        nonlocal turns
        tasks = [
            asyncio.ensure_future(
                asyncio.to_thread(client.enqueue, "order.shipped", subject=f"A-{number}", data={})
            )
            for number in range(40)
        ]
        while not all(task.done() for task in tasks):
            turns += 1
            await asyncio.sleep(0)
        await asyncio.gather(*tasks)

    with Client(redis_url, source="shop") as client:
        asyncio.run(enqueue_all(client))

    assert sorted(one.subject for one in entries(store)) == sorted(f"A-{number}" for number in range(40))
    assert turns > 1


def test_everything_before_a_refused_event_is_accepted(client: Client, store: redis.Redis) -> None:
    """The error names the event's number; what came before it is in, nothing after it."""
    bad: list[EventSpec] = [*specs(700), {"type": "t", "subject": "s", "data": {"x": {1}}}, *specs(3)]

    with pytest.raises(EventRefused) as refused:
        client.enqueue_many(bad)

    assert refused.value.field == "events[700].data.x"
    assert len(entries(store)) == 700


def test_a_call_on_a_cut_connection_is_tried_again_with_the_same_id(
    redis_url: str, store: redis.Redis, proxy: Proxy
) -> None:
    """The id is minted before the first try; two entries, one event (law 3)."""
    with Client(through(redis_url, proxy), source="shop") as producer:
        producer.enqueue("order.placed", subject="O-1", data={})
        # The answer takes a second to come back; the cut falls in between, behind the server's back.
        proxy.set_mode(Mode.SLOW, latency=0.5)
        caller = threading.Thread(
            target=producer.enqueue, args=["order.placed"], kwargs={"subject": "O-2", "data": {}}
        )
        caller.start()
        until(lambda: store.xlen("notifier:intake:normal") == 2)
        proxy.set_mode(Mode.CUT)
        proxy.set_mode(Mode.PASS)
        caller.join()

    first, *others = entries(store)
    assert first.subject == "O-1"
    assert [other.subject for other in others] == ["O-2", "O-2"]
    assert len({other.key for other in others}) == 1


def test_a_server_that_stays_away_is_unavailable_and_the_id_is_told(redis_url: str, proxy: Proxy) -> None:
    """Bounded in time; the note carries the id for a later call, the message no password."""
    with Client(through(redis_url, proxy), source="shop", retry_for=0.3) as producer:
        proxy.set_mode(Mode.CUT)
        with pytest.raises(IntakeUnavailable, match="cannot be reached") as error:
            producer.enqueue("order.placed", subject="O-1", data={}, id="e-1")

    assert error.value.__notes__ == ["event id: e-1"]
    assert str(urlsplit(redis_url).password) not in str(error.value)


def test_a_wrong_password_is_said_at_once(redis_url: str) -> None:
    """Trying again would not help."""
    wrong = f"redis://:wrong@127.0.0.1:{urlsplit(redis_url).port}"

    with (
        Client(wrong, source="shop", retry_for=60) as producer,
        pytest.raises(IntakeUnavailable, match="refused the login"),
    ):
        producer.enqueue("order.placed", subject="O-1", data={})


def test_at_the_limit_the_intake_is_full_and_nothing_is_trimmed(redis_url: str, store: redis.Redis) -> None:
    """What fits is accepted, the rest is told; other lanes go on (law 2)."""
    with Client(redis_url, source="shop", max_pending=600) as producer:
        accepted: list[str] = []
        with pytest.raises(IntakeFull, match="normal lane holds 600"):
            accepted += (receipt.id for receipt in producer.enqueue_each(specs(1_000)))
        with pytest.raises(IntakeFull):
            producer.enqueue("order.placed", subject="s", data={})
        producer.enqueue("order.placed", subject="s", data={}, urgency="urgent")

    assert [stored.id for stored in entries(store)] == [f"e-{n}" for n in range(600)]


def test_the_server_says_the_limit_unless_the_client_has_its_own(redis_url: str, store: redis.Redis) -> None:
    """For events that name their lane, too; what is no number leaves the client's usual limit."""
    with Client(redis_url, source="shop") as usual:
        usual.enqueue("order.placed", subject="s", data={})
    publish_lanes(store, {"order.placed": "bulk"}, limit=3)

    with Client(redis_url, source="shop") as told, pytest.raises(IntakeFull, match="urgent lane holds 3 "):
        told.enqueue_many(specs(4, urgency="urgent"))
    with Client(redis_url, source="shop", max_pending=5) as own, pytest.raises(IntakeFull, match="holds 5 "):
        own.enqueue_many(specs(6))
    store.hset(wire.LANES_KEY, wire.LIMIT_FIELD, "many")
    with Client(redis_url, source="shop") as unsure:
        unsure.enqueue("order.placed", subject="s", data={})

    assert [len(entries(store, lane)) for lane in ("urgent", "normal", "bulk")] == [3, 1, 6]
    assert Limits().intake_entries == wire.MAX_PENDING


def test_a_patient_client_waits_for_room(redis_url: str, store: redis.Redis) -> None:
    """With `wait_when_full` a storm is slowed to the pace of ingest."""
    stop = threading.Event()

    def ingest() -> None:
        with redis.Redis.from_url(redis_url) as server:
            while not stop.wait(0.01):
                found: Any = server.xrange("notifier:intake:normal", count=100)
                if found:
                    server.xdel("notifier:intake:normal", *(entry for entry, _ in found))

    worker = threading.Thread(target=ingest)
    worker.start()
    with Client(redis_url, source="shop", max_pending=200, wait_when_full=20) as producer:
        summary = producer.enqueue_many(specs(2_000))
    stop.set()
    worker.join()

    assert summary.accepted == 2_000


def test_a_server_out_of_memory_is_full(client: Client, store: redis.Redis) -> None:
    """`maxmemory` is a limit like ours."""
    store.config_set("maxmemory", "1mb")

    with pytest.raises(IntakeFull, match="maxmemory"):
        client.enqueue("order.placed", subject="s", data={})


def test_durable_events_are_there_after_the_server_was_killed(tmp_path: Path) -> None:
    """A kill -9 right behind the call loses nothing, though the server syncs each second only."""
    server = ValkeyServer(tmp_path, appending="everysec").start()
    try:
        with Client(server.url(), source="shop", durable=True) as producer:
            producer.enqueue("order.placed", subject="O-1", data={}, id="one")
            summary = producer.enqueue_many(specs(6_000))
            server.kill()
        server.start()
        with redis.Redis.from_url(server.url(), decode_responses=True) as store:
            assert [stored.id for stored in entries(store)] == ["one", *(f"e-{n}" for n in range(6_000))]
        assert summary.accepted == 6_000
    finally:
        server.stop()


def test_a_server_that_does_not_sync_in_time_is_not_durable(redis_url: str, store: redis.Redis) -> None:
    """The event is in, its promise is not: the error says that sending it again is safe."""
    store.config_set("appendfsync", "no")

    with (
        Client(redis_url, source="shop", durable=True, durable_timeout=0.2) as producer,
        pytest.raises(NotDurable, match=r"within 0\.2 s.*same id is safe") as error,
    ):
        producer.enqueue("order.placed", subject="s", data={}, id="e-1")

    assert error.value.__notes__ == ["event id: e-1"]
    assert [stored.id for stored in entries(store)] == ["e-1"]


def test_without_an_append_only_file_nothing_is_promised_and_nothing_sent(
    client: Client, store: redis.Redis
) -> None:
    """The error comes before the event, and says what to set."""
    store.config_set("appendonly", "no")

    with pytest.raises(NotDurable, match="appendonly yes"):
        client.enqueue("order.placed", subject="s", data={}, durable=True)

    assert entries(store) == []
