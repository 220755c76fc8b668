"""``python -m benchmarks storm``: a burst of alert events, what it leads to, and who has to wait meanwhile.

Real servers and worker processes, for each number of rules anew. The burst comes on the normal lane, then urgent
events of another rule on theirs. Fails where a mail is missing, or one too many.
"""

import json
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, LiteralString

import click
import psycopg
import redis

from benchmarks import measure
from benchmarks.measure import ROOT, Bench, quantile
from benchmarks.sinks import sink
from notifier.client.wire import stream_key
from notifier.embedded.stack import Stack
from notifier.events import Urgency

_TYPE = "server.down"
_URGENT_TYPE = "order.shipped"
"""What :meth:`Bench.events` makes."""
_OWN_RULES = 2
_OPERATORS = ("one", "two")
_PROCESSES = ("core", "urgent", "deliver")
_THREADS = 4
_RULES = f"""rules:
  - alert: storm
    on: {_TYPE}
    labels: {{host: data.host, site: data.location}}
    key: [host]
    severity: critical
    group_by: [site]
    first_after: 10s
    batch_every: 1d
    recipients: [{{list: operators}}]
    channels: [email]
  - notify: urgent
    on: {_URGENT_TYPE}
    recipients: [{{data: customer.email}}]
    channels: [email]
    urgency: urgent
"""
_OTHER = """  - notify: other-{number}
    on: {type}
    when: event.subject == "nobody"
    template: notifier/alerts
    recipients: [{{list: operators}}]
    channels: [email]
"""
_OTHER_ALERT = """  - alert: other-{number}
    on: {type}
    when: event.subject == "nobody"
    template: notifier/alerts
    group_by: [subject]
    recipients: [{{list: operators}}]
    channels: [email]
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Burst:
    """How many events, of how many groups, with how many events for each alert."""

    events: int
    groups: int
    per_alert: int = 5

    @property
    def alerts(self) -> int:
        """How many alerts it makes."""
        return max(self.groups, self.events // self.per_alert)

    def specs(self, bench: Bench) -> Iterator[dict[str, Any]]:
        """Make the events: all alerts once, then all of them again, and so on."""
        sample = dict(bench.catalog[_TYPE].sample)
        for number in range(self.events):
            host = number % self.alerts
            data = {**sample, "host": f"host-{host}", "location": f"site-{host % self.groups}"}
            yield {
                "type": _TYPE, "subject": f"host-{host}", "id": f"storm-{number}", "data": data,
                "urgency": Urgency.NORMAL.value,
            }  # fmt: skip


@dataclass(slots=True)
class _Emptied:
    """Notices, in a thread of its own, when a lane's stream is empty: each entry leaves it after its commit."""

    url: str
    at: datetime | None = None
    _thread: threading.Thread = field(init=False)

    def start(self) -> None:
        """Begin to look."""
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def wait(self, timeout: float) -> datetime:
        """Return when it was empty."""
        self._thread.join(timeout)
        if self.at is None:
            raise TimeoutError(f"the burst is not ingested after {timeout:g} s")
        return self.at

    def _look(self) -> None:
        with redis.Redis.from_url(self.url) as client:
            while client.xlen(stream_key(Urgency.NORMAL)):
                time.sleep(0.01)
        self.at = datetime.now(UTC)


@click.command()
@click.option("--events", default=100_000, show_default=True, help="Alert events of the burst.")
@click.option("--groups", default=200, show_default=True, help="Groups they belong to.")
@click.option("--urgents", default=50, show_default=True, help="Urgent events behind the burst.")
@click.option(
    "--rules", default="10,100,1000", show_default=True, help="How many rules there are, each once."
)
@click.option("--cores", default=1, show_default=True, help="Processes that ingest and sweep.")
def storm(events: int, groups: int, urgents: int, rules: str, cores: int) -> None:
    """Measure a storm of alerts, and how much it grows with rules for other things."""
    figures: dict[str, object] = {}
    rates: list[float] = []
    for count in (int(one) for one in rules.split(",")):
        found = _one(Burst(events=events, groups=groups), count, urgents, cores)
        rates.append(float(str(found["routed_per_s"])))
        click.echo(f"{count} rules: " + ", ".join(f"{key} {value}" for key, value in found.items()))
        figures |= {f"storm_{key}_{count}_rules": value for key, value in found.items()}
    if len(rates) > 1:
        figures["storm_most_rules_cost"] = round(rates[0] / rates[-1], 2)
    click.echo(json.dumps(figures))


def _one(burst: Burst, rules: int, urgents: int, cores: int) -> dict[str, object]:
    folder = Path(tempfile.mkdtemp(prefix="notifier-storm-"))
    try:
        with Stack(folder) as stack, sink() as (port, _):
            urls = stack.start_servers()
            bench = Bench(stack, urls.redis, urls.admin.rpartition("/")[0] + "/notifier", "storm")
            _start(bench, port, _config(folder, bench, rules), cores)
            return _measure(bench, burst, urgents)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _config(folder: Path, bench: Bench, rules: int) -> Path:
    """Write a configuration with so many rules; all but two are for other types."""
    config = folder / "config"
    (config / "rules").mkdir(parents=True)
    (config / "events").symlink_to(ROOT / "config" / "events")
    shutil.copy(ROOT / "config" / "notifier.yaml", config)
    types = sorted(entry.type for entry in bench.catalog if entry.type not in (_TYPE, _URGENT_TYPE))
    others = [
        (_OTHER_ALERT if number % 2 else _OTHER).format(number=number, type=types[number % len(types)])
        for number in range(rules - _OWN_RULES)
    ]
    (config / "rules" / "rules.yaml").write_text(_RULES + "".join(others), encoding="utf-8")
    return config


def _start(bench: Bench, port: int, config: Path, cores: int) -> None:
    stack = bench.stack
    stack.env |= {
        "NOTIFIER_CONFIG_DIR": str(config),
        "NOTIFIER_TEMPLATES_DIR": str(ROOT / "templates"),
        "NOTIFIER_LISTS": json.dumps({"operators": [f"{name}@example.com" for name in _OPERATORS]}),
        "NOTIFIER_LIMITS__INTAKE_ENTRIES": "10000000",
        "NOTIFIER_RELAYS__DEFAULT__HOST": "127.0.0.1",
        "NOTIFIER_RELAYS__DEFAULT__PORT": str(port),
        "NOTIFIER_RELAYS__DEFAULT__SECURITY": "none",
        "NOTIFIER_RELAYS__DEFAULT__CONNECTIONS": str(_THREADS),
        "PYTHONPATH": str(ROOT),
    }
    for number in range(cores):
        stack.core("core" if not number else f"core-{number}")
    stack.urgent(threads=_THREADS)
    stack.deliver(threads=_THREADS)
    stack.beat()
    with bench.client() as client:
        client.enqueue_many(bench.events(20, "warm"))
    bench.wait_for("warm", 20, timeout=90)  # longer than any start: else core.log says what is wrong


def _measure(bench: Bench, burst: Burst, urgents: int) -> dict[str, object]:
    events = list(burst.specs(bench))
    emptied = _Emptied(bench.redis_url)
    started = datetime.now(UTC)
    with bench.client() as client:
        client.enqueue_many(events)
    emptied.start()
    latencies = measure.latencies(bench, "urgent", urgents, 0.1, urgency="urgent")
    seconds = (emptied.wait(600) - started).total_seconds()
    _wait_for_mails(bench, burst)
    peaks = measure.peak_memory(bench.stack, list(_PROCESSES))
    return {
        "routed_per_s": round(burst.events / seconds),
        "urgent_p50_ms": round(quantile(latencies, 0.5)),
        "urgent_p99_ms": round(quantile(latencies, 0.99)),
        "mails": burst.groups * len(_OPERATORS),
        "peak_rss_mb": max(peaks.values()),
    }


def _wait_for_mails(bench: Bench, burst: Burst) -> None:
    """Wait until every group was told, once to each operator, and see that nothing is missing or twice."""
    wanted = burst.groups * len(_OPERATORS)
    with psycopg.connect(bench.database_url, autocommit=True) as connection:
        connection.execute(_VIEW)
        end = time.monotonic() + 120
        while _count(connection, _SENT) < wanted and time.monotonic() < end:
            time.sleep(0.5)
        # Whatever is one too many has a few rounds of the sweep to show itself.
        time.sleep(3)
        found = {name: _count(connection, statement) for name, statement in _BOOKS.items()}
    promised = {
        "events": burst.events, "alerts": burst.alerts, "members": burst.alerts, "groups": burst.groups,
        "groups told once": burst.groups, "messages": wanted, "people of a group": wanted, "tries": wanted,
        "dead letters": 0,
    }  # fmt: skip
    if found != promised:
        raise click.ClickException(f"the books do not agree: found {found}, promised {promised}")


_VIEW = """CREATE TEMPORARY VIEW mail AS SELECT m.id, m.status, n.event_id, n.person_id
           FROM notification n JOIN message m ON m.notification_id = n.id WHERE n.rule = 'storm'"""
_SENT = "SELECT count(*) FROM mail WHERE status = 'sent'"
_BOOKS: dict[str, LiteralString] = {
    "events": "SELECT count(*) FROM event WHERE type = 'server.down' AND source = 'bench'",
    "alerts": "SELECT count(*) FROM alert WHERE status = 'firing'",
    "members": "SELECT count(*) FROM alert_member",
    "groups": "SELECT count(*) FROM alert_group",
    "groups told once": "SELECT count(*) FROM alert_group WHERE number = 1",
    "messages": "SELECT count(*) FROM mail",
    "people of a group": "SELECT count(DISTINCT (event_id, person_id)) FROM mail",
    "tries": "SELECT count(*) FROM attempt JOIN mail ON mail.id = attempt.message_id WHERE outcome = 'sent'",
    "dead letters": "SELECT count(*) FROM dead_letter",
}


def _count(connection: psycopg.Connection[Any], statement: LiteralString) -> int:
    row = connection.execute(statement).fetchone()
    return int(row[0]) if row else 0
