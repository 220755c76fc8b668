"""A hot statement names the partition a row is in; whatever the calendar says, it finds the row."""

from datetime import UTC, datetime, timedelta

from notifier.ids import uuid7, uuid7_floor
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
