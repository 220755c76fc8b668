"""The HTTP process: it says how things are, in time, whoever is away."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import httpx
import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from notifier.embedded.ports import free_port
from notifier.embedded.postgres import PostgresServer
from notifier.embedded.proxy import Mode, Proxy
from notifier.embedded.valkey import ValkeyServer
from notifier.settings import Settings
from notifier.store import heartbeats
from notifier.store.database import Database
from notifier.web.headers import HEADERS
from tests.services import Flow, MakeFlow
from tests.web import served

pytestmark = pytest.mark.servers


@pytest.fixture
def web(flow: Flow) -> Iterator[httpx.Client]:
    """The process of a notifier whose sweep ran just now."""
    with flow.services.database.connection() as connection:
        heartbeats.beat(connection, "sweep")
    with served(flow.services.settings) as client:
        yield client


def checks(answer: httpx.Response) -> dict[str, bool]:
    """Return which checks hold."""
    return {name: check["ok"] for name, check in answer.json()["checks"].items()}


def metrics(answer: httpx.Response) -> dict[tuple[str, ...], float]:
    """Return the samples by name and label values, in the order of the labels' names."""
    assert answer.status_code == 200
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_a_healthy_notifier_is_alive_and_ready(web: httpx.Client) -> None:
    """Each check says why."""
    alive, ready = web.get("/livez"), web.get("/readyz")

    assert (alive.status_code, alive.text) == (200, "alive\n")
    assert ready.status_code == 200
    assert ready.json()["ready"] is True
    assert checks(ready) == {"database": True, "schema": True, "redis": True, "sweep": True}
    assert ready.json()["checks"]["schema"]["reason"].startswith("at revision ")


def test_without_redis_it_is_not_ready_and_says_so_in_time(
    web: httpx.Client, valkey_server: ValkeyServer
) -> None:
    """503 in time, the reason without address; still alive; ready again by itself."""
    valkey_server.stop()
    started = time.monotonic()
    answer = web.get("/readyz")
    took = time.monotonic() - started
    alive = web.get("/livez")
    valkey_server.start()
    again = web.get("/readyz")

    assert took < 8
    assert answer.status_code == 503
    assert answer.json()["checks"]["redis"] == {"ok": False, "reason": "cannot be reached"}
    assert checks(answer)["database"]
    assert alive.status_code == 200
    assert again.status_code == 200


def test_without_the_database_it_is_not_ready_and_says_so_in_time(
    web: httpx.Client, postgres_server: PostgresServer
) -> None:
    """What only the database knows is not known, rather than wrong."""
    postgres_server.stop()
    started = time.monotonic()
    answer, page = web.get("/readyz"), web.get("/metrics")
    took = time.monotonic() - started
    postgres_server.start()

    assert took < 8
    assert answer.status_code == 503
    assert checks(answer) == {"database": False, "schema": False, "redis": True, "sweep": False}
    shown = metrics(page)
    assert shown["notifier_up", "database"] == 0
    assert shown["notifier_up", "redis"] == 1
    assert shown["notifier_intake_entries", "urgent"] == 0
    assert not any(name[0] == "notifier_dead_letters" for name in shown)


@pytest.mark.parametrize("part", ["redis", "database"])
def test_a_half_open_network_does_not_hang_it(
    make_flow: MakeFlow, valkey_server: ValkeyServer, postgres_server: PostgresServer, part: str
) -> None:
    """The answer comes in time for each of many callers, without a thread for each; and goes on by itself."""
    settings = make_flow().services.settings
    server = valkey_server if part == "redis" else postgres_server
    name = "redis_url" if part == "redis" else "web_database_url"
    with Proxy(server.port) as network:
        url = getattr(settings, name).get_secret_value().replace(f":{server.port}", f":{network.port}")
        with served(Settings(**settings.model_dump() | {name: url})) as web:
            assert checks(web.get("/readyz"))[part]
            network.set_mode(Mode.HALF_OPEN)
            started, threads = time.monotonic(), threading.active_count()
            answers = [web.get("/readyz", timeout=10), web.get("/metrics", timeout=10)]
            took = time.monotonic() - started
            more = threading.active_count() - threads
            network.set_mode(Mode.CUT)
            network.set_mode(Mode.PASS)
            deadline = time.monotonic() + 10
            while not checks(web.get("/readyz"))[part]:
                assert time.monotonic() < deadline

    assert took < 12
    assert more <= 2
    assert [answer.status_code for answer in answers] == [503, 200]
    assert metrics(answers[1])["notifier_up", part] == 0


@pytest.mark.parametrize(
    ("statement", "failing", "reason"),
    [
        ("DELETE FROM heartbeat", "sweep", "has never run"),
        ("UPDATE heartbeat SET at = now() - interval '1 minute'", "sweep", "last ran 60 s ago"),
        ("UPDATE alembic_version SET version_num = '0000'", "schema", "run `notifier migrate`"),
        ("DROP TABLE alembic_version", "schema", "the database is empty"),
    ],
)  # fmt: skip
def test_each_check_can_fail_alone(
    web: httpx.Client, database_url: str, statement: str, failing: str, reason: str
) -> None:
    """And says what to do."""
    with psycopg.connect(database_url, autocommit=True) as admin:
        admin.execute(statement)

    answer = web.get("/readyz")

    assert answer.status_code == 503
    assert not checks(answer)[failing]
    assert reason in answer.json()["checks"][failing]["reason"]


def test_the_metrics_show_a_delivery(flow: Flow, web: httpx.Client) -> None:
    """Counts by channel, outcome and lane; the latency's histogram; in the format Prometheus reads."""
    flow.ingest(flow.sample("order.shipped"))
    flow.deliver()

    answer = web.get("/metrics")
    shown = metrics(answer)

    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert shown["notifier_messages_total", "email", "normal", "sent"] == 1
    assert shown["notifier_delivery_seconds_count", "email", "normal"] == 1
    assert 0 < shown["notifier_delivery_seconds_sum", "email", "normal"] < 60
    assert shown["notifier_delivery_seconds_bucket", "email", "normal", "+Inf"] == 1
    assert shown["notifier_up", "redis"] == shown["notifier_up", "database"] == 1
    assert 0 <= shown["notifier_sweep_age_seconds",] < 60
    assert [name for name in shown if name[0] == "notifier_build_info"]


def test_the_metrics_show_what_waits_of_all_tenants(flow: Flow, web: httpx.Client) -> None:
    """Backlog, the oldest due one's age, dead letters, the intake; though the role sees no row."""
    flow.ingest(flow.sample("order.shipped"), {"type": "no.such.type", "subject": "s", "data": {}})
    with flow.services.database.connection() as connection:
        connection.execute("UPDATE work SET due_at = now() - interval '90 seconds'")
    flow.services.intake.put(next(iter(flow.services.intake.lengths())), b"{}")

    shown = metrics(web.get("/metrics"))

    assert shown["notifier_backlog_messages", "email", "normal"] == 1
    assert shown["notifier_held_messages", "email", "normal"] == 0
    assert 90 <= shown["notifier_oldest_due_seconds", "email", "normal"] < 120
    assert shown["notifier_dead_letters", "refused"] == 1
    assert shown["notifier_dead_letters", "poison"] == 0
    assert shown["notifier_intake_entries", "urgent"] == 1


def test_the_metrics_show_alerts_and_the_group_that_is_late(flow: Flow, web: httpx.Client) -> None:
    """Open alerts of all tenants; how long the group has waited that should have spoken."""
    flow.ingest(flow.sample("database.failed"))
    with flow.services.database.connection() as connection:
        connection.execute("UPDATE alert_group SET due_at = now() - interval '90 seconds'")

    shown = metrics(web.get("/metrics"))

    assert shown["notifier_alerts", "firing"] == 1
    assert shown["notifier_alerts", "acknowledged"] == 0
    assert 90 <= shown["notifier_alert_groups_late_seconds",] < 120


def test_the_web_role_sees_totals_and_no_row(flow: Flow, web_url: str) -> None:
    """Row-level security stands; the functions give numbers only (S6)."""
    flow.ingest(flow.sample("order.shipped"))
    web = Database(web_url, size=1)

    rows = web.all("SELECT * FROM work")
    totals = web.all("SELECT channel, waiting FROM notifier_backlog()")
    web.dispose()

    assert rows == []
    assert totals == [("email", 1)]


def test_no_metric_names_a_person(flow: Flow, web: httpx.Client) -> None:
    """Nor an id: labels have few values (S6)."""
    flow.ingest(flow.sample("order.shipped"))
    flow.deliver()

    page = web.get("/metrics").text

    assert "@" not in page
    assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}-", page)


def test_every_answer_carries_the_security_headers_and_no_page_is_exposed(web: httpx.Client) -> None:
    """Also the errors; the API's description only where asked for."""
    for path in ("/livez", "/readyz", "/metrics", "/nothing"):
        headers = web.get(path).headers
        assert {name: headers[name] for name in HEADERS} == HEADERS

    assert [web.get(path).status_code for path in ("/docs", "/redoc", "/openapi.json")] == [404] * 3


def test_the_description_is_there_where_asked_for(flow: Flow) -> None:
    """As OpenAPI, for later parts' users."""
    with served(flow.services.settings, openapi=True) as web:
        paths = web.get("/openapi.json").json()["paths"]

    assert set(paths) == {"/livez", "/readyz", "/metrics"}


def test_the_command_serves_until_told_to_stop(flow: Flow) -> None:
    """As a process, on loopback unless told otherwise; SIGTERM ends it in order."""
    settings, port = flow.services.settings, free_port()
    environment = os.environ | {
        "NOTIFIER_WEB_DATABASE_URL": settings.web_database_url.get_secret_value(),  # type: ignore[union-attr]
        "NOTIFIER_REDIS_URL": settings.redis_url.get_secret_value(),
        "NOTIFIER_WEB_PORT": str(port),
    }
    code = "from notifier.web.command import serve; serve()"
    process = subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stderr=subprocess.PIPE, text=True
    )
    try:
        deadline = time.monotonic() + 30
        while (answer := _get(f"http://127.0.0.1:{port}/metrics")) is None:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=15)
    finally:
        process.kill()
        process.communicate()

    assert 'notifier_up{part="database"} 1.0' in answer.text
    assert "server" not in answer.headers
    assert "web.starting" in log
    assert "Traceback" not in log


def _get(url: str) -> httpx.Response | None:
    try:
        return httpx.get(url, timeout=5)
    except httpx.TransportError:
        return None
