"""Results and the command: ask for them, wait, give up; the test plays the server."""

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from click.testing import CliRunner

from notifier.client import Client, NotificationResult, Result, wire
from notifier.client.command import enqueue
from notifier.embedded.proxy import Mode, Proxy
from notifier.embedded.valkey import ValkeyServer
from notifier.errors import ResultTimeout
from notifier.events import Event

pytestmark = pytest.mark.servers


@pytest.fixture
def store(redis_url: str) -> Iterator[redis.Redis]:
    """An empty server, seen as the ingest stage sees it; what a test turns is turned back."""
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        before = client.config_get("maxmemory", "appendonly")
        yield client
        for name, value in before.items():
            client.config_set(name, value)


def entries(store: redis.Redis) -> list[Event]:
    """Return the events of the normal lane's stream."""
    found: Any = store.xrange("notifier:intake:normal")
    return [Event.from_json(json.loads(fields["e"])) for _id, fields in found]


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


def answer(url: str, respond: Callable[[wire.Ask], Result | None], count: int = 1) -> threading.Thread:
    """Play the server: pop requests for results and push the answers."""

    def serve() -> None:
        with redis.Redis.from_url(url) as server:
            for _ in range(count):
                popped: Any = server.blpop([wire.ASKED_KEY], timeout=20)
                ask = wire.Ask.loads(popped[1])
                if result := respond(ask):
                    server.rpush(ask.reply, json.dumps(result.to_json()))
                    server.expireat(ask.reply, int(ask.expires_at) + 1)

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


def test_a_result_comes_when_asked_for(client: Client, redis_url: str, store: redis.Redis) -> None:
    """The request names event, stage and end of patience; the answer is read in full."""
    told = NotificationResult(id="n-1", rule="approved", channel="email", status="sent", attempts=2)
    expected = Result(state="settled", verdict="notify", notifications=(told,))
    asked: list[wire.Ask] = []
    receipt = client.enqueue("order.placed", subject="s", data={}, id="e-1", tenant="acme")

    def respond(ask: wire.Ask) -> Result:
        asked.append(ask)
        return expected

    server = answer(redis_url, respond)
    result = receipt.result(10)
    server.join()

    assert result == expected
    assert (asked[0].tenant, asked[0].source, asked[0].id, asked[0].until) == (
        "acme",
        "shop",
        "e-1",
        "settled",
    )
    assert 0 < asked[0].expires_at - time.time() < 10
    assert not store.exists(asked[0].reply)


def test_no_answer_is_a_timeout_and_never_a_failure(client: Client, store: redis.Redis) -> None:
    """The event may still be processed."""
    receipt = client.enqueue("order.placed", subject="s", data={})

    with pytest.raises(ResultTimeout, match=r"not decided within 0\.2 s; the event may still be processed"):
        receipt.result(0.2, until="decided")


def test_a_cut_while_waiting_asks_again(redis_url: str, store: redis.Redis, proxy: Proxy) -> None:
    """Both requests carry the same reply list, so an answer to either arrives."""
    with Client(through(redis_url, proxy), source="shop") as producer:
        receipt = producer.enqueue("order.placed", subject="s", data={})
        asked: list[wire.Ask] = []

        def respond(ask: wire.Ask) -> Result | None:
            asked.append(ask)
            if len(asked) == 1:
                proxy.set_mode(Mode.CUT)
                proxy.set_mode(Mode.PASS)
                return None
            return Result(state="decided")

        server = answer(redis_url, respond, count=2)
        result = receipt.result(15, until="decided")
        server.join()

    assert result.state == "decided"
    assert asked[0].reply == asked[1].reply


def test_the_command_enqueues_and_waits(redis_url: str, store: redis.Redis, tmp_path: Path) -> None:
    """From a file, with an attachment, as JSON; and in words."""
    (tmp_path / "order.json").write_text('{"total": 12.5}')
    (tmp_path / "label.pdf").write_bytes(b"%PDF-1.7")
    told = NotificationResult(
        id="n-1", rule="placed", channel="sms", status="sent", reason="fallback", attempts=4
    )
    server = answer(
        redis_url, lambda _ask: Result(state="settled", verdict="notify", notifications=(told,)), 2
    )
    arguments = [
        "order.placed", "--subject", "O-1", "--data", f"@{tmp_path}/order.json", "--to", "a@b.org",
        "--durable", "--attach", str(tmp_path / "label.pdf"), "--id", "e-1",
        "--wait", "settled", "--url", redis_url,
    ]  # fmt: skip

    words = CliRunner().invoke(enqueue, arguments)
    as_json = CliRunner().invoke(enqueue, [*arguments, "--json"])
    server.join()

    stored = entries(store)[0]
    assert stored.data == {"total": 12.5}
    assert (stored.attachments[0].media_type, stored.attachments[0].content) == (
        "application/pdf",
        b"%PDF-1.7",
    )
    assert words.stdout.splitlines() == [
        "accepted e-1 (normal lane)", "settled notify", "  placed: sms sent, attempts 4: fallback",
    ]  # fmt: skip
    assert json.loads(as_json.stdout)["result"]["notifications"][0]["channel"] == "sms"
    assert (words.exit_code, as_json.exit_code) == (0, 0)


def test_the_commands_exit_code_says_what_to_do(redis_url: str, store: redis.Redis) -> None:
    """3 correct it, 4 try later, 5 look later."""
    event_options = ["order.placed", "--subject", "s", "--data", "{}", "--url", redis_url]

    late = CliRunner().invoke(enqueue, [*event_options, "--wait", "decided", "--timeout", "0.1"])
    server = answer(
        redis_url,
        lambda _ask: Result(state="refused", verdict="refused", reasons=("data.total: is required",)),
        2,
    )
    refused = CliRunner().invoke(enqueue, [*event_options, "--wait", "decided"])
    server.join()
    store.config_set("maxmemory", "1mb")
    full = CliRunner().invoke(enqueue, event_options)

    assert (late.exit_code, refused.exit_code, full.exit_code) == (5, 3, 4)
    assert refused.stdout.splitlines()[1:] == ["refused", "  data.total: is required"]
    assert "event id: " in full.stderr
