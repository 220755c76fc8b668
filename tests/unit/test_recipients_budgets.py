"""A person gets at most so many messages of a channel in any stretch of time; the next has to wait."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.errors import ConfigError
from notifier.messages import ChannelName
from notifier.recipients.budgets import (
    DEFAULT_BUDGETS,
    UNLIMITED,
    Budget,
    Limit,
    budget_for,
    read_budgets,
)

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
SMS = Budget.parse("5 in 15m", "11 in 1h")


def ago(*minutes: float) -> list[datetime]:
    """Return the moments so many minutes before now."""
    return [NOW - timedelta(minutes=one) for one in minutes]


@pytest.mark.parametrize(
    ("sent", "wait"),
    [
        ((), 0),
        ((4, 3, 2, 1), 0),
        ((5, 4, 3, 2, 1), 10),
        ((1, 5, 3, 2, 4), 10),  # whatever their order
        ((6, 5, 4, 3, 2, 1), 10),  # one too many went out: still the fifth newest counts
        ((15, 4, 3, 2, 1), 0),  # exactly 15 minutes ago is over
        ((14.5, 4, 3, 2, 1), 0.5),
        ((50, 49, 48, 47, 46, 30, 29, 28, 27, 26, 20), 10),  # the hour's eleven
        ((59, 58, 57, 56, 55, 30, 29, 5, 4, 3, 2), 1),
        ((20, 19, 18, 17, 16, 15.5, 5, 4, 3, 2, 1), 40),  # both limits: the later one holds
        ((0, 0, 0, 0, 0), 15),
    ],
)
def test_there_is_room_when_every_limit_has_some(sent: tuple[float, ...], wait: float) -> None:
    """The count-th newest message has to leave the stretch first."""
    assert SMS.room_at(ago(*sent), NOW) == NOW + timedelta(minutes=wait)


def test_without_limits_there_is_always_room() -> None:
    """Nothing is counted."""
    assert UNLIMITED.room_at(ago(*[0] * 100), NOW) == NOW
    assert UNLIMITED.binding(ago(*[0] * 100), NOW) is None
    assert UNLIMITED.memory == timedelta(0)


def test_the_limit_that_holds_is_named() -> None:
    """For the reason people read."""
    assert str(SMS.binding(ago(5, 4, 3, 2, 1), NOW)) == "5 in 15m"
    assert str(SMS.binding(ago(50, 49, 48, 47, 46, 30, 29, 28, 27, 26, 20), NOW)) == "11 in 1h"
    assert SMS.binding(ago(4, 3, 2, 1), NOW) is None
    assert SMS.memory == timedelta(hours=1)


def test_a_clock_set_back_does_not_close_a_channel_for_long() -> None:
    """Moments of next year are nobody's; a few seconds ahead is another machine's clock."""
    next_year = [NOW + timedelta(days=365)] * 50
    seconds_ahead = [NOW + timedelta(seconds=3)] * 5

    assert SMS.room_at(next_year, NOW) == NOW
    assert SMS.room_at(seconds_ahead, NOW) == NOW + timedelta(minutes=15, seconds=3)


@pytest.mark.parametrize("text", ["5 in 15m", "1 in 1d", "100 in 1h30m", "3 in 90s"])
def test_a_limit_is_read_as_it_is_written(text: str) -> None:
    """Lengths of time are written the shortest way."""
    assert Limit.parse(str(Limit.parse(text))) == Limit.parse(text)


@pytest.mark.parametrize(
    "text", ["", "5", "5 in", "5 per 1h", "0 in 1h", "5 in 0s", "-1 in 1h", "5 in 1x", "x in 1h"]
)
def test_what_is_no_limit_is_refused(text: str) -> None:
    """Also one that allows nothing: that is an opt-out."""
    with pytest.raises(ValueError, match="must"):
        Limit.parse(text)


def test_only_sms_has_limits_by_default() -> None:
    """The settings may give others to every channel."""
    assert [str(one) for one in DEFAULT_BUDGETS[ChannelName.SMS].limits] == [
        "5 in 15m",
        "11 in 1h",
        "21 in 3h",
    ]
    assert budget_for(ChannelName.EMAIL) == UNLIMITED
    assert budget_for(ChannelName.EMAIL, {ChannelName.EMAIL: SMS}) == SMS


@settings(deadline=None, max_examples=60)
@given(
    gaps=st.lists(st.integers(0, 1200), max_size=60),
    limits=st.lists(st.tuples(st.integers(1, 6), st.integers(1, 3000)), min_size=1, max_size=3),
)
def test_no_stretch_ever_holds_more_than_allowed(gaps: list[int], limits: list[tuple[int, int]]) -> None:
    """Whatever arrives when: who asks before each message never exceeds a limit, and waits no longer than needed."""
    budget = Budget(
        limits=tuple(Limit(count=count, within=timedelta(seconds=seconds)) for count, seconds in limits)
    )
    sent: list[datetime] = []
    now = NOW

    for gap in gaps:
        now = max(now + timedelta(seconds=gap), budget.room_at(sent, now + timedelta(seconds=gap)))
        sent.append(now)

    for limit in budget.limits:
        for start in sent:
            assert sum(start <= at < start + limit.within for at in sent) <= limit.count


@settings(deadline=None, max_examples=60)
@given(
    sent=st.lists(st.integers(0, 4000), max_size=30),
    count=st.integers(1, 5),
    within=st.integers(1, 3600),
)
def test_the_room_is_the_first_there_is(sent: list[int], count: int, within: int) -> None:
    """A second before it, the stretch is still full; then, and later, it is not."""
    moments = [NOW - timedelta(seconds=one) for one in sent]
    budget = Budget(limits=(Limit(count=count, within=timedelta(seconds=within)),))
    room = budget.room_at(moments, NOW)

    def held(at: datetime) -> int:
        return sum(at - timedelta(seconds=within) < one <= at for one in moments)

    assert room >= NOW
    assert held(room) < count
    assert room == NOW or held(room - timedelta(seconds=1)) >= count
    assert budget.room_at(moments, room) == room


def test_the_settings_change_what_they_name() -> None:
    """An empty list lifts the default; other channels keep theirs."""
    kept = read_budgets({"email": ["2 in 1h", "5 in 1d"]})
    lifted = read_budgets({"sms": []})

    assert budget_for(ChannelName.EMAIL, kept) == Budget.parse("2 in 1h", "5 in 1d")
    assert budget_for(ChannelName.SMS, kept) == DEFAULT_BUDGETS[ChannelName.SMS]
    assert budget_for(ChannelName.SMS, lifted) == UNLIMITED


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ({"fax": ["5 in 15m"]},
         ("notifier.yaml: budgets.fax: no such channel; "
          "known: email, sms, portal, console, webhook, apprise")),
        ({"sms": ["5 in 15m", "often"]},
         "notifier.yaml: budgets.sms[1]: must be a limit such as 5 in 15m (mend: write 5 in 15m)"),
        ({"sms": ["0 in 15m"]},
         ("notifier.yaml: budgets.sms[0]: must allow at least one message, in a length of time that is not "
          "nothing (mend: write 5 in 15m)")),
    ],
)  # fmt: skip
def test_a_wrong_budget_is_named(texts: dict[str, list[str]], said: str) -> None:
    """With its place in the settings."""
    with pytest.raises(ConfigError) as caught:
        read_budgets(texts)

    assert str(caught.value) == said
