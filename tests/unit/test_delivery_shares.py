"""How a chunk is shared out among the flows (O7)."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.delivery.shares import Due, shares, wanted

NAMES = st.sampled_from("abcdef")
DUE = st.lists(
    st.builds(Due, NAMES, NAMES, st.integers(1, 60)), unique_by=lambda one: (one.destination, one.tenant)
)
ALLOWED = st.dictionaries(NAMES, st.integers(0, 30))


@settings(deadline=None)
@given(DUE, st.integers(1, 50), ALLOWED)
def test_no_more_is_taken_than_is_due_fits_or_is_allowed(
    due: list[Due], limit: int, allowed: dict[str, int]
) -> None:
    """And nothing is left that could be taken."""
    taken = shares(due, limit, allowed)

    by_destination: Counter[str] = Counter()
    for (destination, _), count in taken.items():
        by_destination[destination] += count
    assert sum(taken.values()) <= limit
    assert all(0 < taken.get((one.destination, one.tenant), 1) <= one.count for one in due)
    assert all(by_destination[name] <= count for name, count in allowed.items())
    left = [
        one for one in due
        if taken.get((one.destination, one.tenant), 0) < one.count
        and by_destination[one.destination] < allowed.get(one.destination, limit + 1)
    ]  # fmt: skip
    assert not left or sum(taken.values()) == limit


@settings(deadline=None)
@given(DUE, st.integers(1, 50))
def test_tenants_get_the_same_but_for_those_who_need_less(due: list[Due], limit: int) -> None:
    """However many destinations one has."""
    taken = shares(due, limit)

    got: Counter[str] = Counter()
    needs: Counter[str] = Counter()
    for one in due:
        got[one.tenant] += taken.get((one.destination, one.tenant), 0)
        needs[one.tenant] += one.count
    wanting = [got[tenant] for tenant in needs if got[tenant] < needs[tenant]]
    assert not wanting or max(got.values()) <= min(wanting) + 1


@pytest.mark.parametrize(
    ("limit", "expected"), [(40, {"a": 35, "b": 5}), (10, {"a": 5, "b": 5}), (3, {"a": 2, "b": 1})]
)
def test_one_who_has_much_takes_what_the_others_leave(limit: int, expected: dict[str, int]) -> None:
    """A small tenant is served at once, and no place stays empty."""
    due = [Due("gmail", "a", 40), Due("gmail", "b", 5)]

    assert {tenant: count for (_, tenant), count in shares(due, limit).items()} == expected


def test_what_is_wanted_of_a_destination_is_counted_over_all_tenants() -> None:
    """At most a chunk."""
    due = [Due("gmail", "a", 3), Due("gmail", "b", 4), Due("other", "a", 60)]

    assert wanted(due, 40) == {"gmail": 7, "other": 40}
