"""A paused tenant's messages wait, and stand in nobody's way."""

from collections.abc import Iterator
from datetime import timedelta
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from notifier.pipeline.checks.servers import check_queue
from notifier.pipeline.checks.verdict import State
from notifier.store import backlogs, work
from notifier.store.lanes import lanes_with_work
from notifier.store.tenants import add_tenant, set_paused
from notifier.store.work import Claim
from tests.command import Run, command, document
from tests.services import Flow

pytestmark = pytest.mark.servers

AHEAD = 50_000


@pytest.fixture(autouse=True)
def acme(flow: Flow) -> None:
    """A tenant beside the default one."""
    with flow.services.database.connection() as connection:
        add_tenant(connection, "acme", "Acme")


@pytest.fixture
def run(flow: Flow) -> Iterator[Run]:
    """The command, on the services of the test; log lines do not mix with what it prints."""
    with capture_logs():
        yield command(flow.services)


def pause(flow: Flow, *, paused: bool = True) -> int | None:
    """Pause the tenant, or resume it."""
    with flow.services.database.connection() as connection:
        return set_paused(connection, "acme", paused=paused)


def crowd(flow: Flow) -> None:
    """Give the tenant very many messages, due for an hour."""
    flow.query(
        """INSERT INTO work (message_id, tenant, channel, lane, relay, due_at, expires_at)
           SELECT gen_random_uuid(), 'acme', 'email', 'normal', 'default', now() - interval '1 hour',
                  now() + interval '1 day' FROM generate_series(1, %s) RETURNING 1""",
        AHEAD,
    )


def claim(flow: Flow) -> list[Claim]:
    """Claim one message and give it back."""
    with flow.services.database.connection() as connection:
        claims = work.claim(
            connection, relay="default", channel="email", lane="normal", limit=1, token=uuid4(),
            lease=timedelta(minutes=1),
        )  # fmt: skip
        work.release(connection, claims)
    return claims


def acmes(flow: Flow) -> list[tuple[int, int]]:
    """Return (state, count) of the tenant's messages that wait."""
    found = flow.query("SELECT state, count(*) FROM work WHERE tenant = 'acme' GROUP BY state ORDER BY state")
    return [(row[0], row[1]) for row in found]


def lanes(flow: Flow) -> list[tuple[str, str]]:
    """Return what the sweep would ring for."""
    with flow.services.database.connection() as connection:
        return lanes_with_work(connection)


def test_another_tenants_message_is_claimed_as_if_they_were_not_there(flow: Flow) -> None:
    """Fifty thousand that are older are not read by whoever claims, and ring no wake-up."""
    crowd(flow)

    rested = pause(flow)
    quiet = lanes(flow)
    flow.ingest(flow.sample("order.shipped"))
    before = flow.rows_read("work")
    claims = [one for _ in range(5) for one in claim(flow)]
    read = flow.rows_read("work") - before

    assert rested == AHEAD
    assert quiet == []
    assert lanes(flow) == [("email", "normal")]
    mine = flow.query("SELECT message_id FROM work WHERE tenant = 'default'")
    assert [(one.message_id,) for one in claims] == mine * 5
    assert read < 100
    assert pause(flow, paused=False) == AHEAD
    assert acmes(flow) == [(0, AHEAD)]


def test_what_comes_in_meanwhile_waits_too(flow: Flow) -> None:
    """Nobody takes it, and resuming lets it go."""
    pause(flow)
    flow.ingest({**flow.sample("order.shipped"), "tenant": "acme"}, flow.sample("order.shipped"))

    flow.deliver()

    assert acmes(flow) == [(2, 1)]
    assert flow.messages() == [("email", "queued", None), ("email", "sent", None)]
    assert pause(flow, paused=False) == 1
    flow.deliver()
    assert len(flow.smtp.received) == 2


def test_what_was_missed_is_refused_once_and_rests(flow: Flow) -> None:
    """It came in at the moment of the pause: the gate holds it, and it is not taken again."""
    flow.ingest({**flow.sample("order.shipped"), "tenant": "acme"})
    flow.query("UPDATE tenant SET paused_at = now() WHERE id = 'acme' RETURNING 1")

    flow.deliver()

    assert acmes(flow) == [(2, 1)]
    assert "the tenant is paused" in (flow.messages()[0][2] or "")
    flow.make_due()
    assert lanes(flow) == []


def test_what_came_to_rest_while_the_tenant_was_resumed_is_woken(flow: Flow) -> None:
    """The sweep finds it; what rests with a tenant that is paused goes on resting."""
    with flow.services.database.connection() as connection:
        add_tenant(connection, "other", "Other")
        set_paused(connection, "other", paused=True)
    pause(flow)
    for tenant in ("acme", "other"):
        flow.ingest({**flow.sample("order.shipped"), "tenant": tenant})
    flow.query("UPDATE tenant SET paused_at = NULL WHERE id = 'acme' RETURNING 1")

    flow.services.sweep.run()

    assert flow.query("SELECT tenant, state FROM work ORDER BY tenant") == [("acme", 0), ("other", 2)]


def test_a_message_whose_time_runs_out_while_its_tenant_is_paused_ends(flow: Flow) -> None:
    """Not only when the tenant is resumed."""
    pause(flow)
    flow.ingest({**flow.sample("order.shipped"), "tenant": "acme"})
    flow.query("UPDATE notification SET deadline = now() RETURNING 1")
    flow.query("UPDATE work SET expires_at = now() RETURNING 1")

    flow.services.sweep.run()

    assert [status for _, status, _ in flow.messages()] == ["expired"]
    assert acmes(flow) == []


def test_a_channel_whose_time_runs_out_meanwhile_leaves_the_next_one_at_rest(flow: Flow) -> None:
    """The fallback takes place, and waits as the first one did."""
    pause(flow)
    flow.ingest({**flow.sample("returns.approved"), "tenant": "acme"})
    flow.query("UPDATE work SET expires_at = now() RETURNING 1")

    flow.services.sweep.run()
    flow.deliver()

    assert [(channel, status) for channel, status, _ in flow.messages()] == [
        ("email", "expired"), ("sms", "queued"),
    ]  # fmt: skip
    assert acmes(flow) == [(2, 1)]


def test_what_rests_waits_and_is_not_late(flow: Flow) -> None:
    """The doctor, and the metrics, count it and are not alarmed."""
    crowd(flow)
    pause(flow)

    with flow.services.database.connection() as connection:
        (found,), (total,) = backlogs.backlog(connection), backlogs.all_backlogs(connection)
    (check,) = [one for one in check_queue(flow.services.database) if one.name == "due work"]

    assert found == ("email", "normal", AHEAD, 0)
    assert (total.waiting, total.oldest) == (AHEAD, 0)
    assert check.state is State.PASS


def test_pausing_and_resuming_say_what_they_did(flow: Flow, run: Run) -> None:
    """In words and as JSON; again, there is nothing left to do."""
    flow.ingest({**flow.sample("order.shipped"), "tenant": "acme"})

    said = [run("tenant", "pause", "acme").stdout, run("tenant", "resume", "acme").stdout]
    counted = [document(run("tenant", "pause", "acme", "--json")) for _ in range(2)]

    assert said == [
        "tenant acme: paused; 1 waiting message set aside until it is resumed\n",
        "tenant acme: resumed; 1 waiting message no longer set aside\n",
    ]
    assert [one["messages"] for one in counted] == [1, 0]
