"""How many were seen when, in little room: exact up to a limit, never losing a count beyond it."""

from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.rules.alerting.tallies import BUCKETS, EXACT_INSTANTS, NOTHING, Tally

PAIRS = st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 5)), max_size=60)


def test_an_instant_stands_once() -> None:
    """Two at the same time are one entry of two."""
    assert NOTHING.plus(5, 1).plus(3, 1).plus(5, 1).pairs == ((3, 1), (5, 2))


def test_counting_back_finds_where_enough_are() -> None:
    """The newest three reach back to the entry that holds the third."""
    tally = Tally(((1, 1), (4, 2), (9, 1)))

    assert [tally.reached(wanted) for wanted in (1, 2, 3, 4, 5)] == [9, 4, 4, 1, None]
    assert tally.newest_of(2).pairs == ((4, 2), (9, 1))
    assert tally.newest_of(9) == tally


def test_few_instants_stay_exact() -> None:
    """Nothing is coarsened before the limit."""
    tally = Tally(tuple((at, 1) for at in range(EXACT_INSTANTS)))

    assert tally.bounded(EXACT_INSTANTS) == tally


def test_many_instants_become_buckets_that_lose_nothing() -> None:
    """Beyond the limit the sum stays, and an instant moves by less than a bucket, never back."""
    span = 100_000
    tally = Tally(tuple((at, 1) for at in range(0, span, 10)))

    coarse = tally.bounded(span)

    assert len(coarse.pairs) <= BUCKETS + 1
    assert coarse.total() == tally.total()
    assert coarse.newest == tally.newest
    for edge in range(0, span, 997):
        assert 0 <= coarse.after(edge).total() - tally.after(edge).total() <= span // BUCKETS


@settings(deadline=None, max_examples=50)
@given(PAIRS, st.integers(0, 10_000))
def test_a_tally_splits_at_any_instant(pairs: list[tuple[int, int]], edge: int) -> None:
    """What is not after an instant is until it, and JSON brings all of it back."""
    tally = NOTHING
    for at, count in pairs:
        tally = tally.plus(at, count)

    assert tally.until(edge).pairs + tally.after(edge).pairs == tally.pairs
    assert tally.total() == sum(count for _, count in pairs)
    assert [at for at, _ in tally.pairs] == sorted({at for at, _ in pairs})
    assert Tally.from_json(tally.to_json()) == tally
