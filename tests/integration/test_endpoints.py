"""Of several webhook endpoints one that is down stops nobody else's (O7)."""

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from notifier.delivery.endpoints import of_endpoint
from notifier.errors import Fault, OutcomeUnknown, PermanentFailure, Phase, Reply, SendError, TemporaryFailure
from notifier.messages import ChannelName
from tests.contracts import webhook_server
from tests.contracts.http_server import Answer
from tests.contracts.webhook_server import WebhookServer
from tests.services import ROOT, Flow, MakeFlow

pytestmark = pytest.mark.servers

RULE = """
rules:
  - notify: gates
    on: order.shipped
    recipients: [{list: gates}]
    channels: [webhook]
    reason: it is your gate
"""


@pytest.fixture
def crm() -> Iterator[WebhookServer]:
    """An endpoint that works."""
    with WebhookServer() as server:
        yield server


@pytest.fixture
def bad() -> Iterator[WebhookServer]:
    """Another one, of somebody else."""
    with WebhookServer() as server:
        yield server


def notifier(make_flow: MakeFlow, folder: Path, crm: str, **more: str) -> Flow:
    """Return a notifier whose orders are told to all endpoints."""
    shutil.copytree(ROOT / "config", folder, ignore=shutil.ignore_patterns("rules", "tests"))
    (folder / "rules").mkdir()
    (folder / "rules" / "gates.yaml").write_text(RULE, encoding="utf-8")
    endpoints = {
        name: {"url": f"{url}/in", "secret": webhook_server.SECRET}
        for name, url in {**more, "crm": crm}.items()
    }
    people: list[dict[str, Any]] = [{"endpoint": name, "locale": "en"} for name in endpoints]
    return make_flow(
        config_dir=folder,
        lists={"gates": people},
        providers={"hook": {"kind": "webhook", "endpoints": endpoints}},
    )


def send(flow: Flow) -> int:
    """Send as one wake-up does; return how many were taken."""
    return flow.services.deliver.run(ChannelName.WEBHOOK, "normal").counts.get("sent", 0)


def nowhere() -> str:
    """Return a URL at which nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{sock.getsockname()[1]}"


def orders(flow: Flow, count: int) -> None:
    """Let orders be shipped."""
    flow.ingest(
        *({**flow.sample("order.shipped"), "id": f"o-{n}", "subject": f"o-{n}"} for n in range(count))
    )


def test_an_endpoint_that_cannot_be_reached_rests_alone(
    make_flow: MakeFlow, tmp_path: Path, crm: WebhookServer
) -> None:
    """Four of them: the fifth has all it should, and no message of the others loses a try."""
    flow = notifier(make_flow, tmp_path / "config", crm.url, **{name: nowhere() for name in "abcd"})
    orders(flow, 3)

    sent = send(flow) + send(flow)

    assert sent == len(crm.received) == 3
    assert flow.query("SELECT relay FROM relay_pause") == []
    assert flow.query("SELECT count(*), max(attempt), count(DISTINCT destination) FROM work") == [(12, 0, 4)]
    assert flow.query(
        "SELECT count(*) FROM throttle WHERE relay = 'hook' AND starts_with(destination, 'd:')"
    ) == [(4,)]


@pytest.mark.parametrize("answer", [Answer(429, "", {"Retry-After": "3600"}), Answer(401), Answer(503)])
def test_what_an_endpoint_answers_concerns_itself(
    make_flow: MakeFlow, tmp_path: Path, crm: WebhookServer, bad: WebhookServer, answer: Answer
) -> None:
    """Too fast, not let in, out of order."""
    flow = notifier(make_flow, tmp_path / "config", crm.url, bad=bad.url)
    bad.always(answer)
    orders(flow, 3)

    sent = send(flow) + send(flow)

    assert sent == len(crm.received) == 3
    assert flow.query("SELECT relay FROM relay_pause") == []
    assert flow.query("SELECT count(*) FROM throttle WHERE destination = '*'") == [(0,)]
    assert flow.query("SELECT count(*) FROM work WHERE relay = 'hook' AND state = 0") == [(3,)]


def said(kind: type[SendError], fault: Fault, phase: Phase) -> SendError:
    """Return a failure."""
    return kind("words", fault=fault, reply=Reply(phase=phase, code=401), reason="why")


@pytest.mark.parametrize(
    ("failure", "kind", "fault", "phase"),
    [
        (said(TemporaryFailure, Fault.NETWORK, Phase.CONNECT), TemporaryFailure, Fault.RATE, Phase.CONNECT),
        (said(TemporaryFailure, Fault.TLS, Phase.TLS), TemporaryFailure, Fault.RATE, Phase.TLS),
        (
            said(PermanentFailure, Fault.CREDENTIALS, Phase.AUTH),
            TemporaryFailure,
            Fault.PROVIDER,
            Phase.REQUEST,
        ),
        (said(OutcomeUnknown, Fault.NETWORK, Phase.REQUEST), OutcomeUnknown, Fault.PROVIDER, Phase.REQUEST),
        (
            said(PermanentFailure, Fault.RECIPIENT, Phase.REQUEST),
            PermanentFailure,
            Fault.RECIPIENT,
            Phase.REQUEST,
        ),
        (said(PermanentFailure, Fault.TLS, Phase.LOCAL), PermanentFailure, Fault.TLS, Phase.LOCAL),
    ],
)
def test_a_failure_of_an_endpoint_is_none_of_the_relay(
    failure: SendError, kind: type[SendError], fault: Fault, phase: Phase
) -> None:
    """Its reason stays."""
    found = of_endpoint(failure)

    assert (type(found), found.fault, found.reply.phase, found.reason) == (kind, fault, phase, "why")
