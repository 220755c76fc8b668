"""One tenant's flood delays nobody else, thousands of tenants all have their turn, and it costs no more (O7)."""

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, LiteralString
from uuid import uuid4

import pytest

from notifier.delivery.shares import shares
from notifier.pipeline.relays.turns import Turns
from notifier.store import turns, work
from notifier.store.database import Connection
from notifier.store.work import Claim
from tests.services import Flow

pytestmark = pytest.mark.servers

FLOOD = 100_000
LIMIT = 40
WHERE = {"relay": "default", "channel": "email", "lane": "bulk"}


def wait_for(
    flow: Flow, tenant: LiteralString, count: int, *, destination: LiteralString = "other",
    due: LiteralString = "- interval '1 hour'",
) -> None:  # fmt: skip
    """Let messages of a tenant wait; ``%`` in its name is each message's number."""
    flow.query(
        f"""INSERT INTO work (message_id, tenant, channel, lane, relay, destination, due_at, expires_at)
            SELECT gen_random_uuid(), replace('{tenant}', '#', lpad(n::text, 6, '0')), 'email', 'bulk', 'default',
                   '{destination}', now() {due}, now() + interval '1 day'
            FROM generate_series(1, %s) n RETURNING 1""",
        count,
    )


def claim(flow: Flow, turn: Turns, resting: tuple[str, ...] = ()) -> list[Claim]:
    """Claim a chunk as a worker does."""
    with flow.services.database.connection() as connection:
        due = turn.next(connection, **WHERE, limit=LIMIT, resting=resting)
        return work.claim(
            connection,
            **WHERE,
            limit=LIMIT,
            token=uuid4(),
            lease=timedelta(minutes=1),
            shares=shares(due, LIMIT),
        )


def owners(flow: Flow, claims: list[Claim]) -> Counter[str]:
    """Count claims by tenant."""
    rows = flow.query(
        "SELECT tenant FROM work WHERE message_id = ANY (%s)", [one.message_id for one in claims]
    )
    return Counter(row[0] for row in rows)


def test_a_small_tenants_mails_are_in_the_next_chunk_behind_a_flood(flow: Flow) -> None:
    """A hundred thousand that are older stand before ten."""
    wait_for(flow, "flood", FLOOD)
    wait_for(flow, "small", 10, due="")

    assert owners(flow, claim(flow, Turns())) == {"flood": 30, "small": 10}


def test_all_of_thousands_of_tenants_have_their_turn_before_one_has_a_second(flow: Flow) -> None:
    """Each look goes on where the last ended, and begins anew at the end."""
    wait_for(flow, "tenant-#", 1000)
    wait_for(flow, "tenant-#", 1000)
    turn = Turns()

    first = sum((owners(flow, claim(flow, turn)) for _ in range(1000 // LIMIT)), Counter[str]())
    second = sum((owners(flow, claim(flow, turn)) for _ in range(1000 // LIMIT)), Counter[str]())

    assert len(first) == len(second) == 1000
    assert set(first.values()) == set(second.values()) == {1}
    assert claim(flow, turn) == []


def test_one_that_is_due_is_found_among_thousands_that_are_not(flow: Flow) -> None:
    """In one turn, wherever the last one ended."""
    wait_for(flow, "later-#", 1000, due="+ interval '1 hour'")
    turn = Turns()
    assert claim(flow, turn) == []
    wait_for(flow, "later-000500", 1)

    assert owners(flow, claim(flow, turn)) == {"later-000500": 1}


def test_a_destination_that_rests_is_stepped_over_whole(flow: Flow) -> None:
    """With one probe, though thousands of tenants have something waiting for it."""
    wait_for(flow, "tenant-#", 5000, destination="gmail")
    wait_for(flow, "small", 3, destination="yahoo")
    with flow.services.database.connection() as connection:
        found = turns.look(connection, **WHERE, limit=LIMIT, resting=["gmail"])

    assert [(one.destination, one.tenant, one.count) for one in found.due] == [("yahoo", "small", 3)]


def test_two_workers_at_once_take_different_messages(flow: Flow) -> None:
    """Each looked before the other took."""
    wait_for(flow, "flood", 200)
    with flow.services.database.transaction() as one, flow.services.database.connection() as other:
        named = {**WHERE, "limit": LIMIT, "lease": timedelta(minutes=1)}
        first = work.claim(one, **named, token=uuid4())
        second = work.claim(other, **named, token=uuid4())

    assert len(first) == len(second) == LIMIT
    assert not {one.message_id for one in first} & {one.message_id for one in second}


def test_a_claim_finds_its_rows_by_an_index_and_reads_the_same_however_many_wait(flow: Flow) -> None:
    """A look and a claim among 100,000 touch no more rows than among 1,000: those of the chunk."""
    modes: tuple[LiteralString, ...] = ("force_custom_plan", "force_generic_plan")
    wait_for(flow, "later", 1_000, due="+ interval '1 hour'")
    wait_for(flow, "flood", 1_000)
    few = [rows_read(flow, mode) for mode in modes]
    wait_for(flow, "flood", FLOOD)
    many = [rows_read(flow, mode) for mode in modes]

    assert few == many
    for read in many:
        assert read["look"] <= LIMIT + 5
        assert read["claim"] <= 2 * LIMIT


def rows_read(flow: Flow, mode: LiteralString) -> dict[str, int]:
    """Return how many rows a look and a claim read; none of them without an index."""
    named = {
        **WHERE,
        "destination": "",
        "tenant": "",
        "resting": [],
        "probes": 200,
        "flows": LIMIT,
        "limit": LIMIT,
    }
    values = [uuid4(), timedelta(minutes=1), ["other"], ["flood"], [LIMIT], *WHERE.values()]
    with flow.services.database.transaction() as connection:
        connection.execute(f"SET LOCAL plan_cache_mode = {mode}")
        plans = {
            "look": _explain(connection, turns._LOOK, named),
            "claim": _explain(connection, work._DUE, values),
        }
        connection.execute("UPDATE work SET state = 0, token = NULL WHERE state = 1")
    return {name: sum(_scanned(plan)) for name, plan in plans.items()}


def _explain(connection: Connection, statement: LiteralString, values: Any) -> dict[str, Any]:
    row = connection.execute("EXPLAIN (ANALYZE, FORMAT JSON) " + statement, values).fetchone()
    assert row is not None
    plan: dict[str, Any] = row[0][0]["Plan"]
    return plan


def _scanned(plan: dict[str, Any]) -> Iterator[int]:
    if plan.get("Relation Name") == "work" and "Scan" in plan["Node Type"]:
        assert plan["Node Type"] != "Seq Scan", plan
        yield round(plan["Actual Rows"] * plan["Actual Loops"]) + plan.get("Rows Removed by Filter", 0)
    for child in plan.get("Plans", []):
        yield from _scanned(child)
