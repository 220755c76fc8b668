"""A hot statement names the partition a row is in; whatever the calendar says, it finds the row."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql
from structlog.testing import capture_logs

from notifier.ids import uuid7, uuid7_floor
from notifier.store.heartbeats import make_partitions
from notifier.store.partitions import Partitions
from tests.services import Flow


def test_a_rows_partition_is_known_by_its_id(flow: Flow) -> None:
    """This month has one, a month long gone has none: then the table itself is named."""
    partitions = Partitions(flow.services.database)
    now, long_ago = uuid7(), uuid7_floor(datetime(2020, 2, 1, tzinfo=UTC))

    assert partitions.leaf("message", now) == f"message_{datetime.now(UTC):%Y_%m}"
    assert partitions.leaf("message", long_ago) == "message"


def test_ids_at_both_edges_of_a_month_are_where_the_database_puts_them(flow: Flow) -> None:
    """The first and the last millisecond of a month, by the database's own routing."""
    partitions = Partitions(flow.services.database)
    start = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    following = (start + timedelta(days=32)).replace(day=1)
    for moment in (start, following - timedelta(milliseconds=1), following):
        row = uuid7_floor(moment)
        with flow.services.database.connection() as connection:
            connection.execute(
                "INSERT INTO body (message_id, tenant, sealed) VALUES (%s, 'default', '')", [row]
            )
        (where,) = flow.query("SELECT tableoid::regclass::text FROM body WHERE message_id = %s", row)[0]

        assert where.removeprefix("body") == partitions.leaf("message", row).removeprefix("message")


def test_a_partition_that_is_gone_costs_no_record(flow: Flow) -> None:
    """Retention may drop a month while a worker remembers it: the mail is recorded all the same."""
    flow.ingest(flow.sample("order.shipped"))
    partitions = flow.services.deliver.settler._tools.partitions
    partitions._names, partitions._looked_at = frozenset({"gone"}), float("inf")
    remembered = lambda table, _row: f"{table}_1999_01" if partitions._names else table  # noqa: E731
    partitions.leaf = remembered  # type: ignore[method-assign]

    flow.deliver()

    assert flow.messages() == [("email", "sent", None)]
    assert flow.query("SELECT count(*) FROM attempt") == [(1,)]


LOGS = ("event", "decision", "notification", "message", "body", "attempt", "receipt")


def following_month() -> datetime:
    """Return the beginning of the month after this one."""
    start = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (start + timedelta(days=32)).replace(day=1)


def unmake(database_url: str) -> str:
    """Take back that next month's partitions were made; return how their names end."""
    ending = f"{following_month():%Y_%m}"
    with psycopg.connect(database_url) as admin:
        # A copy of a database is the copier's.
        admin.execute("GRANT CREATE ON SCHEMA public TO notifier_migrator")
        for log in LOGS:
            admin.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(f"{log}_{ending}")))
        admin.execute("DELETE FROM heartbeat")
    return ending


def put_ahead(flow: Flow) -> UUID:
    """Store a row in most of the log's tables, as a worker whose clock is a month ahead; return its id."""
    row = uuid7_floor(following_month() + timedelta(hours=1))
    flow.query("INSERT INTO body VALUES (%s, 'default', 'kept') RETURNING 1", row)
    flow.query("INSERT INTO decision VALUES (%s, 'default', 'hash', 1, 'kept') RETURNING 1", row)
    flow.query("INSERT INTO receipt VALUES (%s, %s, 'default', 'opened', now()) RETURNING 1", row, row)
    return row


def upkeep(flow: Flow) -> list[Any]:
    """Make partitions as the sweep does; return what it complained about."""
    with capture_logs() as logged, flow.services.database.connection() as connection:
        make_partitions(connection)
    return [entry["missing"] for entry in logged if entry["event"] == "sweep.unpartitioned"]


def partitions_of(flow: Flow, ending: str) -> list[str]:
    """Return the tables that have a partition of the month."""
    rows = flow.query("SELECT inhrelid::regclass::text FROM pg_inherits")
    return sorted(log for log in LOGS if (f"{log}_{ending}",) in rows)


def test_rows_of_a_clock_that_was_ahead_move_into_their_month(flow: Flow, database_url: str) -> None:
    """They kept the month's partition from being made, and every other one with it."""
    ending = unmake(database_url)
    row = put_ahead(flow)

    complaints = upkeep(flow)

    assert complaints == []
    assert partitions_of(flow, ending) == sorted(LOGS)
    assert flow.query("SELECT tableoid::regclass::text, sealed FROM body") == [(f"body_{ending}", b"kept")]
    assert flow.query("SELECT tableoid::regclass::text, event_id FROM decision") == [
        (f"decision_{ending}", row)
    ]
    assert flow.query("SELECT tableoid::regclass::text FROM receipt") == [(f"receipt_{ending}",)]
    assert flow.query("SELECT count(*) FROM heartbeat WHERE name = 'upkeep'") == [(1,)]


def test_a_partition_is_as_the_others_are(flow: Flow, database_url: str) -> None:
    """The same indexes, storage and room in each page, whichever migration made it; and the worker may write."""
    this_month, ending = f"{datetime.now(UTC):%Y_%m}", unmake(database_url)
    put_ahead(flow)

    upkeep(flow)

    def shape(month: str) -> list[tuple[Any, ...]]:
        return flow.query(
            """SELECT replace(c.relname, %s, ''), c.reloptions,
                      (SELECT array_agg(replace(pg_get_indexdef(indexrelid), %s, '') ORDER BY 1)
                       FROM pg_index WHERE indrelid = c.oid),
                      (SELECT array_agg(attname || attstorage::text || attnotnull::text ORDER BY attnum)
                       FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0)
               FROM pg_class c WHERE c.relkind = 'r' AND c.relname LIKE '%%' || %s ORDER BY 1""",
            month, month, month,
        )  # fmt: skip

    assert len(shape(ending)) == len(LOGS)
    assert shape(ending) == shape(this_month)
    flow.query(f"UPDATE body_{ending} SET sealed = 'new' RETURNING 1")


def test_one_that_cannot_be_made_keeps_no_other_away_and_is_tried_again_later(
    flow: Flow, database_url: str
) -> None:
    """Somebody holds one of the tables: it is named, and not tried each second."""
    ending = unmake(database_url)
    with psycopg.connect(database_url) as holder:
        holder.execute("SELECT * FROM message_default")

        complaints = upkeep(flow)
        at_once = upkeep(flow)

    assert [len(one) for one in complaints] == [1]
    assert complaints[0][0].startswith(f"message_{ending}: ")
    assert at_once == []
    assert partitions_of(flow, ending) == sorted(set(LOGS) - {"message"})
    assert flow.query("SELECT count(*) FROM heartbeat WHERE name = 'upkeep'") == [(0,)]
    flow.query("UPDATE heartbeat SET at = at - interval '6 minutes' RETURNING 1")
    assert upkeep(flow) == []
    assert partitions_of(flow, ending) == sorted(LOGS)
