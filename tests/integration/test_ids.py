"""The database makes the same bounds of ids as we do: partitions and pages agree."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from notifier.ids import uuid7_floor

pytestmark = pytest.mark.servers

START = datetime(2026, 1, 1, tzinfo=UTC)


def test_the_floor_of_a_moment_is_the_same_in_sql(database_url: str) -> None:
    """For moments of whole milliseconds, as the bounds of months and days are."""
    moments = [START + timedelta(days=31 * n, milliseconds=7919 * n) for n in range(200)]

    with psycopg.connect(database_url) as connection:
        floors = connection.execute(
            "SELECT notifier_uuid7_floor(moment) FROM unnest(%s::timestamptz[]) WITH ORDINALITY AS m (moment, n)"
            " ORDER BY n",
            [moments],
        ).fetchall()

    assert [row[0] for row in floors] == [uuid7_floor(moment) for moment in moments]
