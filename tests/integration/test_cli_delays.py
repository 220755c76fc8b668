"""How long messages take, by type and channel (B3)."""

from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from tests.command import Run, command, lines, shipped
from tests.services import Flow

pytestmark = pytest.mark.servers


@pytest.fixture
def run(flow: Flow) -> Iterator[Run]:
    """The command, on the services of the test; log lines do not mix with what it prints."""
    with capture_logs():
        yield command(flow.services)


def sent(flow: Flow, *seconds: float) -> None:
    """Let shipped orders be sent, each so long after it was made."""
    flow.ingest(*(shipped(flow, f"A-{at}", f"a{at}@example.org") for at in range(len(seconds))))
    flow.deliver()
    for at, one in enumerate(seconds):
        flow.query(
            """UPDATE message SET settled_at = created_at + %s * interval '1 s' WHERE subject = %s
               RETURNING id""",
            one, f"A-{at}",
        )  # fmt: skip


def test_the_time_until_a_relay_has_a_mail_is_told(flow: Flow, run: Run) -> None:
    """Half of them, nearly all, and the worst one; nobody has said that any arrived."""
    sent(flow, *range(1, 21))

    (line,) = lines(run("delays", "--json"))

    assert (line["type"], line["channel"], line["sent"]) == ("order.shipped", "email", 20)
    assert (line["sent_p50"], line["sent_p95"], line["sent_longest"]) == (10.0, 19.0, 20.0)
    assert (line["delivered"], line["delivered_p50"], line["waiting"]) == (0, None, 0)


def test_what_the_other_side_says_of_arrival_counts_by_itself(flow: Flow, run: Run) -> None:
    """A relay had it at once, and the mailbox after an hour and a half."""
    sent(flow, 1)
    flow.query(
        "UPDATE message SET fate = 'delivered', fate_at = created_at + interval '90 minutes' RETURNING id"
    )

    (line,) = lines(run("delays", "--json"))
    table = run("delays", env={"COLUMNS": "160"}).stdout

    assert (line["sent_p50"], line["delivered"], line["delivered_p50"]) == (1.0, 1, 5400.0)
    assert "1.0 s" in table
    assert "1.5 h" in table


def test_the_slowest_type_comes_first(flow: Flow, run: Run) -> None:
    """Whatever its name; what waits still is told by how long it has."""
    sent(flow, 1)
    flow.ingest(flow.sample("returns.approved"))
    flow.deliver()
    flow.query(
        "UPDATE message SET settled_at = created_at + interval '3 minutes' WHERE type = 'returns.approved' RETURNING id"
    )
    flow.ingest(shipped(flow, "B", "b@example.org"))
    flow.query(
        "UPDATE message SET created_at = created_at - interval '10 minutes' WHERE subject = 'B' RETURNING id"
    )

    first, second = lines(run("delays", "--json"))

    assert (first["type"], first["sent_p95"]) == ("returns.approved", 180.0)
    assert (second["type"], second["waiting"]) == ("order.shipped", 1)
    assert 600 <= second["waiting_longest"] < 660
    assert [one["type"] for one in lines(run("delays", "--type", "order.shipped", "--json"))] == [
        "order.shipped"
    ]


def test_nothing_in_the_time_asked_for_is_said(run: Run) -> None:
    """In words for people, as no line for programs."""
    assert run("delays", "--since", "1h").stdout.strip() == "no message was made"
    assert lines(run("delays", "--tenant", "nobody", "--json")) == []
