"""The measurements; each returns plain numbers."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import psycopg
import redis

from notifier import Client
from notifier.catalog import Catalog
from notifier.crypto.dkim_keys import new_key
from notifier.embedded.stack import CELERY, Stack
from notifier.settings import load_settings

ROOT = Path(__file__).parent.parent
_BODY_TYPE = "order.shipped"


@dataclass(slots=True)
class Bench:
    """A running stack and what to send through it."""

    stack: Stack
    redis_url: str
    database_url: str
    run: str

    @property
    def catalog(self) -> Catalog:
        """The shipped event types."""
        return Catalog.load(ROOT / "config" / "events")

    def events(self, count: int, name: str, **attributes: Any) -> Iterator[dict[str, Any]]:
        """Make order mails to many people."""
        sample = dict(self.catalog[_BODY_TYPE].sample)
        for number in range(count):
            customer = {**sample["customer"], "email": f"user{number % 5000}@example.com"}
            yield {
                "type": _BODY_TYPE, "subject": f"{name}-{number}", "data": {**sample, "customer": customer},
                "id": f"{self.run}-{name}-{number}", **attributes,
            }  # fmt: skip

    def client(self) -> Client:
        """Return a producer."""
        return Client(self.redis_url, source="bench")

    def finished(self, name: str) -> tuple[int, datetime | None]:
        """Return how many mails of a series were accepted, and when the last one was."""
        with psycopg.connect(self.database_url) as connection:
            row = connection.execute(
                "SELECT count(*), max(settled_at) FROM message WHERE subject LIKE %s AND status = 'sent'",
                [f"{name}-%"],
            ).fetchone()
        assert row is not None
        return row[0], row[1]

    def wait_for(self, name: str, count: int, timeout: float) -> datetime:
        """Wait until a series is through; return when its last mail was accepted."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            done, last = self.finished(name)
            if done >= count and last is not None:
                return last
            # Counting costs the database too, and what is measured is in the rows: look rarely.
            time.sleep(2)
        raise TimeoutError(f"{name}: {self.finished(name)[0]} of {count} after {timeout} s")


def throughput(bench: Bench, name: str, count: int) -> float:
    """Return mails per second from the first enqueue to the last acceptance."""
    started = datetime.now(UTC)
    with bench.client() as client:
        client.enqueue_many(bench.events(count, name))
    last = bench.wait_for(name, count, timeout=600)
    return count / (last - started).total_seconds()


def enqueue_rates(bench: Bench, one: int, many: int) -> tuple[float, float]:
    """Return events per second one by one, and in bulk, onto streams nobody reads."""
    with bench.client() as client:
        events = list(bench.events(one, "one"))
        started = time.perf_counter()
        for event in events:
            client.enqueue(**_renamed(event))
        one_rate = one / (time.perf_counter() - started)
        events = list(bench.events(many, "many"))
        started = time.perf_counter()
        client.enqueue_many(events)
        return one_rate, many / (time.perf_counter() - started)


def _renamed(event: dict[str, Any]) -> dict[str, Any]:
    return event


def latencies(bench: Bench, name: str, count: int, pause: float, **attributes: Any) -> list[float]:
    """Enqueue one event at a time; return the milliseconds until each was accepted, sorted."""
    sent: dict[str, datetime] = {}
    with bench.client() as client:
        for event in bench.events(count, name, **attributes):
            sent[event["subject"]] = datetime.now(UTC)
            client.enqueue(**event)
            time.sleep(pause)
    bench.wait_for(name, count, timeout=120)
    with psycopg.connect(bench.database_url) as connection:
        rows = connection.execute(
            "SELECT subject, settled_at FROM message WHERE subject LIKE %s", [f"{name}-%"]
        ).fetchall()
    return sorted((accepted - sent[subject]).total_seconds() * 1000 for subject, accepted in rows)


def quantile(values: list[float], part: float) -> float:
    """Return the value below which ``part`` of the sorted values lie."""
    return values[min(len(values) - 1, int(len(values) * part))]


def celery_drain(bench: Bench, fill: Callable[[], int], env: dict[str, str], timeout: float) -> float:
    """Fill a queue, let a stock prefork worker with two processes empty it; return tasks per second."""
    client = redis.Redis.from_url(env["BENCH_REDIS"])
    client.flushdb()
    count = fill()
    bench.stack.run(
        "obvious", (*CELERY[:-1], "benchmarks.obvious", "worker", "-c", "2", "-l", "ERROR"), env=env
    )
    started = None
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        waiting = client.llen("celery")
        if started is None and waiting < count:
            started, count = time.monotonic(), int(waiting)  # type: ignore[arg-type]
        if started is not None and waiting == 0 and client.hlen("unacked") == 0:
            rate = count / (time.monotonic() - started)
            bench.stack.supervisor.stop("obvious")
            return rate
        time.sleep(0.02)
    raise TimeoutError("the stock worker did not finish")


def signing() -> dict[str, str]:
    """Return what has notifier sign each mail with a new RSA-2048 key, and give it a return path of its own."""
    domain = load_settings(ROOT / "config" / "notifier.yaml").mail.sender.rpartition("@")[2]
    keys = {domain: {"selector": "bench", "key": new_key().decode()}}
    return {"NOTIFIER_DKIM": json.dumps(keys), "NOTIFIER_MAIL__ENVELOPE_SENDER": f"bounces@{domain}"}


def peak_memory(stack: Stack, names: list[str]) -> dict[str, float]:
    """Return the peak resident megabytes of our processes."""
    peaks: dict[str, float] = {}
    for name in names:
        pid = stack.supervisor.pid(name)
        if pid is not None and psutil.pid_exists(pid):
            text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8") if sys.platform == "linux" else ""
            line = next((row for row in text.splitlines() if row.startswith("VmHWM")), "VmHWM: 0 kB")
            peaks[name] = round(int(line.split()[1]) / 1024, 1)
    return peaks


def environment(bench: Bench, smtp_port: int) -> dict[str, str]:
    """Return what the obvious stack needs."""
    separate = bench.redis_url.rpartition("/")[0] + "/9"
    return {
        "BENCH_REDIS": separate, "BENCH_SMTP_PORT": str(smtp_port), "BENCH_DATABASE": bench.database_url,
        "BENCH_TEMPLATES": str(ROOT / "templates"), "PYTHONPATH": os.pathsep.join([str(ROOT)]),
    }  # fmt: skip
