"""How fast a flow may go: buckets, limits, and what is learned from refusals (O7)."""

from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.delivery.aimd import FLOOR, Pace, after_refusal, after_success, rest
from notifier.delivery.buckets import burst, full
from notifier.delivery.limits import effective
from notifier.setting_tables import RateLimits

RATES = st.floats(0.02, 1000)


@settings(deadline=None)
@given(RATES, st.lists(st.tuples(st.floats(0, 10), st.integers(0, 100)), max_size=50))
def test_a_bucket_never_gives_more_than_its_rate_and_one_burst(
    rate: float, takes: list[tuple[float, int]]
) -> None:
    """Over any time, whoever asks how often."""
    bucket, now, given_out = full(rate, 0.0), 0.0, 0

    for wait, wanted in takes:
        now += wait
        bucket, granted = bucket.take(rate, wanted, now)
        assert 0 <= granted <= wanted
        given_out += granted

    assert given_out <= burst(rate) + rate * now + 0.001


@settings(deadline=None)
@given(RATES, st.integers(1, 60))
def test_who_asks_each_second_gets_the_whole_rate(rate: float, seconds: int) -> None:
    """Nothing of it is lost to the beat."""
    bucket, total = full(rate, 0.0), 0

    for now in range(1, seconds + 1):
        bucket, granted = bucket.take(rate, 10_000, float(now))
        total += granted

    assert total >= rate * (seconds - 1) - 1


@settings(deadline=None)
@given(st.floats(0.5, 500), st.floats(1, 2000))
def test_the_pace_finds_the_other_sides_limit_and_stays_around_it(limit: float, start: float) -> None:
    """A saw-tooth: from far above or below it comes to between half and a little over the limit."""
    pace = after_refusal(None, max(start, limit))
    seen: list[float] = []
    for second in range(600):
        pace = after_refusal(pace, 0) if pace.rate > limit else after_success(pace, 1.0, was_the_limit=True)
        if second > 300:
            seen.append(pace.rate)

    assert max(seen) <= limit * 1.1
    assert min(seen) >= limit * 0.5
    assert any(before > after for before, after in pairwise(seen))


@settings(deadline=None)
@given(RATES, st.integers(1, 30))
def test_refused_again_and_again_it_slows_down_to_a_message_a_minute_and_no_further(
    start: float, times: int
) -> None:
    """Each round slower and a longer rest, up to a minute."""
    pace: Pace | None = None
    rests: list[timedelta] = []
    for _ in range(times):
        before, pace = pace, after_refusal(pace, start)
        rests.append(rest(pace, None))
        assert before is None or pace.rate <= before.rate
        assert pace.rate >= FLOOR

    assert rests == sorted(rests)
    assert all(timedelta(seconds=1) <= one <= timedelta(minutes=1) for one in rests)


@settings(deadline=None)
@given(st.floats(1, 500), st.integers(1, 40))
def test_a_storm_however_long_is_made_up_for_within_half_a_minute(start: float, rounds: int) -> None:
    """Its end is felt by the first message that is taken: nobody crawls on for an hour."""
    pace = after_refusal(None, start)
    before = pace.rate
    for _ in range(rounds):
        pace = after_refusal(pace, 0)

    for _ in range(30):
        pace = after_success(pace, 1.0, was_the_limit=True)

    assert pace.rate >= before


def test_a_pace_that_was_not_used_up_does_not_grow() -> None:
    """Nothing was learned about a higher one; but that it is not refused counts."""
    pace = after_refusal(after_refusal(None, 10.0), 10.0)

    assert after_success(pace, 5.0, was_the_limit=False) == Pace(rate=pace.rate, step=pace.step, refusals=0)
    assert after_success(pace, 1.0, was_the_limit=True).rate == pace.rate + pace.step


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        (timedelta(seconds=30), timedelta(seconds=30)), (timedelta(0), timedelta(seconds=1)),
        (timedelta(days=9), timedelta(days=1)),
    ],
)  # fmt: skip
def test_a_flow_rests_as_long_as_the_other_side_asked(hint: timedelta, expected: timedelta) -> None:
    """Within reason."""
    assert rest(after_refusal(None, 10.0), hint) == expected


@pytest.mark.parametrize(
    ("destination", "learned", "expected"),
    [
        ("gmail", None, 5.0),
        ("gmail", 2.0, 2.0),
        ("gmail", 9.0, 5.0),
        ("yahoo", None, None),
        ("yahoo", 3.0, 3.0),
        ("*", 50.0, 10.0),
    ],
)
def test_the_lesser_of_the_set_and_the_learned_limit_holds(
    destination: str, learned: float | None, expected: float | None
) -> None:
    """Without either there is none."""
    limits = RateLimits.model_validate({"rate": "600/m", "per_destination": {"gmail": "5/s"}})

    assert effective(limits, destination, learned) == expected


@pytest.mark.parametrize("text", ["14", "0/s", "-1/s", "14/w", "fast", "1e3/s", 14])
def test_a_rate_that_is_none_is_refused(text: object) -> None:
    """With how to write it."""
    with pytest.raises(ValueError, match="such as 14/s"):
        RateLimits.model_validate({"rate": text})
