"""A group speaks when it may, says why, and remembers what it said."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from notifier.rules.alerting.cadence import Cadence, Group, Look, Member, Remind, Told, Why, look, touch

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
CADENCE = Cadence(first_after=timedelta(seconds=30), batch_every=timedelta(minutes=5))
HOURLY = replace(CADENCE, remind=Remind(first=timedelta(hours=1)))
FIRING, OVER = Told(is_firing=True, severity=1), Told(is_firing=False, severity=1)


def at(seconds: float) -> datetime:
    """Return the moment so many seconds after the start."""
    return START + timedelta(seconds=seconds)


def member(name: str, told: Told | None = None, **fields: object) -> Member:
    """Return an alert that fires since the start."""
    known = {"is_firing": True, "severity": 1, "started_at": START, **fields}
    return Member(id=name, told=told, **known)  # type: ignore[arg-type]


def over(name: str, told: Told | None = None, **fields: object) -> Member:
    """Return an alert that is over."""
    return member(name, told, is_firing=False, **fields)


def due(**fields: object) -> Group:
    """Return a group whose tick has come, five minutes after its first one."""
    known = {"opened_at": at(-30), "first_at": START, "tick_at": at(300), "told_at": START, **fields}
    return Group(**known)  # type: ignore[arg-type]


def why(seen: Look) -> Why | None:
    """Return why the group speaks, if it does."""
    return seen.message.why if seen.message is not None else None


@pytest.mark.parametrize(
    ("group", "now", "started", "want"),
    [
        pytest.param(Group(opened_at=START), 0, [], 30, id="the first wait runs from the first alert"),
        pytest.param(Group(opened_at=START), 10, [], 30, id="a second alert does not prolong it"),
        pytest.param(
            Group(opened_at=START), 10, [-30], 10, id="an alert that waited elsewhere does not wait"
        ),
        pytest.param(Group(opened_at=START), 10, [-19], 30, id="one that has not waited long enough does"),
        pytest.param(Group(opened_at=START), 90, [], 30, id="what is overdue is due"),
        pytest.param(Group(opened_at=START, first_at=at(30)), 31, [], 330, id="then the grid holds"),
        pytest.param(Group(opened_at=START, first_at=at(30)), 330, [], 330, id="on the tick is in time"),
        pytest.param(
            Group(opened_at=START, first_at=at(30)), 330.5, [], 630, id="after the tick is the next"
        ),
        pytest.param(
            Group(opened_at=START, first_at=at(30), told_at=at(330)),
            330,
            [],
            630,
            id="a tick has one message",
        ),
        pytest.param(
            Group(opened_at=START, first_at=at(30), told_at=at(500)),
            510,
            [],
            630,
            id="a reminder moves no grid",
        ),
        pytest.param(
            Group(opened_at=START, first_at=at(30), tick_at=at(330)), 331, [], 330, id="a tick is not put off"
        ),
    ],
)
def test_a_change_is_told_on_the_next_tick(
    group: Group, now: float, started: list[float], want: float
) -> None:
    """The first wait, then a grid that begins with the first look."""
    touched = touch(group, CADENCE, at(now), [at(one) for one in started])

    assert touched.tick_at == at(want)


def test_without_a_grid_a_change_is_told_at_once() -> None:
    """A width of nothing means no batches."""
    cadence = replace(CADENCE, batch_every=timedelta(0))

    touched = touch(Group(opened_at=START, first_at=at(30), told_at=at(30)), cadence, at(31))

    assert touched.tick_at == at(31)


@pytest.mark.parametrize(
    ("members", "want"),
    [
        pytest.param([member("a")], Why.FIRST, id="nobody knows of it"),
        pytest.param([member("a", OVER)], Why.FIRST, id="it fires again"),
        pytest.param([member("a", FIRING), member("b")], Why.NEW_MEMBER, id="one joined"),
        pytest.param([over("a", FIRING), member("b")], Why.NEW_MEMBER, id="one joined and one is over"),
        pytest.param([member("a", FIRING, severity=2)], Why.SEVERITY_RAISED, id="it got worse"),
        pytest.param([member("a", FIRING, severity=0)], None, id="it got better"),
        pytest.param([over("a", FIRING)], Why.ALL_RESOLVED, id="all is over"),
        pytest.param([over("a", FIRING), member("b", FIRING)], Why.MEMBER_RESOLVED, id="one is over"),
        pytest.param([member("a", FIRING)], None, id="nothing is new"),
        pytest.param([over("a")], None, id="over before anybody heard of it"),
        pytest.param([over("a", OVER)], None, id="known to be over"),
        pytest.param([member("a", muted="silence:s")], None, id="muted"),
        pytest.param([over("a", FIRING, muted="silence:s")], Why.ALL_RESOLVED, id="muted, and known to fire"),
        pytest.param([member("a", is_held=True)], None, id="it flaps"),
        pytest.param([over("a", FIRING, is_held=True)], None, id="it flaps, and was last seen off"),
        pytest.param([member("a", FIRING, is_acknowledged=True)], None, id="somebody has charge"),
        pytest.param([member("a", is_acknowledged=True)], Why.FIRST, id="acknowledged, and not told so far"),
    ],
)
def test_a_group_says_why_it_speaks(members: list[Member], want: Why | None) -> None:
    """One reason, the strongest."""
    assert why(look(due(), members, CADENCE, at(300))) is want


def test_a_message_shows_all_that_fires_and_all_that_ended() -> None:
    """News are told apart from what only stands beside them."""
    members = [
        member("known", FIRING), member("worse", FIRING, severity=3), member("new"), over("gone", FIRING),
        over("never", None), member("muted", muted="window:night"),
    ]  # fmt: skip

    seen = look(due(), members, CADENCE, at(300))

    assert seen.message is not None
    assert seen.message.firing == ("known", "worse", "new")
    assert seen.message.resolved == ("gone",)
    assert seen.message.news == ("new", "worse", "gone")
    assert seen.told == {
        "known": FIRING, "worse": Told(is_firing=True, severity=3), "new": FIRING, "gone": OVER,
    }  # fmt: skip


def test_before_its_tick_a_group_says_nothing() -> None:
    """A look for another reason changes nothing."""
    group = due()

    seen = look(group, [member("a")], CADENCE, at(299))

    assert seen.message is None
    assert seen.group == group
    assert (seen.told, seen.next_at, seen.is_over) == ({}, at(300), False)


def test_messages_are_counted() -> None:
    """The number makes each of them one of a kind."""
    seen = look(due(number=4), [member("a")], CADENCE, at(300))

    assert seen.group.number == 5
    assert seen.group.told_at == at(300)


def test_a_group_is_over_once_nobody_believes_that_anything_fires() -> None:
    """What ended is told first; then there is nothing left to remember."""
    seen = look(due(), [over("a", FIRING), over("b")], CADENCE, at(300))

    assert why(seen) is Why.ALL_RESOLVED
    assert seen.is_over


@pytest.mark.parametrize(
    "members",
    [
        pytest.param([member("a", muted="window:night")], id="something muted fires"),
        pytest.param([over("a", FIRING, is_held=True)], id="the end of what flaps was not told"),
        pytest.param([over("a", FIRING), member("b", FIRING)], id="something fires"),
    ],
)
def test_a_group_goes_on_while_there_is_something_to_say(members: list[Member]) -> None:
    """Muted or held is not over."""
    assert not look(due(), members, CADENCE, at(300)).is_over


def test_who_does_not_want_to_hear_of_ends_hears_of_the_next_beginning() -> None:
    """The end is written down though nobody is told."""
    cadence = replace(CADENCE, send_resolved=False)

    ended = look(due(), [over("a", FIRING)], cadence, at(300))
    again = look(due(), [member("a", ended.told["a"])], cadence, at(600))

    assert ended.message is None
    assert ended.told == {"a": OVER}
    assert why(again) is Why.FIRST


def test_without_ends_a_part_that_ended_is_no_news() -> None:
    """Nothing is written down before all is over, so that its coming back is none either."""
    cadence = replace(CADENCE, send_resolved=False)

    seen = look(due(), [over("a", FIRING), member("b", FIRING)], cadence, at(300))

    assert seen.message is None
    assert seen.told == {}


@pytest.mark.parametrize(
    ("remind", "reminders", "want"),
    [
        pytest.param(Remind(first=timedelta(minutes=10)), 7, 10, id="always the same"),
        pytest.param(Remind(first=timedelta(minutes=10), grow=2), 0, 10, id="the first"),
        pytest.param(Remind(first=timedelta(minutes=10), grow=2), 3, 80, id="each twice the one before"),
        pytest.param(
            Remind(first=timedelta(minutes=10), grow=2, cap=timedelta(hours=1)),
            3,
            60,
            id="never above the cap",
        ),
        pytest.param(
            Remind(first=timedelta(minutes=10), grow=2, cap=timedelta(hours=1)), 10**9, 60, id="however many"
        ),
        pytest.param(
            Remind(first=timedelta(minutes=10), grow=2, cap=timedelta(minutes=1)),
            0,
            10,
            id="a cap below the first",
        ),
    ],
)
def test_waits_between_reminders_grow(remind: Remind, reminders: int, want: int) -> None:
    """Step by step up to a cap."""
    assert remind.after(reminders) == timedelta(minutes=want)


def test_a_reminder_comes_exactly_when_it_is_due() -> None:
    """Not rounded to the grid: seven minutes are seven minutes."""
    cadence = replace(CADENCE, remind=Remind(first=timedelta(minutes=7)))
    group, members = due(tick_at=None), [member("a", FIRING)]

    early, exact = (look(group, members, cadence, at(seconds)) for seconds in (419, 420))

    assert (early.message, early.next_at) == (None, at(420))
    assert why(exact) is Why.REMINDER
    assert (exact.group.reminders, exact.next_at) == (1, at(840))


def test_news_put_the_next_reminder_off() -> None:
    """The wait runs from the last message, and starts with the first interval again."""
    seen = look(due(tick_at=at(3000), reminders=3), [member("a", FIRING), member("b")], HOURLY, at(3000))

    assert why(seen) is Why.NEW_MEMBER
    assert (seen.group.reminders, seen.next_at) == (0, at(6600))


def test_one_that_ended_does_not_make_the_reminders_young_again() -> None:
    """The rest still fires for as long as before."""
    seen = look(due(reminders=3), [member("a", FIRING), over("b", FIRING)], HOURLY, at(300))

    assert why(seen) is Why.MEMBER_RESOLVED
    assert seen.group.reminders == 3


@pytest.mark.parametrize(
    "members",
    [
        pytest.param([member("a", FIRING, is_acknowledged=True)], id="somebody has charge"),
        pytest.param([member("a", FIRING, muted="silence:s")], id="it is silenced"),
        pytest.param([member("a")], id="it was never told"),
        pytest.param([over("a", OVER)], id="it is over"),
    ],
)
def test_nobody_is_reminded_where_nothing_waits_for_them(members: list[Member]) -> None:
    """What somebody took charge of, or what may not be told of, needs no reminder."""
    seen = look(due(tick_at=None), members, HOURLY, at(36000))

    assert seen.message is None
    assert seen.next_at is None


def test_a_reminder_that_a_mute_held_back_comes_when_it_ends() -> None:
    """It is overdue then, and shows all that fires; what is new among it is told as new."""
    group, known = due(tick_at=None), member("a", FIRING)

    muted = look(group, [replace(known, muted="window:night")], HOURLY, at(7200))
    after = look(muted.group, [known, member("b")], HOURLY, at(30000))

    assert muted.message is None
    assert after.message is not None
    assert (after.message.why, after.message.firing) == (Why.NEW_MEMBER, ("a", "b"))
    assert after.message.news == ("b",)


@pytest.mark.parametrize(
    ("members", "want"),
    [
        pytest.param([member("a", FIRING, was_muted="window:night")], Why.REMINDER, id="it still fires"),
        pytest.param([member("a", was_muted="window:night")], Why.FIRST, id="nobody knew of it"),
        pytest.param(
            [member("a", FIRING, was_muted="silence:s"), member("b", was_muted="silence:s")],
            Why.NEW_MEMBER, id="some knew of it: one message for all",
        ),
        pytest.param([over("a", FIRING, was_muted="window:night")], Why.ALL_RESOLVED, id="it is over"),
        pytest.param(
            [member("a", FIRING, was_muted="window:night", muted="silence:s")], None, id="something else mutes it"
        ),
        pytest.param(
            [member("a", FIRING, was_muted="window:night", is_acknowledged=True)], None, id="somebody has charge"
        ),
        pytest.param(
            [member("a", FIRING, was_muted="inhibit:site")], None, id="a stronger alert is over, and said so"
        ),
    ],
)  # fmt: skip
def test_when_a_mute_ends_what_still_fires_is_told_once(members: list[Member], want: Why | None) -> None:
    """On the tick, whatever reminders are due or not."""
    seen = look(due(), members, CADENCE, at(300))

    assert (why(seen), seen.is_settled) == (want, True)
    early = look(due(), members, CADENCE, at(299))
    assert (early.message, early.is_settled) == (None, False)


def test_a_first_look_that_finds_all_muted_begins_the_grid() -> None:
    """When the mute ends it is told on the grid, as the group's first message."""
    group = touch(Group(opened_at=START), CADENCE, START)

    muted = look(group, [member("a", muted="silence:s")], CADENCE, at(30))
    later = touch(muted.group, CADENCE, at(1000))
    told = look(later, [member("a")], CADENCE, at(1230))

    assert (muted.message, muted.next_at) == (None, None)
    assert later.tick_at == at(1230)
    assert why(told) is Why.FIRST
