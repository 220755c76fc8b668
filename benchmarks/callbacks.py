"""``python -m benchmarks callbacks``: a burst of callbacks, some twice, in no order, against one web process.

Real servers, a real web process of its own, real signatures. The sender shares the machine with it.
"""

import asyncio
import hashlib
import hmac
import json
import os
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

import click
import psycopg

from benchmarks.measure import quantile
from notifier.bootstrap import Services
from notifier.embedded.stack import Stack
from notifier.settings import load_settings

_KEY = "0123456789abcdef" * 2
_PROVIDERS = {
    "mg": {"kind": "mailgun", "domain": "mg.example.com", "api_key": "k", "webhook_signing_key": _KEY}
}
_STEPS = ("accepted", "delivered", "opened")
"""What becomes of each message, told in any order."""


@click.command()
@click.option("--count", default=50_000, show_default=True, help="Callbacks in the burst.")
@click.option("--twice", default=0.2, show_default=True, help="Which part of them is a repetition.")
@click.option("--connections", default=64, show_default=True, help="Over how many connections they come.")
def callbacks(count: int, twice: float, connections: int) -> None:
    """Measure how fast callbacks are taken, each answered after its commit; fails where one is lost or doubled."""
    folder = Path(tempfile.mkdtemp(prefix="notifier-callbacks-"))
    distinct = count - int(count * twice)
    try:
        with Stack(folder) as stack:
            urls = stack.start_servers()
            port = stack.port("web")
            stack.env |= {
                "NOTIFIER_PROVIDERS": json.dumps(_PROVIDERS),
                "NOTIFIER_RELAY": "mg",
                "NOTIFIER_WEB_PORT": str(port),
            }
            os.environ |= stack.env
            services = Services(load_settings(), process="bench")
            services.keyring  # noqa: B018 - opening it publishes the key reports are sealed to
            services.close()
            stack.run("web", (sys.executable, "-c", "from notifier.cli import main; main()", "serve"))
            figures = asyncio.run(_burst(port, _requests(count, distinct), connections))
            with psycopg.connect(urls.admin.rpartition("/")[0] + "/notifier") as admin:
                row = admin.execute("SELECT count(*) FROM report").fetchone()
            if row is None or row[0] != distinct:
                raise click.ClickException(f"{distinct} different callbacks came, {row} are kept")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    click.echo(json.dumps(figures))


def _requests(count: int, distinct: int) -> list[bytes]:
    """Return the requests, shuffled, the last of them repetitions."""
    made = [_request(number) for number in range(distinct)]
    made += random.Random(1).choices(made, k=count - distinct)
    random.Random(2).shuffle(made)
    return made


def _request(number: int) -> bytes:
    timestamp, token = str(int(time.time())), f"{number:050}"
    signature = hmac.new(_KEY.encode(), f"{timestamp}{token}".encode(), hashlib.sha256).hexdigest()
    event = {
        "event": _STEPS[number % len(_STEPS)],
        "id": f"event-{number}",
        "timestamp": time.time(),
        "recipient": f"person-{number}@example.com",
        "message": {"headers": {"message-id": f"{number // len(_STEPS)}@example.com"}},
    }
    signed = {"timestamp": timestamp, "token": token, "signature": signature}
    body = json.dumps({"signature": signed, "event-data": event}).encode()
    head = f"POST /callbacks/mg HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def _burst(port: int, requests: list[bytes], connections: int) -> dict[str, object]:
    await _ready(port)
    waiting, seconds, codes = iter(requests), list[float](), dict[str, int]()

    async def send() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for request in waiting:
            code = ""
            started = time.perf_counter()
            # A provider tries again what was not taken.
            while code != "200":
                writer.write(request)
                code = await _answer(reader)
                codes[code] = codes.get(code, 0) + 1
            seconds.append(time.perf_counter() - started)
        writer.close()

    started = time.perf_counter()
    await asyncio.gather(*(send() for _ in range(connections)))
    took = time.perf_counter() - started
    seconds.sort()
    return {
        "callbacks_per_s": round(len(requests) / took),
        "callbacks_p50_ms": round(quantile(seconds, 0.5) * 1000, 1),
        "callbacks_p99_ms": round(quantile(seconds, 0.99) * 1000, 1),
        "callbacks_answers": codes,
    }


async def _answer(reader: asyncio.StreamReader) -> str:
    """Return the status of an answer without a body."""
    head = await reader.readuntil(b"\r\n\r\n")
    return head[9:12].decode()


async def _ready(port: int) -> None:
    for _ in range(1200):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.1)
        else:
            writer.close()
            return
    raise click.ClickException("the web process does not listen")
