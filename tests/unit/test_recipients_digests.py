"""What waits for a person is told together: gathered from the start, or after a first one told at once."""

from datetime import UTC, datetime, time, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.recipients.digests import DigestPolicy, Gather, plan
from notifier.recipients.local_times import read_weekdays
from tests.waiting import Waiting, due_at, take

BERLIN = "Europe/Berlin"
HOUR = timedelta(hours=1)
HOURLY = DigestPolicy(gather=Gather.ACCUMULATE, every=HOUR)
TWICE_A_DAY = DigestPolicy(gather=Gather.ACCUMULATE, at=(time(17), time(8)))
MONDAYS = DigestPolicy(gather=Gather.ACCUMULATE, at=(time(8),), weekdays=frozenset({0}))
AT_NIGHT = DigestPolicy(gather=Gather.ACCUMULATE, at=(time(2, 30),))
FIRST = DigestPolicy(gather=Gather.FIRST_NOW, every=HOUR)
FIRST_OF_DAY = DigestPolicy(gather=Gather.FIRST_NOW, at=(time(17),))


def utc(text: str) -> datetime:
    """Read a time in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("policy", "waiting", "last", "now", "expected"),
    [
        # Accumulated: counted from the oldest, never sooner after a digest than the length of time.
        (HOURLY, ["2026-03-02 09:00"], None, "2026-03-02 09:00", "2026-03-02 10:00"),
        (HOURLY, ["2026-03-02 09:50", "2026-03-02 09:00"], None, "2026-03-02 09:50", "2026-03-02 10:00"),
        (HOURLY, ["2026-03-02 09:00"], "2026-03-02 08:30", "2026-03-02 09:00", "2026-03-02 10:00"),
        (HOURLY, ["2026-03-02 09:00"], "2026-03-02 09:45", "2026-03-02 09:50", "2026-03-02 10:45"),
        (HOURLY, ["2026-03-02 09:00"], None, "2026-03-02 14:00", "2026-03-02 14:00"),
        (HOURLY, [], "2026-03-02 08:30", "2026-03-02 09:00", None),
        # Until a local time; exactly then is too late for it. Berlin is UTC+1, in summer UTC+2.
        (TWICE_A_DAY, ["2026-03-02 06:59"], None, "2026-03-02 06:59", "2026-03-02 07:00"),
        (TWICE_A_DAY, ["2026-03-02 07:00"], None, "2026-03-02 07:00", "2026-03-02 16:00"),
        (TWICE_A_DAY, ["2026-03-02 16:30"], None, "2026-03-02 16:30", "2026-03-03 07:00"),
        (TWICE_A_DAY, ["2026-03-28 20:00"], None, "2026-03-28 20:00", "2026-03-29 06:00"),
        (TWICE_A_DAY, ["2026-03-01 06:00"], None, "2026-03-02 12:00", "2026-03-02 12:00"),
        (MONDAYS, ["2026-03-02 06:00"], None, "2026-03-02 06:00", "2026-03-02 07:00"),
        (MONDAYS, ["2026-03-02 08:00"], None, "2026-03-02 08:00", "2026-03-09 07:00"),
        (MONDAYS, ["2026-03-24 08:00"], None, "2026-03-24 08:00", "2026-03-30 06:00"),
        # 02:30 is skipped on 29 March and comes twice on 25 October: one digest each.
        (AT_NIGHT, ["2026-03-28 20:00"], None, "2026-03-28 20:00", "2026-03-29 01:00"),
        (AT_NIGHT, ["2026-03-29 01:00"], None, "2026-03-29 01:00", "2026-03-30 00:30"),
        (AT_NIGHT, ["2026-10-24 20:00"], None, "2026-10-24 20:00", "2026-10-25 00:30"),
        (AT_NIGHT, ["2026-10-25 00:30"], None, "2026-10-25 00:30", "2026-10-26 01:30"),
        # The first at once; the rest when the time since the last message is over.
        (FIRST, ["2026-03-02 09:00"], None, "2026-03-02 09:00", "2026-03-02 09:00"),
        (FIRST, ["2026-03-02 09:10"], "2026-03-02 09:00", "2026-03-02 09:10", "2026-03-02 10:00"),
        (FIRST, ["2026-03-02 10:00"], "2026-03-02 09:00", "2026-03-02 10:00", "2026-03-02 10:00"),
        (FIRST, ["2026-03-02 09:10"], "2026-03-02 09:00", "2026-03-02 12:10", "2026-03-02 12:10"),
        (FIRST_OF_DAY, ["2026-03-02 09:00"], "2026-03-01 17:00", "2026-03-02 09:00", "2026-03-02 16:00"),
        (FIRST_OF_DAY, ["2026-03-02 09:00"], "2026-03-01 12:00", "2026-03-02 09:00", "2026-03-02 09:00"),
        # A last digest of next year was sent by a clock that was set back.
        (FIRST, ["2026-03-02 09:00"], "2027-03-02 09:00", "2026-03-02 09:00", "2026-03-02 09:00"),
        (HOURLY, ["2026-03-02 09:00"], "2027-03-02 09:00", "2026-03-02 09:00", "2026-03-02 10:00"),
    ],
)  # fmt: skip
def test_a_digest_is_due(
    policy: DigestPolicy, waiting: list[str], last: str | None, now: str, expected: str | None
) -> None:
    """Never before now, and never for nothing."""
    due = plan(policy, [*map(utc, waiting)], utc(last) if last else None, utc(now), zone=BERLIN)

    assert due == (utc(expected) if expected else None)


def test_what_is_not_gathered_is_due_at_once() -> None:
    """The choice against a digest of all categories."""
    now = utc("2026-03-02 09:00")

    assert plan(DigestPolicy(gather=Gather.NONE), [now], now, now) == now


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"gather": Gather.ACCUMULATE}, "exactly one"),
        ({"gather": Gather.FIRST_NOW}, "exactly one"),
        ({"gather": Gather.ACCUMULATE, "every": HOUR, "at": (time(8),)}, "exactly one"),
        ({"gather": Gather.ACCUMULATE, "every": timedelta(0)}, "longer than nothing"),
        ({"gather": Gather.ACCUMULATE, "at": (time(8),), "weekdays": frozenset()}, "at least one"),
        ({"gather": Gather.NONE, "every": HOUR}, "no times"),
        ({"gather": Gather.NONE, "at": (time(8),)}, "no times"),
    ],
)
def test_a_policy_that_cannot_come_is_refused(fields: dict[str, object], problem: str) -> None:
    """What waits for it would wait for ever."""
    with pytest.raises(ValueError, match=problem):
        DigestPolicy(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (HOURLY, "every 1h"),
        (TWICE_A_DAY, "at 08:00, 17:00"),
        (
            DigestPolicy(
                gather=Gather.ACCUMULATE, at=(time(8),), weekdays=read_weekdays(["saturday:monday"])
            ),
            "at 08:00 on monday, saturday, sunday",
        ),
    ],
)
def test_a_policy_says_when(policy: DigestPolicy, expected: str) -> None:
    """For the reason people read."""
    assert str(policy) == expected


def waiting(*entries: tuple[str, str, str]) -> list[Waiting]:
    """Return what waits: id, arrival, earliest time."""
    return [Waiting(id=id_, arrived_at=utc(arrived), until=utc(until)) for id_, arrived, until in entries]


POLICIES = st.one_of(
    st.builds(
        lambda gather, minutes: DigestPolicy(gather=gather, every=timedelta(minutes=minutes)),
        st.sampled_from([Gather.ACCUMULATE, Gather.FIRST_NOW]),
        st.integers(1, 300),
    ),
    st.builds(
        lambda gather, hours, days: DigestPolicy(
            gather=gather, at=tuple(time(hour, 30) for hour in hours), weekdays=days
        ),
        st.sampled_from([Gather.ACCUMULATE, Gather.FIRST_NOW]),
        st.sets(st.integers(0, 23), min_size=1, max_size=3),
        st.frozensets(st.integers(0, 6), min_size=1),
    ),
)


@settings(deadline=None, max_examples=80)
@given(
    policy=POLICIES,
    gaps=st.lists(st.integers(0, 500), min_size=1, max_size=25),
    around=st.sampled_from(["2026-03-28 12:00", "2026-10-24 12:00", "2026-06-01 00:00"]),
    limit=st.integers(1, 30),
    delay=st.integers(0, 40),
)
def test_a_digest_never_loses_an_item(
    policy: DigestPolicy, gaps: list[int], around: str, limit: int, delay: int
) -> None:
    """Whatever arrives when, however late the sweep, each is told exactly once, and none before its time."""
    held: list[Waiting] = []
    told: list[str] = []
    last: datetime | None = None
    now = utc(around)

    def release(until: datetime | None) -> datetime | None:
        sent = last
        while held and ((due := due_at(held)) is not None) and (until is None or due <= until):
            moment = due + timedelta(minutes=delay)
            taken = take(held, moment, limit=limit)
            assert taken.told
            assert all(one.until <= moment for one in taken.told)
            told.extend(one.id for one in taken.told)
            held[:] = taken.left
            sent = moment
        return sent

    for number, gap in enumerate(gaps):
        now += timedelta(minutes=gap)
        last = release(now)
        due = plan(policy, [*(one.arrived_at for one in held), now], last, now, zone=BERLIN)
        assert due is not None
        assert due >= now
        if due == now and policy.gather is Gather.FIRST_NOW:
            told.append(str(number))
            last = now
        else:
            held.append(Waiting(id=str(number), arrived_at=now, until=due))
    release(None)

    assert sorted(told) == sorted(str(number) for number in range(len(gaps)))


@settings(deadline=None, max_examples=60)
@given(gaps=st.lists(st.integers(0, 90), min_size=1, max_size=30), minutes=st.integers(1, 120))
def test_two_messages_are_never_closer_than_asked(gaps: list[int], minutes: int) -> None:
    """First now, rest later: between any two messages lies the length of time at least."""
    every = timedelta(minutes=minutes)
    policy = DigestPolicy(gather=Gather.FIRST_NOW, every=every)
    sent: list[datetime] = []
    held: list[datetime] = []
    now, due = utc("2026-03-02 09:00"), None

    for gap in gaps:
        now += timedelta(minutes=gap)
        if due is not None and due <= now:
            sent, held, due = [*sent, due], [], None
        due = plan(policy, [*held, now], sent[-1] if sent else None, now)
        if due == now:
            sent, held, due = [*sent, now], [], None
        else:
            held.append(now)

    assert all(after - before >= every for before, after in pairwise(sent))
