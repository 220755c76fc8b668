"""A relay that is down is left to others, nothing is lost or sent twice, and it gets its share again (O7)."""

import re
from collections import Counter
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from notifier.messages import ChannelName
from notifier.store.tenants import add_tenant
from tests.command import Run, command, lines
from tests.contracts.smtp_server import At, Close, Say, SmtpServer
from tests.services import Flow, MakeFlow
from tests.two_relays import down, look_again, orders, over, pass_time, recipients, waits_for

pytestmark = pytest.mark.servers

AWAY = Say("421 4.3.2 going down for maintenance")


def test_what_waits_for_a_relay_that_stays_down_goes_over_another_once(
    two: Flow, smtp: SmtpServer, backup: SmtpServer
) -> None:
    """For 30 s it is waited for; then all goes by the other, and nothing is sent twice."""
    smtp.always(At.GREETING, AWAY)
    orders(two, *range(12))
    two.deliver()
    two.services.sweep.run()
    assert waits_for(two) == ["main"] * 12

    pass_time(two, 31)
    two.query("UPDATE relay_pause SET until = now() + interval '9 s' RETURNING 1")
    two.services.sweep.run()
    two.deliver()

    assert smtp.received == []
    assert Counter(recipients(backup)) == Counter(f"c{n}@example.org" for n in range(12))
    assert two.states() == ["sent"] * 12


def test_new_messages_avoid_a_relay_that_is_down(two: Flow) -> None:
    """While it rests, all of them."""
    down(two)

    orders(two, *range(5))

    assert waits_for(two) == ["backup"] * 5


def test_one_message_tries_whether_it_works_again_and_then_all_return(two: Flow, backup: SmtpServer) -> None:
    """Half open: once its rest is over one goes there, the others do not wait for the answer."""
    down(two)
    pass_time(two, 90)
    orders(two, *range(5))
    assert Counter(waits_for(two)) == {"main": 1, "backup": 4}

    two.services.sweep.run()
    two.deliver()
    look_again(two)
    orders(two, *range(5, 10))

    assert two.query("SELECT count(*) FROM relay_pause") == [(0,)]
    assert waits_for(two) == ["main"] * 5
    assert len(backup.received) == 4


def test_the_one_that_tries_in_vain_goes_over_the_other(
    two: Flow, smtp: SmtpServer, backup: SmtpServer
) -> None:
    """It is not lost, and costs no try."""
    smtp.always(At.GREETING, AWAY)
    down(two)
    pass_time(two, 90)
    orders(two, 1)
    assert waits_for(two) == ["main"]

    two.deliver()
    look_again(two)
    assert two.query("SELECT relay, attempt FROM work") == [("main", 0)]
    two.services.sweep.run()
    two.deliver()

    assert recipients(backup) == ["c1@example.org"]


def test_an_urgent_message_is_not_the_one_that_tries(two: Flow) -> None:
    """It has no time for that."""
    down(two)
    pass_time(two, 90)

    orders(two, 1, urgency="urgent")
    orders(two, 2)

    assert waits_for(two) == ["backup", "main"]


def test_what_may_have_arrived_by_a_relay_stays_with_it(two: Flow, smtp: SmtpServer) -> None:
    """Nobody else would know the message again."""
    smtp.on(At.DOT, Close())
    orders(two, 1)
    two.services.deliver.run(ChannelName.EMAIL, "normal")
    two.make_due()
    two.query("DELETE FROM relay_pause RETURNING 1")
    down(two)

    two.services.sweep.run()

    assert waits_for(two) == ["main"]


def test_a_tenants_mail_never_leaks_to_a_relay_of_another(
    make_flow: MakeFlow, smtp: SmtpServer, backup: SmtpServer
) -> None:
    """Its own route names no stand-in: its mail waits, the others' goes."""
    routes = [
        {"channel": "email", "tenants": ["acme"], "use": ["main"]},
        {"channel": "email", "use": {"main": 1}, "failover": ["backup"]},
    ]
    flow = make_flow(**over(smtp, backup, routes))
    with flow.services.database.connection() as connection:
        add_tenant(connection, "acme", "Acme")
    orders(flow, 1, 2, tenant="acme")
    orders(flow, 3, 4)
    down(flow)

    flow.services.sweep.run()
    orders(flow, 5, tenant="acme")
    orders(flow, 6)

    assert sorted(flow.query("SELECT tenant, relay FROM work")) == [
        ("acme", "main"), ("acme", "main"), ("acme", "main"),
        ("default", "backup"), ("default", "backup"), ("default", "backup"),
    ]  # fmt: skip


@pytest.fixture
def run(two: Flow) -> Iterator[Run]:
    """The command, on the services of the test; log lines do not mix with what it prints."""
    with capture_logs():
        yield command(two.services)


def relay_states(run: Run) -> dict[str, tuple[str, int]]:
    """Return state and waiting of the mail relays."""
    found = lines(run("relay", "list", "--json"))
    return {one["relay"]: (one["state"], one["waiting"]) for one in found if one["channel"] == "email"}


def test_an_operator_lets_a_relay_rest_and_wakes_it(two: Flow, run: Run, smtp: SmtpServer) -> None:
    """At once, with all that waits for it; a message that is taken meanwhile does not wake it."""
    orders(two, 1, 2)
    assert relay_states(run) == {"main": ("works", 2), "backup": ("works", 0)}

    rested = run("relay", "rest", "main", "--why", "the contract ends", "--for", "2h")
    look_again(two)
    two.services.sweep.run()
    assert rested.exit_code == 0
    assert relay_states(run) == {"main": ("rests", 0), "backup": ("works", 2)}
    (line,) = (one for one in run("relay", "list").stdout.splitlines() if one.startswith("main"))
    assert re.search(r" \d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", line)
    assert any("the contract ends" in (one["why"] or "") for one in lines(run("relay", "list", "--json")))

    assert run("relay", "wake", "main").exit_code == 0
    look_again(two)
    orders(two, 3)
    assert waits_for(two)[-1] == "main"
    assert run("relay", "wake", "main").exit_code == 1


def test_what_cannot_be_meant_is_said(run: Run) -> None:
    """A name nobody configured, a time that is none."""
    assert "one of main, backup" in run("relay", "rest", "mian").stderr
    assert "--for" in run("relay", "rest", "main", "--for", "soon").stderr
