"""The broker on a real server: what was read stays until it is done, what is away is said within its time."""

import json
import socket
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import redis

from notifier.broker.asks import LONGEST_SECONDS, Asks
from notifier.broker.connection import BrokerUnavailable, connect, speaking
from notifier.broker.counters import Counters
from notifier.broker.intake import GROUP, Intake
from notifier.broker.lanes import publish_lanes
from notifier.broker.wakeups import WakeUp, WakeUps
from notifier.client.receipts import Result
from notifier.client.wire import ASKED_KEY, LANES_KEY, PAYLOAD, Ask, result_key, stream_key
from notifier.errors import ConfigError
from notifier.events import Urgency

pytestmark = pytest.mark.servers

LANE = Urgency.NORMAL
NOW = timedelta(0)


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    """A client of an empty server."""
    with connect(redis_url) as client:
        yield client


@pytest.fixture
def intake(client: redis.Redis) -> Intake:
    """The first reader."""
    return Intake(client, "first")


def pending(client: redis.Redis) -> int:
    """How many entries were read and are not done."""
    found: Any = client.xpending(stream_key(LANE), GROUP)
    return int(found["pending"])


def test_an_entry_is_read_once_and_leaves_when_it_is_done(client: redis.Redis, intake: Intake) -> None:
    """In between it is pending: the reader may die."""
    for payload in (b"1", b"2", b"3"):
        intake.put(LANE, payload)

    read = intake.read(LANE, 2)

    assert [entry.payload for entry in read] == [b"1", b"2"]
    assert [entry.payload for entry in Intake(client, "second").read(LANE, 9)] == [b"3"]
    assert intake.read(LANE, 9) == []
    assert (pending(client), intake.lengths()[LANE]) == (3, 3)
    intake.done(LANE, read)
    assert (pending(client), intake.lengths()[LANE]) == (1, 1)


def test_lanes_are_apart(intake: Intake) -> None:
    """Bulk does not stand before urgent."""
    intake.put(Urgency.BULK, b"b")
    intake.put(Urgency.URGENT, b"u")

    assert [entry.payload for entry in intake.read(Urgency.URGENT, 9)] == [b"u"]
    assert intake.lengths() == {Urgency.URGENT: 1, Urgency.NORMAL: 0, Urgency.BULK: 1}


def test_what_a_dead_reader_left_is_taken_over(client: redis.Redis, intake: Intake) -> None:
    """Not before it has been silent for long enough."""
    intake.put(LANE, b"1")
    left = intake.read(LANE, 9)
    other = Intake(client, "second")

    assert other.take_over(LANE, timedelta(minutes=1), 9) == []
    assert other.take_over(LANE, NOW, 9) == left
    other.done(LANE, left)
    assert (pending(client), intake.lengths()[LANE]) == (0, 0)


def test_without_a_group_there_is_nothing_to_take_over(intake: Intake) -> None:
    """Nor an error."""
    assert intake.take_over(LANE, NOW, 9) == []


def test_a_deleted_entry_is_cleared_away(client: redis.Redis, intake: Intake) -> None:
    """A reader was cut off while it was done: the entry is gone, but pending."""
    intake.put(LANE, b"1")
    intake.put(LANE, b"2")
    gone, left = intake.read(LANE, 9)
    client.xdel(stream_key(LANE), gone.id)

    assert Intake(client, "second").take_over(LANE, NOW, 9) == [left]
    assert pending(client) == 1


def test_an_entry_without_a_payload_is_handed_on_empty(client: redis.Redis, intake: Intake) -> None:
    """So that it is refused and removed, rather than read for ever."""
    client.xadd(stream_key(LANE), {"other": "x"})

    (entry,) = intake.read(LANE, 9)

    assert entry.payload == b""
    intake.done(LANE, [entry])
    assert intake.lengths()[LANE] == 0


def test_a_vanished_group_finds_again_what_waits(client: redis.Redis, intake: Intake) -> None:
    """Everything not done, also what had been read."""
    for payload in (b"1", b"2"):
        intake.put(LANE, payload)
    intake.read(LANE, 1)
    client.xgroup_destroy(stream_key(LANE), GROUP)

    assert [entry.payload for entry in intake.read(LANE, 9)] == [b"1", b"2"]


def test_a_server_that_forgot_everything_is_used_on(client: redis.Redis, intake: Intake) -> None:
    """Streams and groups are made again."""
    intake.put(LANE, b"1")
    read = intake.read(LANE, 9)
    client.flushall()

    intake.done(LANE, read)
    assert intake.read(LANE, 9) == []
    intake.put(LANE, b"2")
    assert [entry.payload for entry in intake.read(LANE, 9)] == [b"2"]


def test_waiting_ends_with_the_next_entry(client: redis.Redis, intake: Intake) -> None:
    """And says in which lanes; what was seen is not told twice."""
    seen: dict[Urgency, bytes] = {}
    assert intake.wait(seen, timedelta(milliseconds=5)) == []

    intake.put(Urgency.URGENT, b"1")
    assert intake.wait(seen, timedelta(seconds=5)) == [Urgency.URGENT]
    assert intake.wait(seen, timedelta(0)) == []
    assert [entry.payload for entry in intake.read(Urgency.URGENT, 9)] == [b"1"]


def test_a_wake_up_is_sent_once_until_it_is_answered(client: redis.Redis) -> None:
    """Many become one."""
    sent: list[WakeUp] = []
    wake_ups = WakeUps(client, sent.append)
    one, other = WakeUp("deliver", "urgent", "email"), WakeUp("deliver", "urgent", "sms")

    assert [wake_ups.ring(one), wake_ups.ring(one), wake_ups.ring(other)] == [True, False, True]
    wake_ups.answer(one)
    assert wake_ups.ring(one)
    assert sent == [one, other, one]
    assert 0 < client.ttl(one.flag) <= 10  # type: ignore[operator]


def test_a_wake_up_that_could_not_be_sent_silences_nothing(client: redis.Redis) -> None:
    """Its flag is taken back."""
    sent: list[WakeUp] = []

    def publish(wake_up: WakeUp) -> None:
        if not sent:
            sent.append(wake_up)
            raise OSError("the broker is away")

    wake_ups, one = WakeUps(client, publish), WakeUp("ingest", "bulk")

    assert [wake_ups.ring(one), wake_ups.ring(one)] == [False, True]
    assert one.queue == "ingest.bulk"


def test_counts_add_up_over_processes(client: redis.Redis) -> None:
    """And latencies fall into buckets, each with its sum."""
    for _ in range(2):
        Counters(client).add(Counter({"email|sent": 3}), [("email", 0.04), ("email", 4.0), ("email", 9999.0)])

    counts, seconds = Counters(client).read()

    assert counts == {"email|sent": 6}
    assert seconds["email|0.05"] == seconds["email|5.0"] == seconds["email|+Inf"] == 2
    assert seconds["email|sum"] == pytest.approx(2 * 10003.04)


def ask(**changes: Any) -> Ask:
    """A request that somebody listens to until second 100."""
    reply = result_key(uuid4().hex)
    fields = {
        "tenant": "default",
        "source": "shop",
        "id": "e-1",
        "until": "decided",
        "reply": reply,
        "expires_at": 100.0,
    }
    return Ask(**{**fields, **changes})


def test_an_ask_is_pending_until_it_is_answered_or_late(client: redis.Redis) -> None:
    """Over restarts of who answers."""
    now = time.time()
    wanted, late = ask(expires_at=now + 60), ask(expires_at=now - 60)
    client.rpush(ASKED_KEY, wanted.dumps(), late.dumps(), wanted.dumps())
    asks = Asks(client)

    assert asks.wait(1)
    assert asks.take(now) == [wanted]
    assert Asks(client).take(now) == [wanted]
    asks.answer(wanted, Result(state="decided", verdict="silent"))

    assert asks.take(now) == []
    answer: Any = client.lpop(wanted.reply)
    assert Result.from_json(json.loads(answer)) == Result(state="decided", verdict="silent")


@pytest.mark.parametrize(
    "text",
    [
        b"no json", b"\xff", b"[1]", b"{}", ask(until="maybe").dumps(), ask(expires_at="soon").dumps(),
        ask(reply=stream_key(LANE)).dumps(), ask(reply=["x"]).dumps(), ask(id=None).dumps(),
        ask(expires_at=float("nan")).dumps(), ask(expires_at=-float("inf")).dumps(), ask(expires_at="100").dumps(),
        ask(expires_at=10**400).dumps(), ask(id="nul\0").dumps(), ask(source="half \ud800").dumps(),
        ask(reply=result_key("\ud800")).dumps(), ask(until=["decided"]).dumps(), b"[" * 100_000,
    ],
)  # fmt: skip
def test_an_ask_that_can_never_be_answered_stands_before_none(client: redis.Redis, text: str | bytes) -> None:
    """It is dropped; above all it never writes to another key."""
    sound = ask()
    client.rpush(ASKED_KEY, text, sound.dumps())

    assert Asks(client).take(now=1.0) == [sound]
    assert client.llen(ASKED_KEY) == 0


@pytest.mark.parametrize("ends", [float("inf"), 1e300])
def test_an_ask_without_end_is_kept_for_a_while(client: redis.Redis, ends: float) -> None:
    """It is answered as any other, and forgotten where nobody asks again."""
    endless = ask(expires_at=ends)
    client.rpush(ASKED_KEY, endless.dumps())
    asks = Asks(client)

    (taken,) = asks.take(now=1.0)
    kept = asks.take(now=LONGEST_SECONDS)
    asks.answer(taken, Result(state="decided", verdict="silent"))

    assert kept == [taken] == [replace(endless, expires_at=1.0 + LONGEST_SECONDS)]
    client.rpush(ASKED_KEY, endless.dumps())
    assert asks.take(now=1.0) == [taken]
    assert asks.take(now=2.0 + LONGEST_SECONDS) == []


def test_what_was_kept_by_an_older_release_does_not_stay_for_ever(client: redis.Redis) -> None:
    """Whatever it wrote there."""
    for number, text in enumerate(
        (b"no json", ask(expires_at=float("inf")).dumps(), ask(id="nul\0").dumps())
    ):
        client.hset("notifier:asks:pending", str(number), text)

    assert Asks(client).take(now=1.0) == []
    assert client.exists("notifier:asks:pending") == 0


def test_the_map_of_lanes_is_replaced(client: redis.Redis) -> None:
    """A type that is gone does not linger."""
    publish_lanes(client, {"a.b": "bulk", "c.d": "urgent"})
    publish_lanes(client, {"c.d": "normal"})

    assert client.hgetall(LANES_KEY) == {b"c.d": b"normal"}
    publish_lanes(client, {})
    assert client.exists(LANES_KEY) == 0


def test_a_server_that_refuses_is_said_at_once() -> None:
    """By each part; counts and wake-ups are let go."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        client = connect(f"redis://127.0.0.1:{closed.getsockname()[1]}")
        intake, asks, sent = Intake(client, "first"), Asks(client), list[WakeUp]()
        begun = time.monotonic()

        for step in (
            lambda: intake.read(LANE, 1), lambda: intake.take_over(LANE, NOW, 1), lambda: intake.put(LANE, b"1"),
            intake.lengths, lambda: intake.wait({}, timedelta(seconds=1)), lambda: asks.take(0.0),
            lambda: asks.wait(1), lambda: publish_lanes(client, {}), Counters(client).read,
        ):  # fmt: skip
            with pytest.raises(BrokerUnavailable, match="cannot be reached: ConnectionError"):
                step()
        Counters(client).add(Counter(sent=1))
        assert not WakeUps(client, sent.append).ring(WakeUp("ingest", "bulk"))

    assert sent == []
    assert time.monotonic() - begun < 15


def test_a_server_that_is_silent_is_given_up_in_time() -> None:
    """It takes the connection and never answers, as one behind a broken network does."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = connect(f"redis://127.0.0.1:{silent.getsockname()[1]}", within=0.3)
        begun = time.monotonic()

        with pytest.raises(BrokerUnavailable, match="TimeoutError"):
            Intake(client, "first").lengths()

    assert time.monotonic() - begun < 5


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (redis.ResponseError("MISCONF the disk is full"), "MISCONF"),
        (redis.ResponseError("MASTERDOWN link is down"), "MASTERDOWN"),
        (redis.ResponseError("NOREPLICAS not enough"), "NOREPLICAS"),
        (redis.exceptions.ReadOnlyError("You can't write against a replica"), "ReadOnlyError"),
        (redis.exceptions.BusyLoadingError("reading the file"), "BusyLoadingError"),
    ],
)
def test_a_server_that_is_not_ready_is_as_good_as_away(error: Exception, code: str) -> None:
    """Wait; it passes."""
    with pytest.raises(BrokerUnavailable, match=code), speaking():
        raise error


def test_a_server_out_of_memory_is_waited_for(client: redis.Redis, intake: Intake) -> None:
    """It refuses to write; a wake-up is let go, the sweep finds the work."""
    client.config_set("maxmemory", 1)
    try:
        with pytest.raises(BrokerUnavailable):
            intake.put(LANE, b"1")
        assert not WakeUps(client, lambda _: None).ring(WakeUp("ingest", "bulk"))
    finally:
        client.config_set("maxmemory", 0)


def test_a_mistake_of_ours_is_not_taken_for_an_outage(client: redis.Redis) -> None:
    """It would be retried for ever."""
    client.set("text", "x")

    with pytest.raises(redis.ResponseError, match="WRONGTYPE"), speaking():
        client.xadd("text", {PAYLOAD: "x"})


@pytest.mark.parametrize("url", ["http://host", "redis://:s3cret@host:port/0", "redis://:s3/cret@host"])
def test_a_url_that_cannot_be_read_is_a_mistake_of_the_settings(url: str) -> None:
    """Told without a piece of the password."""
    with pytest.raises(ConfigError, match="redis_url: cannot be read") as caught:
        connect(url)

    assert "s3" not in str(caught.value)
