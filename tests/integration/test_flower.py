"""Flower tells the truth: throughput, failures, and nothing of what found nothing or of whom it concerned."""

import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from celery import Celery

from notifier.client import Client
from notifier.embedded.ports import free_port
from notifier.events import Json
from tests.contracts.smtp_server import Say, SmtpServer
from tests.processes import WORKER, Processes, poll
from tests.services import Flow
from workers.config import QUEUES

pytestmark = pytest.mark.servers

LOGIN = ("operator", "p4ss word:with colon")
GOOD, GONE = "ada.lovelace@example.org", "nobody.here@example.org"


@pytest.fixture
def processes(flow: Flow, server_directory: Path) -> Iterator[Processes]:
    """Celery's processes on the test's servers."""
    with Processes(flow, server_directory, FLOWER_BASIC_AUTH=":".join(LOGIN)) as running:
        yield running


@pytest.fixture
def worker(processes: Processes) -> Processes:
    """One worker for all queues."""
    processes.start("worker", "-n", "all@test", "-Q", ",".join(QUEUES), *WORKER)
    return processes


@pytest.fixture
def flower(worker: Processes) -> Iterator[httpx.Client]:
    """A Flower that sees the worker."""
    port = free_port()
    worker.start("flower", "--conf=config/flowerconfig.py", f"--port={port}")
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", auth=LOGIN, timeout=10) as client:
        poll(lambda: _json(client, "/api/workers?refresh=true").get("all@test"))
        yield client


def tasks(flower: httpx.Client, **query: str) -> list[dict[str, Json]]:
    """Return the tasks Flower knows."""
    return list(_json(flower, "/api/tasks", **query).values())


def _json(client: httpx.Client, path: str, **query: str) -> dict[str, Any]:
    try:
        answer = client.get(path, params=query or None)
    except httpx.TransportError:
        return {}
    return dict(answer.json()) if answer.status_code == 200 else {}


def test_flower_shows_throughput_and_the_failure_and_nobodys_address(
    flower: httpx.Client, flow: Flow, smtp: SmtpServer
) -> None:
    """A chunk with a message that will never arrive ends as FAILURE, `1 of N`, with its id (S5, S6)."""
    smtp.for_recipient(GONE, Say("550 5.1.1 no such user"))
    sample = flow.services.catalog["order.shipped"]
    with Client(flow.services.settings.redis_url.get_secret_value(), source="test") as client:
        for address in (GOOD, GONE):
            buyer = {"name": "Ada Lovelace", "email": address}
            client.enqueue(sample.type, subject=address[:3], data={**sample.sample, "customer": buyer})
        failed = poll(lambda: tasks(flower, state="FAILURE"))
        poll(lambda: [mail for mail in smtp.received if mail.recipient == GOOD])
    done = poll(lambda: [task for task in tasks(flower, state="SUCCESS") if "deliver" in str(task["name"])])
    everything = json.dumps([tasks(flower), _json(flower, "/api/workers", refresh="true")])

    (message,) = flow.query("SELECT id FROM message WHERE status = 'failed'")[0]
    assert failed[0]["name"] == "notifier.deliver.email"
    assert re.fullmatch(rf"DeliveryFailed\(1 of [12]: {message}\)", str(failed[0]["exception"]))
    assert "'sent': 1" in str(done[0]["result"])
    assert float(str(done[0]["runtime"])) > 0
    assert {"notifier.ingest", "notifier.deliver.email"} <= {str(task["name"]) for task in tasks(flower)}
    secret = flow.services.settings.redis_url.get_secret_value().split("@", maxsplit=1)[0].rpartition(":")[2]
    assert not [text for text in (GOOD, GONE, "@example", "Lovelace", secret) if text in everything]


def test_flower_only_shows_and_only_to_who_may_look(flower: httpx.Client) -> None:
    """No shut-down, no task started from a page; no page and no API without the password."""
    shut = flower.post("/api/worker/shutdown/all@test")
    sent = flower.post("/api/task/send-task/notifier.sweep", json={"args": []})
    with httpx.Client(base_url=flower.base_url) as stranger:
        refused = [stranger.get(path).status_code for path in ("/api/tasks", "/api/workers", "/tasks")]

    assert (shut.status_code, sent.status_code) == (403, 403)
    assert refused == [401, 401, 401]


def test_a_task_that_found_nothing_sends_no_event(worker: Processes, flow: Flow) -> None:
    """Neither sweeps nor empty wake-ups; the one that did something sends all of its events, in order."""
    url = flow.services.settings.redis_url.get_secret_value()
    with Celery(broker=url, backend=url, set_as_current=False) as app, events_of(app) as seen:
        poll(lambda: seen)  # the worker's heartbeat: it sends events, and they arrive
        results = [
            app.send_task("notifier.sweep", queue="sweep"),
            app.send_task("notifier.ingest", kwargs={"lane": "bulk"}, queue="ingest.bulk"),
            app.send_task("notifier.deliver.email", kwargs={"lane": "bulk"}, queue="deliver.bulk"),
        ]
        assert [result.get(timeout=30) for result in results[1:]] == [{}, {}]
        flow.ingest(flow.sample("order.shipped"))
        busy = app.send_task("notifier.deliver.email", kwargs={"lane": "normal"}, queue="deliver.normal")
        assert busy.get(timeout=30) == {"sent": 1}
        poll(lambda: [event for event in seen if event["type"] == "task-succeeded"])

    events = [event for event in seen if event["type"].startswith("task-")]
    assert [event["type"] for event in events] == ["task-received", "task-started", "task-succeeded"]
    assert {event["uuid"] for event in events} == {busy.id}
    assert events[0]["name"] == "notifier.deliver.email"
    assert events[0]["timestamp"] == events[1]["timestamp"] <= events[2]["timestamp"]


@contextmanager
def events_of(app: Celery) -> Iterator[list[Mapping[str, Any]]]:
    """Collect the events of all workers, in the order they arrive."""
    seen: list[Mapping[str, Any]] = []
    with app.connection() as connection:
        receiver = app.events.Receiver(connection, handlers={"*": seen.append})
        listener = threading.Thread(target=receiver.capture, kwargs={"limit": None, "wakeup": False})
        listener.start()
        try:
            yield seen
        finally:
            receiver.should_stop = True
            listener.join()


def test_flower_refuses_to_be_open_to_a_network(processes: Processes) -> None:
    """Before it listens, naming the variables."""
    open_to_all = {"FLOWER_ADDRESS": "192.0.2.1", "FLOWER_BASIC_AUTH": ""}

    ended = processes.run("flower", "--conf=config/flowerconfig.py", **open_to_all)

    assert ended.returncode != 0
    assert "set FLOWER_BASIC_AUTH or FLOWER_BASIC_AUTH_FILE" in ended.stderr
