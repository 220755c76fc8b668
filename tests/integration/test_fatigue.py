"""Nobody is told more than they can bear, and nothing is lost for it (O9); on real servers."""

from datetime import timedelta
from pathlib import Path

import pytest

from tests.fatigue import ANN, NIGHTS, PHONE, Stage
from tests.services import MakeFlow

pytestmark = pytest.mark.servers


@pytest.fixture
def stage(make_flow: MakeFlow, tmp_path: Path) -> Stage:
    """A notifier with the shipped budgets."""
    return Stage(make_flow, tmp_path)


def test_who_set_nothing_is_told_at_once(stage: Stage) -> None:
    """At any hour, and nothing is written down that nobody asks for."""
    stage.feed("news.made", "a", "b")

    assert len(stage.wait(hours=3)) == 2
    assert (stage.held(), stage.flow.query("SELECT count(*) FROM told")) == (0, [(0,)])


def test_quiet_hours_hold_until_the_morning_and_tell_all_at_once(stage: Stage) -> None:
    """Across midnight, in the person's zone: three pieces of news are one mail at seven."""
    stage.set(NIGHTS)
    stage.wait(hours=1, minutes=30)  # 22:30 there
    stage.feed("news.made", "one", "two")
    stage.wait(hours=4)
    stage.feed("news.made", "three")
    waiting = stage.standing()
    early = stage.wait(hours=4, minutes=29, seconds=59)

    told = stage.wait(seconds=1)

    assert waiting == [
        (one, "pending", "quiet hours until 07:00 Asia/Kolkata") for one in ("one", "two", "three")
    ]
    assert (early, told) == ([], ["3 x News"])
    assert stage.states() == ["superseded"] * 3 + ["sent"]
    assert stage.standing()[0][2] == f"told in the digest {stage.flow.one_id('event')}"
    assert stage.wait(days=2) == []


def test_one_thing_alone_goes_out_as_itself_with_its_whole_time(stage: Stage) -> None:
    """With its own words; its deadline counts from the morning."""
    stage.set(NIGHTS)
    stage.wait(hours=2)
    stage.feed("news.made", "only")
    before = stage.flow.query("SELECT deadline, created_at FROM notification")[0]

    told = stage.wait(hours=8)

    after = stage.flow.query("SELECT deadline, settled_at IS NOT NULL, state FROM notification")[0]
    assert len(told) == 1
    assert "only" in told[0]
    assert after[0] - stage.clock.now() == before[0] - before[1]
    assert after[1:] == (True, "sent")


def test_what_is_urgent_or_says_so_is_told_at_night(stage: Stage) -> None:
    """By its urgency, or because its rule ignores quiet hours."""
    stage.set(NIGHTS)
    stage.wait(hours=3)
    stage.feed("news.urgent", "fire")
    stage.feed("news.insistent", "water")
    stage.feed("news.made", "earth")

    told = stage.wait(seconds=1)

    assert [("fire" in one, "water" in one) for one in sorted(told)] == [(True, False), (False, True)]
    assert stage.held() == 1


def test_the_sixth_sms_waits_and_all_that_wait_are_one(stage: Stage) -> None:
    """5 SMS in 15 minutes: of twelve events five are told each by itself, seven in one digest."""
    stage.feed("text.made", *(f"t{number}" for number in range(12)), to=PHONE)
    stage.wait(seconds=1)
    at_once, waiting = len(stage.texts()), stage.held()
    stage.wait(minutes=14, seconds=58)
    early = len(stage.texts())

    stage.wait(seconds=1)

    assert (at_once, waiting, early) == (5, 7, 5)
    assert len(stage.texts()) == 6
    assert "7 x Text" in stage.texts()[-1]
    assert stage.standing()[5][2] is not None
    assert stage.states() == ["sent"] * 5 + ["superseded"] * 7 + ["sent"]


def test_a_budget_counts_within_one_batch_and_over_batches(make_flow: MakeFlow, tmp_path: Path) -> None:
    """The settings set it; an empty one lifts the shipped one."""
    stage = Stage(make_flow, tmp_path, budgets={"email": ["2 in 1h"], "sms": []})
    stage.feed("text.made", *(f"t{number}" for number in range(8)), to=PHONE)
    stage.together(*({"type": "news.made", "subject": f"n{one}", "data": {"to": ANN}} for one in range(4)))

    first = stage.wait(seconds=1)
    later = stage.wait(hours=1)

    assert (len(first), len(stage.texts())) == (2, 8)
    assert later == ["2 x News"]


def test_a_least_severity_keeps_lesser_alerts_away(stage: Stage) -> None:
    """And the log says why."""
    stage.set({"at_least": {"it": "critical"}})
    stage.feed("server.down", "web-1", severity="warning")
    stage.feed("server.down", "web-2", severity="critical")

    told = stage.wait(seconds=1)

    reason = "severity warning is below critical, the least they want of it"
    assert len(told) == 1
    assert [(state, why) for _, state, why in stage.standing()] in (
        [("suppressed", reason), ("sent", None)],
        [("sent", None), ("suppressed", reason)],
    )
    assert ("email", "suppressed", reason) in stage.flow.messages()


def test_a_digest_gathers_a_category_and_leaves_the_others(stage: Stage) -> None:
    """Accumulated over an hour, from the first one on."""
    stage.set({"digests": {"news": {"gather": "accumulate", "every": "1h"}}})
    stage.feed("news.made", "a")
    stage.wait(minutes=30)
    stage.feed("news.made", "b")
    stage.feed("server.down", "web-1", severity="critical")

    others = stage.wait(seconds=1)
    digest = stage.wait(minutes=30)

    assert len(others) == 1
    assert "web-1" in others[0]
    assert digest == ["2 x News"]
    assert stage.wait(days=1) == []


def test_the_first_comes_at_once_and_the_rest_later(stage: Stage) -> None:
    """First now, then one mail for what came in the hour after it."""
    stage.set({"digests": {"news": {"gather": "first_now", "every": "1h"}}})
    stage.feed("news.made", "a")
    first = stage.wait(seconds=1)
    stage.feed("news.made", "b", "c")

    early, rest = stage.wait(minutes=58), stage.wait(minutes=2)
    stage.clock.advance(timedelta(hours=2))
    stage.feed("news.made", "d")

    assert (len(first), early, rest) == (1, [], ["2 x News"])
    assert len(stage.wait(seconds=1)) == 1


def test_a_type_to_opt_in_to_is_told_only_to_who_did(stage: Stage) -> None:
    """Others are recorded as left alone; and who changes their mind is left alone from then on."""
    stage.feed("letter.made", "x", to="bob@example.org")
    stage.set({"opt_ins": ["letters"]})
    stage.feed("letter.made", "y")
    told = stage.wait(seconds=1)
    stage.feed("letter.made", "z")
    stage.set({})

    assert len(told) == 1
    assert stage.wait(seconds=1) == []
    assert [(state, why) for _, state, why in stage.standing()] == [
        ("suppressed", "did not opt in to letters, which is told only to who did"),
        ("sent", None),
        ("suppressed", "the recipient did not opt in to this category, which is told only to who did"),
    ]
