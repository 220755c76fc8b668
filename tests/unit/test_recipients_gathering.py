"""One digest says what waited, newest first; what is no longer true is left out, and nothing else."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.recipients.gathering import SHOWN, Entry, Said, digest_data, outdated

START = datetime(2026, 3, 2, 22, 0, tzinfo=UTC)
LATER = "superseded: a later message of the same alerts waited with it"
OVER = "resolved while it waited: nothing of it fires any more"
UNTOLD = "resolved while it waited: nobody was told that it fired"


def entry(minutes: int, title: str = "News", subject: str = "x") -> Entry:
    """Return something that came so many minutes after the start."""
    return Entry(
        at=START + timedelta(minutes=minutes), title=title, subject=subject, headline=f"{title} {minutes}"
    )


def said(name: str, number: int, *, is_firing: bool, group: str = "g") -> Said[str]:
    """Return a message of a group."""
    return Said(id=name, group=group, number=number, is_firing=is_firing)


def test_the_type_with_the_newest_stands_first_and_its_newest_first() -> None:
    """Whatever order they come in."""
    data = digest_data([entry(2), entry(9, "Alarm"), entry(5), entry(1, "Alarm")])

    assert [(one["title"], one["count"]) for one in data["groups"]] == [("Alarm", 2), ("News", 2)]
    assert [one["headline"] for one in data["groups"][0]["entries"]] == ["Alarm 9", "Alarm 1"]
    assert (data["count"], data["more"], data["kinds"]) == (4, 0, 2)
    assert (data["since"], data["until"]) == ("2026-03-02T22:01:00+00:00", "2026-03-02T22:09:00+00:00")


def test_twenty_are_shown_and_the_rest_is_counted() -> None:
    """A type all of whose entries are too old is counted among the kinds, and not shown empty."""
    data = digest_data([entry(0, "Old"), *(entry(minute) for minute in range(1, 30))])

    assert [one["title"] for one in data["groups"]] == ["News"]
    assert (len(data["groups"][0]["entries"]), data["groups"][0]["count"]) == (SHOWN, 29)
    assert (data["count"], data["more"], data["kinds"]) == (30, 10, 2)


def test_a_severity_is_said_where_there_is_one() -> None:
    """An ordinary notification has none."""
    alert = Entry(at=START, title="Server down", subject="web-1", headline="web-1", severity="critical")

    (group,) = digest_data([alert, entry(-5, "Server down")])["groups"]

    assert [one.get("severity") for one in group["entries"]] == ["critical", None]


@pytest.mark.parametrize(
    ("messages", "live", "expected"),
    [
        # Still fires: told.
        ([said("a", 1, is_firing=True)], {"g"}, {}),
        # Fires no more, and its end was not said, or not yet.
        ([said("a", 1, is_firing=True)], set(), {"a": OVER}),
        # Began and ended while it waited: nobody needs to know.
        ([said("a", 1, is_firing=True), said("b", 2, is_firing=False)], set(), {"a": LATER, "b": UNTOLD}),
        # Told before it was held: its end is told.
        ([said("b", 2, is_firing=False)], set(), {}),
        ([said("b", 3, is_firing=True), said("c", 4, is_firing=False)], set(), {"b": LATER}),
        # A reminder of what is over; its end comes by itself.
        ([said("b", 2, is_firing=True)], set(), {"b": OVER}),
        # The newest says it all; in whatever order they come.
        ([said("c", 3, is_firing=True), said("a", 1, is_firing=True)], {"g"}, {"a": LATER}),
        # Other groups are other matters.
        ([said("a", 1, is_firing=True), said("b", 1, is_firing=True, group="h")], {"h"}, {"a": OVER}),
    ],
)
def test_what_is_no_longer_true_is_left_out(
    messages: Sequence[Said[str]], live: set[str], expected: dict[str, str]
) -> None:
    """And the reason says why."""
    assert outdated(messages, live) == expected


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 500), st.sampled_from(["A", "B", "C"]))), st.integers(1, 30))
def test_everything_is_shown_or_counted(items: list[tuple[int, str]], shown: int) -> None:
    """Nothing twice, nothing lost."""
    if not items:
        return

    data = digest_data([entry(at, title) for at, title in items], shown=shown)

    visible = sum(len(group["entries"]) for group in data["groups"])
    assert visible + data["more"] == data["count"] == len(items)
    assert visible == min(shown, len(items))
    assert data["kinds"] == len({title for _, title in items})
