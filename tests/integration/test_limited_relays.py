"""A relay that takes nothing for its limits is left like one that is down, and each gets its own mail again (O7)."""

from collections import Counter

import pytest

from notifier.messages import ChannelName
from notifier.store import relays
from tests.contracts.smtp_server import At, Say, SmtpServer
from tests.services import Flow, MakeFlow
from tests.two_relays import down, look_again, orders, over, recipients, waits_for

pytestmark = pytest.mark.servers

QUOTA = Say("454 4.7.0 Throttling failure: Daily message quota exceeded")
TOO_FAST = Say("421 4.7.28 unusual rate of mail")
LATER = Say("451 4.7.500 server busy, please try again in 2 hours")


def send(flow: Flow) -> int:
    """Send normal mail as one wake-up does; return how many were taken."""
    return flow.services.deliver.run(ChannelName.EMAIL, "normal").counts.get("sent", 0)


def sweep(flow: Flow) -> None:
    """Do what beat rings for each second."""
    look_again(flow)
    flow.services.sweep.run()


def rested(flow: Flow) -> None:
    """Let all flows have rested, and have their tokens again."""
    flow.services.redis.flushall()
    flow.query("UPDATE throttle SET until = now() RETURNING 1")
    look_again(flow)


@pytest.mark.parametrize(("at", "refusal"), [(At.DOT, QUOTA), (At.MAIL, LATER)])
def test_what_waits_for_a_relay_that_takes_nothing_for_hours_goes_another_way(
    two: Flow, smtp: SmtpServer, backup: SmtpServer, at: At, refusal: Say
) -> None:
    """At once, with what comes after it; no try is spent, and nothing is sent twice."""
    smtp.always(at, refusal)
    orders(two, *range(5))

    assert send(two) == 0
    sweep(two)
    orders(two, 5)
    assert two.query("SELECT DISTINCT relay, attempt FROM work") == [("backup", 0)]
    assert send(two) == 6

    assert Counter(recipients(backup)) == Counter(f"c{n}@example.org" for n in range(6))
    assert two.states() == ["sent"] * 6


def test_a_relay_that_limits_us_for_seconds_keeps_its_mail(two: Flow, smtp: SmtpServer) -> None:
    """Its flow slows down; only when nothing was taken for 30 s do others stand in."""
    smtp.always(At.MAIL, TOO_FAST)
    orders(two, *range(3))

    send(two)
    sweep(two)
    assert waits_for(two) == ["main"] * 3

    two.query(
        "UPDATE throttle SET since = since - interval '31 s', until = now() + interval '9 s' RETURNING 1"
    )
    sweep(two)
    assert waits_for(two) == ["backup"] * 3


def test_one_message_finds_out_that_a_quota_is_there_again(two: Flow, smtp: SmtpServer) -> None:
    """When it is taken, the relay has its share again."""
    smtp.always(At.DOT, QUOTA)
    orders(two, 1)
    send(two)
    sweep(two)
    smtp.always(At.DOT, None)
    rested(two)

    orders(two, *range(2, 6))
    assert Counter(waits_for(two)) == {"backup": 4, "main": 1}
    send(two)
    look_again(two)
    orders(two, 6)

    assert waits_for(two) == ["main"]
    assert len(smtp.received) == 1


def test_what_waits_at_a_relay_that_stood_in_goes_back_when_the_first_works_for_a_while(two: Flow) -> None:
    """It may be slow, or limited: nobody waits for it beside one that works. Not at once: that may fail again."""
    down(two)
    orders(two, *range(4))
    sweep(two)
    two.query("UPDATE work SET may_have_arrived = true WHERE message_id = %s RETURNING 1", two.one_id())
    two.query("DELETE FROM relay_pause RETURNING 1")
    sweep(two)
    assert waits_for(two) == ["backup"] * 4

    two.services.sweep._failover._failed_at = {"main": 0.0}
    sweep(two)
    assert waits_for(two) == ["main"] * 3 + ["backup"]

    orders(two, 4)
    sweep(two)
    assert two.services.sweep._failover._failed_at == {}


def test_what_is_a_relays_own_does_not_leave_it_for_one_that_recovered(
    make_flow: MakeFlow, smtp: SmtpServer, backup: SmtpServer
) -> None:
    """It stands in for some, and is the first for others."""
    routes = [
        {"channel": "email", "urgency": ["bulk"], "use": ["backup"]},
        {"channel": "email", "use": ["main"], "failover": ["backup"]},
    ]
    flow = make_flow(**over(smtp, backup, routes=routes))
    down(flow)
    orders(flow, 1, urgency="bulk")
    orders(flow, 2)
    flow.query("DELETE FROM relay_pause RETURNING 1")

    flow.services.sweep._failover._failed_at = {"main": 0.0}
    sweep(flow)

    assert waits_for(flow) == ["backup", "main"]


def test_who_has_more_quota_now_wakes_the_relay(two: Flow, smtp: SmtpServer) -> None:
    """What was learned of its limits is forgotten with its rest."""
    smtp.on(At.MAIL, LATER)
    orders(two, 1)
    send(two)

    with two.services.database.connection() as connection:
        assert relays.states(connection, two.services.settings.failover_after)["main"].is_limited
        assert relays.wake_relay(connection, "main")
        assert relays.states(connection, two.services.settings.failover_after) == {}
        assert not relays.wake_relay(connection, "main")
    assert send(two) == 1


def test_of_two_troubles_of_a_relay_the_worse_is_told(two: Flow) -> None:
    """It limits us, and an operator lets it rest."""
    two.query(
        """INSERT INTO throttle (relay, destination, rate, step, until, refusals, reason)
           VALUES ('main', '*', 2, 0.1, now() + interval '2 s', 1, 'rate-limited') RETURNING 1"""
    )
    after = two.services.settings.failover_after
    with two.services.database.connection() as connection:
        assert not relays.states(connection, after)["main"].is_down
        relays.rest_relay(connection, "main", None, "maintenance")
        assert relays.states(connection, after)["main"].reason == "maintenance"
