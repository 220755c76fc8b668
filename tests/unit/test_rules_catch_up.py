"""What was missed while nothing ran is made up for as its rule says."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.rules.catch_up import GRACE, CatchUp, catch_up

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Digest:
    """Something that was due so many minutes ago."""

    minutes: int

    @property
    def at(self) -> datetime:
        """When that was."""
        return NOW - timedelta(minutes=self.minutes)


def digests(*minutes: int) -> tuple[Digest, ...]:
    """Return several."""
    return tuple(Digest(one) for one in minutes)


@pytest.mark.parametrize(
    ("policy", "due", "send", "mentioned", "left_out"),
    [
        (CatchUp.NEWEST, (4000, 2000, 60), (60,), (), (4000, 2000)),
        (CatchUp.SEND, (4000, 2000, 60), (4000, 2000, 60), (), ()),
        (CatchUp.SKIP, (4000, 2000, 60), (), (), (4000, 2000, 60)),
        (CatchUp.SUMMARY, (4000, 2000, 60), (60,), (4000, 2000), ()),
        # One that is just due stands at the end of those that were missed.
        (CatchUp.NEWEST, (2000, 0), (0,), (), (2000,)),
        (CatchUp.SEND, (2000, 0), (2000, 0), (), ()),
        (CatchUp.SKIP, (2000, 0), (0,), (), (2000,)),
        (CatchUp.SUMMARY, (2000, 0), (0,), (2000,), ()),
        # Only one was missed.
        (CatchUp.NEWEST, (60,), (60,), (), ()),
        (CatchUp.SKIP, (60,), (), (), (60,)),
        (CatchUp.SUMMARY, (60,), (60,), (), ()),
        # Nothing was missed: ten minutes are no downtime.
        (CatchUp.NEWEST, (10, 5, 0), (10, 5, 0), (), ()),
        (CatchUp.SKIP, (10, 5, 0), (10, 5, 0), (), ()),
        (CatchUp.SUMMARY, (10, 5, 0), (10, 5, 0), (), ()),
        (CatchUp.SKIP, (11,), (), (), (11,)),
        (CatchUp.SUMMARY, (), (), (), ()),
    ],
)
def test_the_policy_says_what_becomes_of_the_missed(
    policy: CatchUp,
    due: tuple[int, ...],
    send: tuple[int, ...],
    mentioned: tuple[int, ...],
    left_out: tuple[int, ...],
) -> None:
    """Oldest first, in whatever order they are found."""
    for order in permutations(digests(*due)):
        found = catch_up(policy, order, NOW)

        assert found.send == digests(*send)
        assert found.mentioned == digests(*mentioned)
        assert found.left_out == digests(*left_out)


@given(policy=st.sampled_from(list(CatchUp)), due=st.sets(st.integers(0, 10_000), max_size=8))
def test_everything_due_comes_to_one_end(policy: CatchUp, due: set[int]) -> None:
    """Sent, mentioned, or left out: nothing is lost on the way, nothing doubled."""
    found = catch_up(policy, digests(*due), NOW)

    parts = (*found.send, *found.mentioned, *found.left_out)
    assert sorted(one.minutes for one in parts) == sorted(due)
    assert bool(found.send) or policy is CatchUp.SKIP or not due


def test_the_reason_says_how_many_were_missed() -> None:
    """For the log, and for whoever asks."""
    assert catch_up(CatchUp.SUMMARY, digests(4000, 0), NOW).reason == "1 missed: one summary is sent"
    assert catch_up(CatchUp.SUMMARY, digests(1, 0), NOW).reason == "on time"


def test_patience_is_the_callers() -> None:
    """A minute may be late enough."""
    found = catch_up(CatchUp.SKIP, digests(2), NOW, grace=timedelta(minutes=1))

    assert found.left_out == digests(2)
    assert timedelta(minutes=1) < GRACE
