"""Silences mute what they match while they last, and keep their history true."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.rules.alerting.matchers import parse_matchers
from notifier.rules.alerting.silences import (
    UNSET,
    Silence,
    SilenceState,
    expired,
    may_update,
    problems_of,
    silencing,
)

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
MINUTES = st.integers(-10, 10)


def at(minutes: float) -> datetime:
    """So many minutes from now."""
    return NOW + timedelta(minutes=minutes)


def silence(*sets: str, start: float = -5, end: float = 5) -> Silence:
    """A silence on these matchers, one text per set."""
    return Silence(
        id="s1",
        matcher_sets=tuple(map(parse_matchers, sets or ("host=web-1",))),
        starts_at=at(start),
        ends_at=at(end),
        created_by="ann",
        comment="patching",
    )


@pytest.mark.parametrize(
    ("start", "end", "state"),
    [
        (1, 5, SilenceState.PENDING),
        (0, 5, SilenceState.ACTIVE),
        (-5, 1, SilenceState.ACTIVE),
        (-5, 0, SilenceState.EXPIRED),
        (0, 0, SilenceState.EXPIRED),
        (5, -5, SilenceState.EXPIRED),
    ],
)
def test_state_follows_from_the_times(start: float, end: float, state: SilenceState) -> None:
    """The start belongs to it, the end no longer does."""
    assert silence(start=start, end=end).state(NOW) is state


@pytest.mark.parametrize(
    ("sets", "is_match"),
    [
        (("host=web-1",), True),
        (("host=web-2",), False),
        (("host=web-1,site=berlin",), True),
        (("host=web-1,site=paris",), False),
        (("host=web-2", "site=berlin"), True),
        (("host=web-2", "site=paris"), False),
        (("",), False),
    ],
)
def test_one_set_is_enough_and_all_its_matchers_must_hold(sets: tuple[str, ...], *, is_match: bool) -> None:
    """A set without matchers is about nothing, rather than about everything."""
    assert silence(*sets).matches({"host": "web-1", "site": "berlin"}) is is_match


def test_only_what_is_active_and_matches_silences() -> None:
    """Those that are pending, over, or about something else do not count."""
    active = silence()
    others = [silence(start=1), silence(end=0), silence("host=db-1")]

    assert silencing([*others, active], {"host": "web-1"}, NOW) == (active,)


@pytest.mark.parametrize(
    ("old", "new", "is_allowed"),
    [
        (silence(), silence(end=60), True),
        (silence(), silence(end=0), True),
        (silence(), silence(end=-1), False),
        (silence(), silence(start=-4), False),
        (silence(), replace(silence(), starts_at=at(-5) + timedelta(milliseconds=400)), True),
        (silence(start=1), silence(start=2, end=9), True),
        (silence(start=1), silence(start=0), True),
        (silence(start=1), silence(start=-1), False),
        (silence(end=-1), silence(), False),
        (silence(end=-1), silence(start=1), False),
        (silence("a=1,b=2"), silence("b=2,a=1"), True),
        (silence("a=1"), silence("a=1,b=2"), False),
        (silence("a=1"), silence("a=1", "b=2"), False),
        (silence("a=1"), silence("a!=1"), False),
    ],
)
def test_update_keeps_the_history_true(old: Silence, new: Silence, *, is_allowed: bool) -> None:
    """What was muted until now stays as it was: matchers, and a start that has passed."""
    assert may_update(old, new, NOW) is is_allowed


@given(MINUTES, MINUTES, MINUTES, MINUTES, MINUTES)
@settings(deadline=None, max_examples=200)
def test_allowed_update_never_changes_the_past(a: int, b: int, c: int, d: int, before: int) -> None:
    """At any moment before now, an allowed update mutes exactly what the old one did."""
    old, new = silence(start=a, end=b), silence(start=c, end=d)

    if before < 0 and may_update(old, new, NOW):
        was, is_now = old.state(at(before)), new.state(at(before))
        assert (was is SilenceState.ACTIVE) == (is_now is SilenceState.ACTIVE)


@pytest.mark.parametrize(
    ("start", "end", "times"), [(-5, 5, (-5, 0)), (1, 5, (0, 0)), (-5, -1, (-5, -1)), (-5, 0, (-5, 0))]
)
def test_ended_by_hand_is_over_at_once(start: float, end: float, times: tuple[float, float]) -> None:
    """A pending one never begins; one that was over already is left alone."""
    ended = expired(silence(start=start, end=end), NOW)

    assert (ended.starts_at, ended.ends_at) == tuple(map(at, times))
    assert ended.state(NOW) is SilenceState.EXPIRED
    assert ended.updated_at == (None if end <= 0 else NOW)


@pytest.mark.parametrize(
    ("made", "problems"),
    [
        (silence(), []),
        (silence(start=0, end=0), []),
        (silence("a!=1"), []),
        (silence("a=~.+"), []),
        (silence('a="",b=1'), []),
        (replace(silence(), matcher_sets=()), ["matchers: name at least one, such as host=web-1"]),
        (silence(""), ["matchers: name at least one, such as host=web-1"]),
        (silence('a=""'), ["matchers: all of them match the empty text"]),
        (silence("a=~.*,b=~c?"), ["matchers: all of them match the empty text"]),
        (silence("a=1", 'b=""'), ["matchers, set 2: all of them match the empty text"]),
        (silence('""=1'), ["matchers: a label has no name"]),
        (replace(silence(), starts_at=UNSET), ["starts_at: is missing"]),
        (replace(silence(), ends_at=UNSET), ["ends_at: is missing"]),
        (silence(start=5, end=1), ["ends_at: is before starts_at"]),
        (silence(start=-9, end=-1), ["ends_at: has passed already"]),
        (replace(silence(), created_by=" ", comment=""), ["created_by: say who", "comment: say why"]),
    ],
)
def test_new_silence_is_checked(made: Silence, problems: list[str]) -> None:
    """Every problem is told at once, with its field."""
    told = problems_of(made, NOW)

    assert len(told) == len(problems)
    assert all(begin in problem for begin, problem in zip(problems, told, strict=True)), told
