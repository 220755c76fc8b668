"""What waits for a person is told once, or left out with a reason (O9): gate, races, deaths, erasure."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from notifier.pipeline.people.erase import Eraser
from notifier.store import held
from tests.command import command, lines
from tests.contracts.smtp_server import At, Say
from tests.fatigue import ANN, NIGHTS, PHONE, Stage
from tests.services import MakeFlow

pytestmark = pytest.mark.servers


@pytest.fixture
def stage(make_flow: MakeFlow, tmp_path: Path) -> Stage:
    """A notifier with the shipped budgets."""
    return Stage(make_flow, tmp_path)


def test_an_alert_that_is_over_by_morning_is_told_to_nobody(stage: Stage) -> None:
    """Down and back while it waited; what still fires is told, and the end of what was told before too."""
    stage.feed("server.down", "told", severity="critical")
    before = stage.wait(seconds=1)
    stage.set(NIGHTS)
    stage.wait(hours=3)
    stage.feed("server.down", "gone", "there", severity="critical")
    stage.wait(minutes=2)
    stage.feed("server.recovered", "gone", "told", severity="critical")
    stage.wait(minutes=2)

    (morning,) = stage.wait(hours=8)

    text = stage.last_text()
    assert len(before) == 1
    assert morning.startswith("2 ")
    assert ("there" in text, "told" in text, "gone" in text) == (True, True, False)
    gone = {why for subject, state, why in stage.standing() if subject == "gone"}
    assert gone == {
        "superseded: a later message of the same alerts waited with it",
        "resolved while it waited: nobody was told that it fired",
    }


def test_what_was_refused_meanwhile_is_left_out(stage: Stage) -> None:
    """The gate is asked of each, as if it stood alone."""
    stage.set(NIGHTS)
    stage.wait(hours=3)
    stage.feed("news.made", "a")
    stage.feed("server.down", "web-1", severity="critical")
    stage.wait(seconds=1)
    stage.set({**NIGHTS, "opt_outs": ["news"]})

    told = stage.wait(hours=8)

    assert len(told) == 1
    assert "web-1" in told[0]
    assert stage.standing()[0] == ("a", "suppressed", "the recipient opted out of this category")


def test_a_budget_that_is_used_up_in_the_morning_holds_the_digest_longer(
    make_flow: MakeFlow, tmp_path: Path
) -> None:
    """The reason says what it waits for now."""
    stage = Stage(make_flow, tmp_path, budgets={"email": ["1 in 30m"]})
    stage.set(NIGHTS)
    stage.wait(hours=3)
    stage.feed("news.made", "a", "b")
    stage.wait(hours=6, minutes=50)
    stage.feed("news.urgent", "fire")

    at_seven = stage.wait(minutes=11)
    later = stage.wait(minutes=30)

    assert len(at_seven) == 1
    assert "fire" in at_seven[0]
    assert later == ["2 x News"]


def test_a_fallback_in_the_night_waits_for_the_morning(stage: Stage) -> None:
    """The mail is refused at eleven: the SMS that follows would wake the person."""
    stage.set(NIGHTS)
    stage.feed("both.made", "x", phone=PHONE)
    stage.flow.smtp.always(At.RCPT, Say("550 5.1.1 no such user"))
    stage.wait(hours=2)
    waiting = stage.flow.messages()

    stage.wait(hours=8)

    assert [(channel, status) for channel, status, _ in waiting] == [("email", "failed"), ("sms", "deferred")]
    assert waiting[1][2] == "quiet hours until 07:00 Asia/Kolkata"
    assert len(stage.texts()) == 1
    assert stage.states() == ["sent"]


def test_who_is_erased_leaves_nothing_that_waits(stage: Stage) -> None:
    """Wishes, what is held and when they were told go with the person."""
    stage.set({**NIGHTS, "digests": {"texts": {"gather": "accumulate", "every": "1h"}}})
    stage.feed("text.made", "x", to=PHONE)
    stage.wait(hours=3)
    stage.feed("news.made", "a", "b")
    services = stage.flow.services

    done = Eraser(services.database, services.keyring, services.catalog).erase("default", ANN)

    assert done is not None
    assert (done.messages, done.messages_cancelled, done.contacts) == (2, 2, 1)
    assert stage.held() == 0
    assert stage.flow.query("SELECT count(*) FROM contact") == [(0,)]
    assert stage.wait(hours=10) == []
    assert {why for _, state, why in stage.standing() if state == "suppressed"} == {
        "the person's data was erased"
    }


def test_a_digest_forgets_whom_it_named(stage: Stage) -> None:
    """Somebody else was told of the person in a digest, which goes on without them."""
    bob = "bob.roe@example.org"
    stage.set(NIGHTS)
    stage.wait(hours=3)
    stage.together(
        {"type": "news.made", "subject": "x", "data": {"to": [ANN, bob], "host": bob}},
        {"type": "news.made", "subject": "y", "data": {"to": [ANN]}},
    )
    stage.wait(hours=9)
    before = stage.last_text()
    services = stage.flow.services
    run = command(services)
    shown = run("show", stage.flow.one_id("event"), "--body").stdout

    Eraser(services.database, services.keyring, services.catalog).erase("default", bob)

    after = run("show", stage.flow.one_id("event"), "--body").stdout
    assert bob in before
    assert bob in shown
    assert bob not in after
    assert "[erased]" in after


def test_sweeps_that_race_tell_once(stage: Stage) -> None:
    """Four sweeps at the same moment: one digest, and every message accounted for."""
    stage.set(NIGHTS)
    stage.wait(hours=3)
    stage.feed("news.made", *(f"n{number}" for number in range(30)))
    stage.clock.advance(timedelta(hours=9))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: stage.flow.services.releases.run(), range(4)))

    assert stage.wait(seconds=1) == ["30 x News"]
    assert stage.states() == ["superseded"] * 30 + ["sent"]
    assert stage.held() == 0


def test_a_digest_shows_twenty_and_counts_the_rest(stage: Stage) -> None:
    """The newest first."""
    stage.set(NIGHTS)
    stage.wait(hours=3)
    for number in range(23):
        stage.feed("news.made", f"n{number:02}")
        stage.clock.advance(timedelta(seconds=1))

    stage.wait(hours=9)

    text = stage.last_text()
    assert text.index("n22") < text.index("n03")
    assert "n02" not in text
    assert "And 3 more" in text


def test_a_release_that_dies_changes_nothing(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that follows from a bin is one transaction: what stumbles at its last step is told later, once."""
    stage.set(NIGHTS)
    stage.wait(hours=3)
    stage.feed("news.made", "a", "b")

    def dies(*_: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(held, "drop_held", dies)
        stumbled = stage.wait(hours=9)
    waiting = stage.held(), stage.states()

    told = stage.wait(minutes=2)

    assert (stumbled, waiting) == ([], (2, ["pending", "pending"]))
    assert told == ["2 x News"]


def test_two_intakes_at_once_keep_the_budget(stage: Stage) -> None:
    """Whoever counts a person's messages waits for who does already."""
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda name: stage.feed("text.made", name, to=PHONE), "abcdefghijkl"))

    stage.wait(seconds=1)

    assert len(stage.texts()) == 5
    assert stage.held() == 7


def test_what_no_budget_remembers_is_forgotten(stage: Stage) -> None:
    """The newest of each kind stays for the digests, a month at most."""
    stage.feed("text.made", "a", "b", to=PHONE)
    counted = stage.flow.query("SELECT count(*) FROM told")
    services = stage.flow.services

    def forgotten(**span: float) -> list[tuple[Any, ...]]:
        stage.clock.advance(timedelta(**span))
        with services.database.transaction() as connection:
            services.releases.forget(connection)
        return stage.flow.query("SELECT count(*) FROM told")

    assert counted == [(2,)]
    assert forgotten(hours=4) == [(1,)]
    assert forgotten(days=33) == [(0,)]


def test_a_later_word_that_goes_out_at_once_takes_the_waiting_one_along(stage: Stage) -> None:
    """Held in the night; what the same alerts say next is told at once, and says it all."""
    stage.set(NIGHTS)
    stage.wait(hours=3)
    stage.feed("server.down", "web-1", severity="critical")
    held_back = stage.wait(seconds=1), stage.held()
    stage.set({})
    stage.feed("server.recovered", "web-1", severity="critical")

    told = stage.wait(minutes=2)

    assert held_back == ([], 1)
    assert (len(told), stage.held()) == (1, 0)
    assert stage.standing()[0][1:] == (
        "superseded",
        "superseded: the group said more before this could be sent",
    )
    assert stage.wait(hours=9) == []


def test_what_waits_is_explained(stage: Stage) -> None:
    """By the log, by the story of the event, and by why."""
    stage.set(NIGHTS)
    stage.wait(hours=3)
    stage.feed("news.made", "a")
    run = command(stage.flow.services)

    (row,) = lines(run("log", "--status", "deferred", "--json"))
    why = run("explain", row["event_id"])
    again = run("resend", row["id"])

    assert row["reason"] == "quiet hours until 07:00 Asia/Kolkata"
    assert "pending: quiet hours until 07:00 Asia/Kolkata" in why.stdout
    assert "it is still queued and will be sent by itself" in again.stderr
