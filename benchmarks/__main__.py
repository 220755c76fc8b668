"""``make bench``: run all measurements in one go; the last line is one JSON object."""

import json
import shutil
import tempfile
import time
from pathlib import Path

import click
import psycopg

from benchmarks import measure, obvious
from benchmarks.callbacks import callbacks
from benchmarks.measure import Bench, quantile
from benchmarks.sinks import sink
from benchmarks.storm import storm
from benchmarks.waiting import waiting
from notifier.embedded.stack import Stack

_THREADS = 4
"""Of each sending process: a relay next door needs no more, and more of them get in each other's way."""

OURS = ["core", "urgent", "deliver", "deliver2"]


@click.group(invoke_without_command=True)
@click.option("--mails", default=12_000, show_default=True, help="Mails for our throughput.")
@click.option("--obvious-mails", default=300, show_default=True, help="Mails for the obvious stack.")
@click.option("--bulk", default=20_000, show_default=True, help="Bulk events ahead of the urgent ones.")
@click.option(
    "--dkim/--no-dkim",
    "is_signed",
    default=True,
    show_default=True,
    help="Sign our mails; the obvious stack never does.",
)
@click.option("--only", default="", help="Only measurements whose name holds this text.")
@click.pass_context
def main(
    context: click.Context, mails: int, obvious_mails: int, bulk: int, only: str, *, is_signed: bool
) -> None:
    """Measure notifier beside the obvious stack; or, by a command's name, one thing of its own."""
    if context.invoked_subcommand is not None:
        return
    folder = Path(tempfile.mkdtemp(prefix="notifier-bench-"))
    figures: dict[str, object] = {"dkim": is_signed}
    try:
        with Stack(folder) as stack, sink() as (port, name), sink(latency_ms=50) as (slow_port, _):
            urls = stack.start_servers()
            stack.env |= measure.signing() if is_signed else {}
            bench = Bench(
                stack, urls.redis, urls.admin.rpartition("/")[0] + "/notifier", str(int(time.time()))
            )
            figures["sink"] = name
            for title, step in _steps(
                bench, port=port, slow_port=slow_port, mails=mails, obvious_mails=obvious_mails, bulk=bulk
            ):
                if only in title:
                    click.echo(f"{title} …", nl=False)
                    found = step()
                    figures.update(found)
                    click.echo(
                        "\r" + title + ": " + ", ".join(f"{key} {value}" for key, value in found.items())
                    )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if "notifier_per_s" in figures and "obvious_per_s" in figures:
        figures["ratio"] = round(
            float(str(figures["notifier_per_s"])) / float(str(figures["obvious_per_s"])), 1
        )
    click.echo(json.dumps(figures))


def _steps(  # type: ignore[no-untyped-def]  # noqa: ANN202
    bench: Bench, *, port: int, slow_port: int, mails: int, obvious_mails: int, bulk: int
):
    env = measure.environment(bench, port)
    return [
        ("empty tasks", lambda: _empty(bench, env)),
        ("obvious stack", lambda: _obvious(bench, env, obvious_mails)),
        ("enqueue", lambda: _enqueue(bench, env)),
        ("notifier", lambda: _notifier(bench, port, mails)),
        ("idle latency", lambda: _idle(bench)),
        ("urgent latency", lambda: _urgent(bench, bulk)),
        ("50 ms relay", lambda: _slow(bench, slow_port)),
    ]


def _empty(bench: Bench, env: dict[str, str]) -> dict[str, object]:
    def fill() -> int:
        for _ in range(4000):
            obvious.empty.delay()
        return 4000

    obvious.app.conf.broker_url = env["BENCH_REDIS"]
    return {"empty_tasks_per_s": round(measure.celery_drain(bench, fill, env, 120))}


def _obvious(bench: Bench, env: dict[str, str], count: int) -> dict[str, object]:
    with psycopg.connect(bench.database_url) as connection:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS obvious_log (id bigserial, recipient text, subject text)"
        )

    def fill() -> int:
        for event in bench.events(count, "obvious"):
            context = {
                "event": {"id": "1", "type": event["type"], "subject": event["subject"], "time": "2026-01-01T00:00Z"},
                "data": event["data"], "recipient": {"name": "Ada", "locale": "en", "zone": "UTC"}, "live": {},
                "journey": None, "why": "you ordered from us", "links": {}, "message": {"id": "1", "reason": ""},
                "brand": {
                    "name": "Shop", "color": "#1f4e8c", "url": "https://example.com", "support_email": "a@example.com",
                    "support_phone": "1", "address": "x",
                },
            }  # fmt: skip
            obvious.send.delay(context, event["data"]["customer"]["email"])
        return count

    obvious.app.conf.broker_url = env["BENCH_REDIS"]
    return {"obvious_per_s": round(measure.celery_drain(bench, fill, env, 300), 1)}


def _enqueue(bench: Bench, env: dict[str, str]) -> dict[str, object]:
    obvious.app.conf.broker_url = env["BENCH_REDIS"]
    started = time.perf_counter()
    for _ in range(2000):
        obvious.empty.delay()
    delay = 2000 / (time.perf_counter() - started)
    one, many = measure.enqueue_rates(bench, 5000, 50_000)
    bench.stack.valkey.wipe()
    return {"delay_per_s": round(delay), "enqueue_one_per_s": round(one), "enqueue_many_per_s": round(many)}


def _start(bench: Bench, port: int) -> None:
    stack = bench.stack
    stack.env |= {
        "NOTIFIER_RELAYS__DEFAULT__HOST": "127.0.0.1",
        "NOTIFIER_RELAYS__DEFAULT__PORT": str(port),
        "NOTIFIER_RELAYS__DEFAULT__SECURITY": "none",
        "NOTIFIER_RELAYS__DEFAULT__CONNECTIONS": str(_THREADS),
    }
    stack.core()
    stack.urgent(threads=_THREADS)
    stack.deliver("deliver", threads=_THREADS)
    stack.deliver("deliver2", threads=_THREADS)
    stack.beat()
    measure.throughput(bench, "warm", 200)


def _notifier(bench: Bench, port: int, mails: int) -> dict[str, object]:
    _start(bench, port)
    rate = measure.throughput(bench, "mails", mails)
    peaks = measure.peak_memory(bench.stack, OURS)
    return {"notifier_per_s": round(rate), "peak_rss_mb": max(peaks.values()), "rss_by_process_mb": peaks}


def _idle(bench: Bench) -> dict[str, object]:
    found = measure.latencies(bench, "idle", 200, 0.05)
    return {"idle_p50_ms": round(quantile(found, 0.5), 1), "idle_p99_ms": round(quantile(found, 0.99), 1)}


def _urgent(bench: Bench, bulk: int) -> dict[str, object]:
    with bench.client() as client:
        client.enqueue_many(bench.events(bulk, "bulk", urgency="bulk"))
    found = measure.latencies(bench, "urgent", 200, 0.03, urgency="urgent")
    done = bench.finished("bulk")[0]
    bench.wait_for("bulk", bulk, timeout=600)
    return {
        "urgent_p50_ms": round(quantile(found, 0.5), 1),
        "urgent_p99_ms": round(quantile(found, 0.99), 1),
        "bulk_waiting_meanwhile": bulk - done,
    }


def _slow(bench: Bench, port: int) -> dict[str, object]:
    stack = bench.stack
    for name in ("deliver", "deliver2"):
        stack.supervisor.stop(name)
    far = {"NOTIFIER_RELAYS__DEFAULT__PORT": str(port), "NOTIFIER_RELAYS__DEFAULT__CONNECTIONS": "16"}
    stack.deliver("deliver3", threads=16, env=far)
    time.sleep(5)
    return {"rtt50_16_connections_per_s": round(measure.throughput(bench, "slow", 1500))}


main.add_command(callbacks)
main.add_command(storm)
main.add_command(waiting)


if __name__ == "__main__":
    main()
