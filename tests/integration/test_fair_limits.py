"""Where only few may go at a time all tenants and destinations have their turn, whoever comes first by name (O7)."""

from collections import Counter
from typing import Any, LiteralString

import pytest

from notifier.broker.buckets import Ask
from notifier.messages import ChannelName
from notifier.pipeline.relays.claiming import Claimer
from notifier.pipeline.relays.turns import Turns
from notifier.store.work import Claim
from tests.services import Flow, MakeFlow

pytestmark = pytest.mark.servers


def wait_for(flow: Flow, tenant: LiteralString, count: int, destination: LiteralString = "other") -> None:
    """Let messages of a tenant wait; ``#`` in its name is each message's number."""
    flow.query(
        f"""INSERT INTO work (message_id, tenant, channel, lane, relay, destination, due_at, expires_at)
            SELECT gen_random_uuid(), replace('{tenant}', '#', lpad(n::text, 3, '0')), 'email', 'bulk', 'default',
                   '{destination}', now() - interval '1 hour', now() + interval '1 day'
            FROM generate_series(1, %s) n RETURNING 1""",
        count,
    )


def limited(make_flow: MakeFlow, **limits: Any) -> Flow:
    """Make a notifier whose relay has limits."""
    relay = make_flow().services.settings.relays["default"].model_dump()
    return make_flow(relays={"default": relay | {"limits": limits}})


def taken(flow: Flow, turns: Turns, rounds: int, *full: Ask) -> list[Claim]:
    """Claim as one wake-up after the other does, with so many tokens there each time, as if no time went by."""
    claims: list[Claim] = []
    for _ in range(rounds):
        for ask in full:
            flow.services.redis.hset(ask.key, mapping={"level": ask.count, "at": 4e9})
        claimer = Claimer(
            "default", flow.services.throttling, turns, flow.services.settings.tuning.claim_lease, None
        )
        with flow.services.database.connection() as connection:
            claims += claimer.claim(connection, ChannelName.EMAIL, "bulk", 40)
    return claims


def owners(flow: Flow, claims: list[Claim]) -> Counter[str]:
    """Count claims by tenant."""
    rows = flow.query(
        "SELECT tenant FROM work WHERE message_id = ANY (%s)", [one.message_id for one in claims]
    )
    return Counter(row[0] for row in rows)


def bucket(destination: str, level: int) -> Ask:
    """Return a bucket and what is in it."""
    return Ask(relay="default", destination=destination, rate=1, count=level)


SLOW: dict[str, Any] = {"rate": "1/d", "per_destination": {"gmail": "1/d"}}


@pytest.mark.parametrize(("tokens", "rounds"), [(1, 12), (2, 6), (5, 3)])
@pytest.mark.parametrize("name", ["gmail", "*"])
def test_tenants_share_the_few_tokens_there_are(
    make_flow: MakeFlow, name: str, tokens: int, rounds: int
) -> None:
    """Of one destination, or of the whole relay: a flood that is first by name leaves the others theirs."""
    limits = {"per_destination": {"gmail": "5/s"}} if name == "gmail" else {"rate": "5/s"}
    flow = limited(make_flow, **limits)
    for tenant, count in (("a-flood", 1000), ("b", 50), ("c", 50)):
        wait_for(flow, tenant, count, "gmail")

    got = owners(flow, taken(flow, Turns(), rounds, bucket(name, tokens)))

    assert got.total() == tokens * rounds
    assert max(got.values()) - min(got.values()) <= 1
    assert len(got) == 3


@pytest.mark.parametrize("limits", [{"rate": "1/d"}, {"per_destination": {"gmail": "1/d"}}, SLOW])
def test_more_tenants_than_a_chunk_has_places_all_have_their_turn_by_single_tokens(
    make_flow: MakeFlow, limits: dict[str, Any]
) -> None:
    """One each, before anybody has a second."""
    flow = limited(make_flow, **limits)
    wait_for(flow, "tenant-#", 50, "gmail")
    wait_for(flow, "tenant-#", 50, "gmail")

    got = owners(flow, taken(flow, Turns(), 50, bucket("*", 1), bucket("gmail", 1)))

    assert set(got.values()) == {1}
    assert len(got) == 50


def test_a_limited_destination_does_not_take_every_token_of_the_relay(make_flow: MakeFlow) -> None:
    """Nor do one tenant's many destinations, nor its first one."""
    flow = limited(make_flow, **SLOW)
    for destination in ("gmail", "other", "yahoo"):
        wait_for(flow, "a", 50, destination)
    wait_for(flow, "b", 50, "gmail")

    claims = taken(flow, Turns(), 12, bucket("*", 1), bucket("gmail", 1))

    assert owners(flow, claims) == {"a": 6, "b": 6}
    rows = flow.query("SELECT destination FROM work WHERE tenant = 'a' AND state = 1")
    assert Counter(row[0] for row in rows) == {"gmail": 2, "other": 2, "yahoo": 2}
