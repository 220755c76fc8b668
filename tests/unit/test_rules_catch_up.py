"""What was missed while nothing ran is made up for as its rule says."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import permutations
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.rules.catch_up import GRACE, CatchUp, catch_up
from notifier.rules.reminders import Due, Reminder, name_of, timer_keys, with_missed

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


@pytest.mark.parametrize("subject", ["INV-1", "a:b", "7d", "", "reminder:x"])
def test_the_timers_of_a_subject_are_found_by_their_keys(subject: str) -> None:
    """Together, because only together they can be summed up."""
    reminder = Reminder(
        name="invoice-due",
        patterns=("invoice.issued",),
        settled_by=(),
        date_path="data.due_at",
        offsets=(timedelta(days=-3), timedelta(0)),
        event_type="invoice.due",
        zone=ZoneInfo("UTC"),
    )

    keys = timer_keys(reminder, subject)

    assert keys == {
        f"reminder:invoice-due:{subject}:-3d": timedelta(days=-3),
        f"reminder:invoice-due:{subject}:0d": timedelta(0),
    }
    assert {name_of(key) for key in keys} == {"invoice-due"}


@pytest.mark.parametrize(
    "key", ["schedule:digest:0 8 * * *:UTC", "stuck:returns:R-1", "reminders:x:y:0d", ""]
)
def test_timers_of_other_kinds_are_no_reminders(key: str) -> None:
    """By the first word of the key."""
    assert name_of(key) is None


def test_a_summary_says_what_it_stands_for() -> None:
    """Beside the data it has anyway."""
    others = [Due(offset=timedelta(days=-3), at=NOW), Due(offset=timedelta(hours=-12), at=NOW)]

    assert with_missed({"offset_days": 0}, others) == {
        "offset_days": 0,
        "missed": [
            {"offset_days": -3, "at": "2026-03-02T09:00:00+00:00"},
            {"offset_days": -0.5, "at": "2026-03-02T09:00:00+00:00"},
        ],
    }
