"""What a refusal for the rate is about: which flow, which round, and how long nothing goes (O7, law 9)."""

from datetime import timedelta
from typing import Any, LiteralString

import pytest

from notifier.errors import Fault, Phase, Reply, TemporaryFailure
from notifier.messages import ChannelName
from notifier.pipeline.relays.claiming import Claimer
from notifier.pipeline.relays.turns import Turns
from notifier.store.work import Claim
from tests.command import shipped
from tests.contracts.smtp_server import At, Say
from tests.services import Flow

pytestmark = pytest.mark.servers

TOO_FAST = Say("454 4.7.0 Throttling failure: Maximum sending rate exceeded")
RATES: LiteralString = "SELECT destination, rate, refusals FROM throttle ORDER BY destination"


def orders(flow: Flow, *addresses: str, **attributes: Any) -> None:
    """Let orders be shipped to these people."""
    flow.ingest(*({**shipped(flow, f"o-{one}", one), **attributes} for one in addresses))


def claimed(flow: Flow, limit: int = 1) -> tuple[Claimer, list[Claim]]:
    """Claim as a worker does; return its claimer, too."""
    lease = flow.services.settings.tuning.claim_lease
    claimer = Claimer("default", flow.services.throttling, Turns(), lease, None)
    with flow.services.database.connection() as connection:
        return claimer, claimer.claim(connection, ChannelName.EMAIL, "normal", limit)


def refuse(
    flow: Flow, claimer: Claimer, claim: Claim, wait: int | None = None, reason: str = "rate-limited"
) -> None:
    """Let a message be refused at RCPT, with a wait in seconds the other side asks for."""
    hint = timedelta(seconds=wait) if wait is not None else None
    failure = TemporaryFailure(
        "words", fault=Fault.RATE, reply=Reply(phase=Phase.RCPT, code=451), reason=reason, retry_after=hint
    )
    with flow.services.database.connection() as connection:
        claimer.slow_down(connection, claim, failure)


def rested(flow: Flow) -> None:
    """Let every flow have rested, long ago, and have its tokens again."""
    flow.services.redis.flushall()
    flow.query("UPDATE throttle SET until = now(), refused_at = refused_at - interval '1 minute' RETURNING 1")


def test_what_was_under_way_when_a_flow_was_refused_is_refused_in_the_same_round(flow: Flow) -> None:
    """However slowly the answers come: the pace they judge is the old one."""
    orders(flow, *(f"c{n}@gmail.com" for n in range(3)))
    under_way = [claimed(flow) for _ in range(3)]

    for claimer, (claim,) in under_way:
        refuse(flow, claimer, claim)
        flow.query("UPDATE throttle SET until = now() RETURNING 1")

    assert flow.query(RATES) == [("gmail", pytest.approx(0.7), 1)]


def test_what_was_claimed_after_a_refusal_and_is_refused_begins_a_new_round(flow: Flow) -> None:
    """The pace it judges is the new one."""
    orders(flow, "a@gmail.com", "b@gmail.com")
    claimer, (first,) = claimed(flow)
    refuse(flow, claimer, first)
    rested(flow)

    claimer, (second,) = claimed(flow)
    refuse(flow, claimer, second)

    assert flow.query(RATES) == [("gmail", pytest.approx(0.35), 2)]


def test_of_several_waits_asked_for_at_a_time_the_longest_holds(flow: Flow) -> None:
    """One answer of many must not wake a flow that another asked to rest for an hour."""
    orders(flow, "a@gmail.com", "b@gmail.com")
    under_way = [claimed(flow) for _ in range(2)]

    for (claimer, (claim,)), wait in zip(under_way, (3600, 2), strict=True):
        refuse(flow, claimer, claim, wait)

    assert flow.query("SELECT until > now() + interval '50 minutes' FROM throttle") == [(True,)]


def test_what_is_given_back_keeps_its_place_and_its_age(flow: Flow) -> None:
    """Else a flow that is limited for hours would look as if nothing waited long."""
    flow.smtp.on(At.RCPT, TOO_FAST)
    orders(flow, *(f"c{n}@gmail.com" for n in range(4)))
    flow.query("UPDATE work SET due_at = now() - interval '1 hour' RETURNING 1")

    flow.services.deliver.run(ChannelName.EMAIL, "normal")

    assert flow.query("SELECT count(*) FROM work WHERE due_at < now() - interval '59 minutes'") == [(3,)]


def test_a_quota_that_is_used_up_is_the_whole_relays(flow: Flow) -> None:
    """Whoever the mail was for when it was said."""
    flow.smtp.on(At.DOT, Say("454 4.7.0 Throttling failure: Daily message quota exceeded"))
    orders(flow, "a@gmail.com", "b@yahoo.com", "c@small.example")

    flow.services.deliver.run(ChannelName.EMAIL, "normal")

    assert [row[0] for row in flow.query(RATES)] == ["*"]
    assert flow.query("SELECT DISTINCT attempt, state FROM work") == [(0, 0)]
    assert flow.smtp.received == []


def test_while_a_relay_takes_nothing_every_refusal_is_its_own(flow: Flow) -> None:
    """Else each round would give small domains flows of their own, and search all that waits for theirs."""
    flow.smtp.always(At.RCPT, TOO_FAST)
    flow.query(
        """INSERT INTO throttle (relay, destination, rate, step, until, refusals, refused_at, reason)
           VALUES ('default', '*', 2, 0.1, now(), 3, now() - interval '1 minute', 'rate') RETURNING 1"""
    )
    orders(flow, "a@small.example")

    flow.services.deliver.run(ChannelName.EMAIL, "normal")

    assert flow.query(RATES) == [("*", 1.0, 4)]
    assert flow.query("SELECT destination FROM work") == [("other",)]


def test_a_row_of_refusals_tells_since_when_nothing_is_taken(flow: Flow) -> None:
    """A message that is taken ends it, the next refusal begins a new one."""
    orders(flow, "a@gmail.com", "b@gmail.com", "c@gmail.com")
    for expected in (1, 2):
        claimer, (claim,) = claimed(flow)
        refuse(flow, claimer, claim)
        assert flow.query("SELECT refusals FROM throttle") == [(expected,)]
        flow.query("UPDATE throttle SET since = since - interval '9 minutes' RETURNING 1")
        rested(flow)
    assert flow.query("SELECT since < now() - interval '17 minutes' FROM throttle") == [(True,)]

    flow.query("UPDATE throttle SET refusals = 0 RETURNING 1")
    claimer, (claim,) = claimed(flow)
    refuse(flow, claimer, claim)

    assert flow.query("SELECT since > now() - interval '1 minute' FROM throttle") == [(True,)]


def test_a_message_on_its_last_channel_waits_however_long_the_other_side_asks_for(flow: Flow) -> None:
    """Its flow may be free before, or go by another relay; its deadline ends it in time."""
    flow.smtp.on(At.RCPT, Say("451 4.7.500 server busy, please try again in 6 hours"))
    orders(flow, "a@gmail.com")
    flow.query(
        "UPDATE notification SET plan = jsonb_build_array(plan -> 0), deadline = now() + interval '1 hour' RETURNING 1"
    )

    flow.services.deliver.run(ChannelName.EMAIL, "normal")

    assert flow.query("SELECT channel, attempt, state FROM work") == [("email", 0, 0)]
    assert flow.query("SELECT until > now() + interval '5 hours' FROM throttle") == [(True,)]
