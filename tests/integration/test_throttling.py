"""A rate limit slows the flow, and costs neither a message's tries nor anybody else's time (O7, law 9)."""

import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from notifier.broker.buckets import Ask, Buckets
from notifier.broker.connection import BrokerUnavailable
from notifier.messages import ChannelName
from notifier.store.lanes import lanes_with_work
from tests.command import command, shipped
from tests.contracts.sms_server import Answer
from tests.contracts.smtp_server import At, Say
from tests.services import Flow, MakeFlow

pytestmark = pytest.mark.servers

TOO_FAST = Say("454 4.7.0 Throttling failure: Maximum sending rate exceeded")


def orders(flow: Flow, *addresses: str, **attributes: Any) -> None:
    """Let orders be shipped to these people."""
    flow.ingest(*({**shipped(flow, f"o-{one}", one), **attributes} for one in addresses))


def send(flow: Flow) -> int:
    """Send normal mail as one wake-up does; return how many the relay took."""
    return flow.services.deliver.run(ChannelName.EMAIL, "normal").counts.get("sent", 0)


def throttles(flow: Flow) -> dict[str, float]:
    """Return the learned rates by destination."""
    return dict(flow.query("SELECT destination, rate FROM throttle"))  # type: ignore[arg-type]


def rested(flow: Flow) -> None:
    """Let every flow have rested."""
    flow.query("UPDATE throttle SET until = now(), refused_at = now() - interval '1 minute' RETURNING 1")


def limited(make_flow: MakeFlow, settings: dict[str, Any] | None = None, /, **limits: Any) -> Flow:
    """Make a notifier whose relay has limits."""
    flow = make_flow()
    relay = flow.services.settings.relays["default"].model_dump() | {"limits": limits}
    return make_flow(relays={"default": relay}, **(settings or {}))


def test_a_refusal_for_the_rate_rests_the_flow_and_spends_nothing(flow: Flow) -> None:
    """The refused one and all behind it for that provider wait, due; others go out at once."""
    flow.smtp.on(At.RCPT, TOO_FAST)
    orders(flow, "a@gmail.com", "b@gmail.com", "c@googlemail.com")

    assert send(flow) == 0
    orders(flow, "d@yahoo.com")
    assert send(flow) == 1

    assert flow.query("SELECT attempt, state, due_at <= now() FROM work") == [(0, 0, True)] * 3
    told = command(flow.services)("show", flow.query("SELECT id FROM message ORDER BY id")[0][0]).stdout
    assert "its flow slows down" in told
    assert flow.query("SELECT count(*) FROM attempt WHERE outcome = 'deferred'") == [(1,)]
    assert list(throttles(flow)) == ["gmail"]
    rested(flow)
    assert send(flow) >= 1


def test_a_refused_message_whose_time_is_over_still_slows_its_flow_down(flow: Flow) -> None:
    """It leaves for its next channel; those behind it need not be refused as well."""
    flow.smtp.always(At.RCPT, Say("550 5.1.1 no such user"))
    flow.ingest(*(flow.sample("returns.approved", subject=f"r-{n}", id=f"r-{n}") for n in range(3)))
    for _ in range(3):  # the first that comes back suppresses the address, and gives the others back
        send(flow)
    flow.query("UPDATE work SET expires_at = now() + interval '1 minute' WHERE channel = 'sms' RETURNING 1")
    too_fast = Answer(429, '{"code": 20429, "status": 429}', {"Retry-After": "3600"})
    flow.sms.on(too_fast, too_fast, too_fast)

    flow.services.deliver.run(ChannelName.SMS, "normal")

    assert flow.sms.requests == 1
    assert flow.query("SELECT destination, until > now() + interval '50 minutes' FROM throttle") == [
        ("*", True)
    ]
    assert Counter(row[0] for row in flow.query("SELECT channel FROM work")) == {"sms": 2, "portal": 1}


def test_a_flow_that_rests_is_not_polled(flow: Flow) -> None:
    """The sweep rings for it when its rest is over, and a worker that runs anyway does not touch its rows."""
    flow.smtp.on(At.RCPT, TOO_FAST)
    orders(flow, "a@gmail.com", "b@gmail.com")
    send(flow)
    rows = flow.query("SELECT ctid::text FROM work ORDER BY 1")

    with flow.services.database.connection() as connection:
        assert lanes_with_work(connection) == []
    send(flow)
    assert flow.query("SELECT ctid::text FROM work ORDER BY 1") == rows

    rested(flow)
    with flow.services.database.connection() as connection:
        assert lanes_with_work(connection) == [("email", "normal")]


def test_a_small_domain_that_limits_us_gets_a_flow_of_its_own(flow: Flow) -> None:
    """Under a keyed hash; other small domains are not slowed down, and new mail for it joins it."""
    for name in "abd":
        flow.smtp.for_recipient(f"{name}@slow.example", TOO_FAST)
    orders(flow, "a@slow.example", "b@slow.example", "c@fast.example")

    send(flow)
    orders(flow, "d@slow.example", "e@fast.example")
    send(flow)

    (own,) = throttles(flow)
    assert own.startswith("d:")
    assert "slow" not in own
    assert Counter(row[0] for row in flow.query("SELECT destination FROM work")) == {own: 3}
    assert {one.recipient.partition("@")[2] for one in flow.smtp.received} == {"fast.example"}


def test_where_every_destination_is_refused_the_relay_itself_is_slowed_down(flow: Flow) -> None:
    """One limit, not one for each mailbox provider."""
    flow.smtp.always(At.RCPT, TOO_FAST)
    orders(flow, "a@gmail.com", "b@yahoo.com", "c@web.de", "d@outlook.com")

    send(flow)

    assert "*" in throttles(flow)
    with flow.services.database.connection() as connection:
        assert lanes_with_work(connection) == []


def test_a_configured_limit_is_kept_over_all_lanes_and_processes(make_flow: MakeFlow) -> None:
    """Ten at once, of two processes; the rest in its time, with no refusal to learn from."""
    one, other = limited(make_flow, rate="9/s"), limited(make_flow, rate="9/s")
    orders(one, *(f"c{n}@example.org" for n in range(50)))

    started = time.monotonic()
    total = send(one) + send(other) + send(one)

    assert 10 <= total <= 10 + 9 * (time.monotonic() - started)

    assert throttles(one) == {}
    assert one.query("SELECT DISTINCT attempt, state FROM work") == [(0, 0)]


def test_a_limit_for_one_provider_leaves_the_others_alone(make_flow: MakeFlow) -> None:
    """Though those that wait are older."""
    flow = limited(make_flow, per_destination={"gmail": "1/m"})
    orders(flow, *(f"g{n}@gmail.com" for n in range(60)))
    orders(flow, *(f"y{n}@yahoo.com" for n in range(50)))

    # A turn ends after half a second, in which a busy machine sends fewer.
    while send(flow):
        pass

    taken = Counter(one.recipient.partition("@")[2] for one in flow.smtp.received)
    assert taken["yahoo.com"] == 50
    assert taken["gmail.com"] <= 3


def test_a_destination_without_tokens_takes_none_from_the_relay(make_flow: MakeFlow) -> None:
    """What the relay's bucket gave for it goes to the others in the same turn."""
    limits = {"rate": "0.1/s", "per_destination": {"gmail": "0.01/s"}}
    # One at a time, so that a turn meets the destination that has none first, and alone.
    flow = limited(make_flow, {"tuning": {"deliver_chunk": 1}}, **limits)
    flow.services.throttling._buckets.take(
        "urgent", [Ask(relay="default", destination="gmail", rate=0.01, count=1)]
    )
    orders(flow, "g@gmail.com", "y@yahoo.com")

    assert send(flow) == 1

    assert [one.recipient for one in flow.smtp.received] == ["y@yahoo.com"]


def test_urgent_mail_has_its_turn_before_bulk_that_uses_a_limit_up(make_flow: MakeFlow) -> None:
    """It finds nothing left once; bulk then leaves it three quarters."""
    flow = limited(make_flow, rate="7/s")
    orders(flow, *(f"b{n}@example.org" for n in range(30)), urgency="bulk")
    flow.services.deliver.run(ChannelName.EMAIL, "bulk")
    orders(flow, *(f"u{n}@example.org" for n in range(6)), urgency="urgent")
    early = flow.services.deliver.run(ChannelName.EMAIL, "urgent").counts.get("sent", 0)
    bucket = Ask(relay="default", destination="*", rate=7.0, count=0).key
    flow.services.redis.hincrbyfloat(bucket, "at", -1.0)

    bulk = flow.services.deliver.run(ChannelName.EMAIL, "bulk").counts["sent"]
    urgent = flow.services.deliver.run(ChannelName.EMAIL, "urgent").counts["sent"]

    assert bulk <= 2
    assert early + urgent == 6


def test_the_pace_grows_while_it_is_used_up(flow: Flow) -> None:
    """And only then; a message that is taken ends the row of refusals."""
    flow.smtp.on(At.RCPT, TOO_FAST)
    orders(flow, *(f"g{n}@gmail.com" for n in range(9)))
    send(flow)
    before = throttles(flow)["gmail"]
    flow.query("UPDATE throttle SET until = now(), changed_at = now() - interval '1 second' RETURNING 1")

    assert 1 <= send(flow) <= 2

    assert throttles(flow)["gmail"] > before
    assert flow.query("SELECT refusals FROM throttle") == [(0,)]


def test_a_learned_pace_does_not_outgrow_a_set_limit(make_flow: MakeFlow) -> None:
    """Else it would take many refusals until one is felt."""
    flow = limited(make_flow, per_destination={"gmail": "2/s"})
    flow.query(
        """INSERT INTO throttle (relay, destination, rate, step, until, refusals, refused_at, changed_at, reason)
           VALUES ('default', 'gmail', 2, 0.5, now(), 0, now(), now() - interval '9 s', 'rate') RETURNING 1"""
    )
    orders(flow, *(f"g{n}@gmail.com" for n in range(9)))

    assert send(flow) >= 3

    assert throttles(flow) == {"gmail": 2.0}


def test_what_was_learned_long_ago_is_forgotten(flow: Flow) -> None:
    """An hour without a refusal: the limit may be gone."""
    flow.query(
        """INSERT INTO throttle (relay, destination, rate, step, until, refused_at, reason) VALUES
           ('default', 'gmail', 1, 0.1, now(), now() - interval '61 minutes', 'rate'),
           ('default', 'yahoo', 1, 0.1, now(), now() - interval '59 minutes', 'rate') RETURNING 1"""
    )

    flow.services.sweep.run()

    assert list(throttles(flow)) == ["yahoo"]


def test_limits_survive_the_loss_of_all_that_redis_knew(make_flow: MakeFlow) -> None:
    """What was learned is in the database; buckets are full again, a second's worth at worst."""
    flow = limited(make_flow, rate="4/s")
    orders(flow, *(f"c{n}@example.org" for n in range(30)))
    send(flow)
    flow.services.redis.flushall()
    started = time.monotonic()

    again = send(flow) + send(flow)

    assert 5 <= again <= 5 + 4 * (time.monotonic() - started)


def test_mail_goes_on_slower_where_nobody_counts_for_all(make_flow: MakeFlow) -> None:
    """Redis away: each process takes a quarter of the rate by itself."""
    flow = limited(make_flow, rate="40/s")
    orders(flow, *(f"c{n}@example.org" for n in range(35)))
    away = redis.Redis(port=1, socket_connect_timeout=0.2, retry=None)
    flow.services.throttling._buckets = Buckets(away)
    with pytest.raises(BrokerUnavailable):
        flow.services.throttling._buckets.take("bulk", [])

    assert 10 <= send(flow) <= 13


@pytest.fixture
def buckets(redis_url: str) -> Iterator[Buckets]:
    """The buckets in a real Valkey."""
    client = redis.Redis.from_url(redis_url)
    yield Buckets(client)
    client.close()


def test_buckets_are_counted_by_the_servers_clock_and_end_by_themselves(
    buckets: Buckets, redis_url: str
) -> None:
    """A thousand a second come back within the second; a bucket nobody asks is gone a minute after it is full."""
    ask = Ask(relay="r", destination="d", rate=1000.0, count=5000)

    first = buckets.take("normal", [ask])[0]
    end = time.monotonic() + 5
    more = 0
    while more < 100 and time.monotonic() < end:
        more += buckets.take("normal", [ask])[0]

    assert first == 1001
    assert more >= 100
    with redis.Redis.from_url(redis_url) as client:
        assert 60_000 < client.pttl(ask.key) <= 62_000


def test_tokens_that_were_not_used_come_back(buckets: Buckets) -> None:
    """Up to what the bucket holds."""
    ask = Ask(relay="r", destination="back", rate=0.1, count=1)
    assert buckets.take("bulk", [ask]) == [1]
    assert buckets.take("bulk", [ask]) == [0]

    buckets.give_back([ask, ask, ask])

    assert buckets.take("bulk", [ask]) == [1]
    assert buckets.take("bulk", [ask]) == [0]


def test_urgent_mail_without_end_leaves_the_others_one_in_four_of_few(
    buckets: Buckets, redis_url: str
) -> None:
    """A second's worth is one: a quarter of it would be nothing, for as long as the urgent ones go on."""
    ask = Ask(relay="r", destination="few", rate=1.0, count=5)
    with redis.Redis.from_url(redis_url) as client:

        def one_token_there(lane: str, seconds: float = 0) -> int:
            """Have so much time pass, and take what a lane gets then."""
            client.hset(ask.key, mapping={"level": 1, "at": 4e9})
            for mark in ("fed1", "fed2"):
                if client.hexists(ask.key, mark):
                    client.hincrbyfloat(ask.key, mark, -seconds)
            return buckets.take(lane, [ask])[0]

        assert buckets.take("urgent", [ask]) == [2]
        assert one_token_there("bulk") == 0
        assert one_token_there("bulk", seconds=2) == 0
        assert one_token_there("bulk", seconds=2) == 1
        assert one_token_there("bulk") == 0
        assert one_token_there("normal") == 0
        assert one_token_there("urgent", seconds=9) == 1
        assert one_token_there("normal") == 1


def test_a_mark_of_the_future_holds_nobody_up(buckets: Buckets, redis_url: str) -> None:
    """Redis moved to a machine whose clock is behind."""
    ask = Ask(relay="r", destination="future", rate=9.0, count=9)
    with redis.Redis.from_url(redis_url) as client:
        client.hset(ask.key, mapping={"level": 9, "at": 4e9, "hungry0": 4e9})

    assert buckets.take("bulk", [ask]) == [9]


def test_a_throttled_flow_costs_the_same_however_much_waits_in_it(make_flow: MakeFlow) -> None:
    """A hundred thousand wait for a limit: a turn reads a chunk of them, touches what it sends, and others go out."""
    flow = limited(make_flow, per_destination={"gmail": "1/s"})
    flow.query(
        """INSERT INTO work (message_id, tenant, channel, lane, relay, destination, due_at, expires_at)
           SELECT gen_random_uuid(), 'flood', 'email', 'normal', 'default', 'gmail', now() - interval '1 hour',
                  now() + interval '1 day' FROM generate_series(1, 100000) RETURNING 1"""
    )
    ask = Ask(relay="default", destination="gmail", rate=1.0, count=9)
    flow.services.throttling._buckets.take("urgent", [ask])
    orders(flow, "a@yahoo.com")
    before = flow.rows_read("work")

    assert send(flow) == 1

    assert flow.rows_read("work") - before < 500
    assert flow.query("SELECT count(*) FROM work WHERE state <> 0 OR token IS NOT NULL") == [(0,)]
