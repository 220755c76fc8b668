"""Ids are in the order of time, whatever threads and clocks do."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from uuid import RFC_4122, UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.ids import uuid7, uuid7_floor, uuid7_time

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MOMENTS = st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=2_900_000)).map(
    lambda age: EPOCH + age
)


def test_an_id_is_a_uuid_of_version_seven() -> None:
    """As RFC 9562 §5.7 lays it out."""
    one = uuid7()

    assert one.version == 7
    assert one.variant == RFC_4122


def test_each_id_is_greater_than_the_one_before() -> None:
    """Also within a millisecond."""
    ids = [uuid7() for _ in range(20_000)]

    assert ids == sorted(set(ids))


def test_order_holds_within_and_over_threads() -> None:
    """No id twice, and each thread sees its own rise."""

    def mint(_: int) -> list[UUID]:
        return [uuid7() for _ in range(2_000)]

    with ThreadPoolExecutor(8) as pool:
        minted = list(pool.map(mint, range(8)))

    assert all(ids == sorted(ids) for ids in minted)
    assert len({one for ids in minted for one in ids}) == 16_000


def test_order_holds_when_the_clock_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step of the system's clock must not put a new row before an old one."""
    before = uuid7()
    back = time.time_ns() - 3_600 * 10**9
    monkeypatch.setattr(time, "time_ns", lambda: back)

    ids = [uuid7() for _ in range(5_000)]

    assert [before, *ids] == sorted({before, *ids})


def test_an_id_says_when_it_was_minted() -> None:
    """To the millisecond."""
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    minted = uuid7_time(uuid7())

    # Ids minted faster than their counter runs may be a little ahead.
    assert before <= minted <= datetime.now(UTC) + timedelta(seconds=1)


@given(MOMENTS)
def test_a_floor_tells_its_moment(moment: datetime) -> None:
    """Cut to the millisecond, never rounded up: a floor after its moment would hide rows."""
    found = uuid7_time(uuid7_floor(moment))

    assert timedelta(0) <= moment - found < timedelta(milliseconds=1)


@given(MOMENTS, MOMENTS)
def test_floors_are_in_the_order_of_their_moments(one: datetime, other: datetime) -> None:
    """So a range of time is a range of ids."""
    assert (uuid7_floor(one) <= uuid7_floor(other)) or one > other


def test_a_floor_is_below_every_id_of_its_millisecond() -> None:
    """And above those of the millisecond before."""
    one = uuid7()
    minted = uuid7_time(one)

    assert uuid7_floor(minted) <= one < uuid7_floor(minted + timedelta(milliseconds=1))
    assert uuid7_floor(minted).version == 7


def test_the_zone_of_a_moment_does_not_matter() -> None:
    """Only which moment it is."""
    moment = datetime(2026, 3, 29, 2, 30, 0, 1_000, tzinfo=UTC)

    assert uuid7_floor(moment.astimezone(timezone(timedelta(hours=9)))) == uuid7_floor(moment)
    assert uuid7_floor(EPOCH) == UUID("00000000-0000-7000-8000-000000000000")
