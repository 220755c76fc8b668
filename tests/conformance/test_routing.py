"""The kinds ``timeline`` and ``dedup`` tell right from wrong: sequences of our own, with outcomes known by hand."""

from typing import Any

import pytest

from tests.conformance.kinds.routing import dedup, timeline
from tests.conformance.outcomes import Result
from tests.conformance.vectors import Vector

A: dict[str, Any] = {"labels": {"alertname": "a"}}


def vector(steps: list[Any], notifications: list[Any], until: float, **given: Any) -> Vector:
    """Return a sequence on one route: a wait of 10 s, ticks of 20 s, reminders after 100 s."""
    times = {"group_wait": 10, "group_interval": 20, "repeat_interval": 100}
    known = {
        "defaults": {"group_by": [], **times},
        "route": {"receiver": "team"},
        "receivers": {"team": [{"to": "hook"}]},
        "resolve_timeout": 1000,
    }
    return Vector(
        id="own", kind="timeline", given={**known, **given}, when=steps,
        want={"notifications": notifications, "nothing_else_until": until},
    )  # fmt: skip


def want(first: float, last: float, *firing: Any, to: str = "hook", resolved: tuple[Any, ...] = ()) -> Any:
    """Return a wanted message."""
    return {"to": to, "between": [first, last], "firing": list(firing), "resolved": list(resolved)}


FIRE = {"at": 5, "fire": [A]}


@pytest.mark.parametrize(
    ("notifications", "until", "result"),
    [
        pytest.param([want(15, 15, A)], 114, Result.PASS, id="exactly this"),
        pytest.param([want(15, 15, A)], 115, Result.FAIL, id="and a reminder nobody wanted"),
        pytest.param([want(15, 15, A), want(115, 115, A)], 134, Result.PASS, id="and a reminder"),
        pytest.param([want(16, 20, A)], 100, Result.FAIL, id="at another time"),
        pytest.param([want(15, 15, A, to="other")], 100, Result.FAIL, id="to another"),
        pytest.param([want(15, 15, {**A, "starts_at": 5})], 100, Result.PASS, id="with its beginning"),
        pytest.param([want(15, 15, {**A, "starts_at": 4})], 100, Result.FAIL, id="with another beginning"),
        pytest.param([want(15, 15, A, A)], 100, Result.FAIL, id="twice in one"),
        pytest.param([want(15, 15)], 100, Result.FAIL, id="nothing"),
        pytest.param([want(15, 15, A), want(20, 100)], 100, Result.PASS, id="and then nothing"),
    ],
)
def test_one_alert(notifications: list[Any], until: float, result: Result) -> None:
    """Told once after the wait."""
    assert timeline(vector([FIRE], notifications, until)).result is result


def test_repeats_are_rounded_up_to_ticks() -> None:
    """A reminder of 30 s comes with the second tick."""
    route = {"receiver": "team", "repeat_interval": 30}

    outcome = timeline(vector([FIRE], [want(15, 15, A), want(55, 55, A)], 94, route=route))

    assert outcome.result is Result.PASS, outcome.detail


def test_ends_have_their_times_and_words() -> None:
    """Of an alert told again the earliest beginning, the newest words and the latest end."""
    steps = [
        {"at": 5, "fire": [{**A, "starts_at": 4, "annotations": {"text": "old"}}]},
        {"at": 6, "fire": [{**A, "starts_at": 2, "annotations": {"text": "new"}}]},
        {"at": 30, "resolve": [{**A, "starts_at": 3, "ends_at": 29, "annotations": {"text": "over"}}]},
        {"at": 30, "resolve": [{**A, "starts_at": 3, "ends_at": 25, "annotations": {"text": "over"}}]},
        {"at": 40, "fire": [A]},
    ]
    over = {**A, "starts_at": 2, "ends_at": 29, "annotations": {"text": "over"}}

    outcome = timeline(
        vector(
            steps,
            [
                want(12, 15, {**A, "starts_at": 2, "annotations": {"text": "new"}}),
                want(32, 35, resolved=(over,)),
                want(50, 55, {**A, "starts_at": 40}),
            ],
            100,
        )
    )

    assert outcome.result is Result.PASS, outcome.detail


def test_each_target_has_its_own_log() -> None:
    """One that takes no ends, one that fails for a while, one that loses what it takes."""
    receivers = {
        "team": [
            {"to": "plain"},
            {"to": "firing-only", "send_resolved": False},
            {"to": "slow", "slow_until": 17, "timeout": 1},
            {"to": "losing", "swallows_until": 30},
        ]
    }
    steps = [FIRE, {"at": 50, "resolve": [A]}]

    outcome = timeline(
        vector(
            steps,
            [
                want(15, 15, A, to="plain"), want(55, 55, to="plain", resolved=(A,)),
                want(15, 15, A, to="firing-only"),
                want(17, 18, A, to="slow"), want(55, 55, to="slow", resolved=(A,)),
                want(10, 50, to="losing"), want(55, 55, to="losing", resolved=(A,)),
            ],
            100,
            receivers=receivers,
        )
    )  # fmt: skip

    assert outcome.result is Result.PASS, outcome.detail


def test_a_newer_message_takes_the_place_of_one_that_could_not_be_sent() -> None:
    """Down and up again while the target did not answer: it hears of the end only."""
    receivers = {"team": [{"to": "hook", "slow_until": 36, "timeout": 10}]}

    outcome = timeline(
        vector([FIRE, {"at": 20, "resolve": [A]}], [want(30, 60, resolved=(A,))], 100, receivers=receivers)
    )

    assert outcome.result is Result.PASS, outcome.detail


def test_a_reload_does_not_restart_our_timers() -> None:
    """Other times are meant so; other contents are not."""
    other = {"labels": {"alertname": "b"}}
    steps = [FIRE, {"at": 18, "reload": True}, {"at": 20, "fire": [other]}]

    meant = timeline(vector(steps, [want(15, 15, A), want(38, 38, A, other)], 50))
    wrong = timeline(vector(steps, [want(15, 15, A), want(38, 38, other)], 50))

    assert (meant.result, wrong.result) == (Result.DIVERGENT, Result.FAIL)
    assert "reload" in meant.detail


@pytest.mark.parametrize("is_notified", [True, False])
def test_dedup_is_compared_with_what_is_wanted(*, is_notified: bool) -> None:
    """A group that was told a while ago is told again after its interval, and not before."""
    found = dedup(
        Vector(
            id="own", kind="dedup",
            given={"last_sent": {"firing": [1], "resolved": [], "seconds_ago": 90 if is_notified else 30},
                   "repeat_interval": 60, "send_resolved": True},
            when={"firing": [1], "resolved": []}, want={"notify": is_notified},
        )
    )  # fmt: skip

    assert found.result is Result.PASS
