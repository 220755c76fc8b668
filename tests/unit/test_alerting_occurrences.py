"""One alert's state follows what was said of it, whatever order the words arrive in."""

from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from notifier.alerts import AlertState, AlertStatus, Newest, Signal
from notifier.rules.alerting.flapping import Flapping
from notifier.rules.alerting.occurrences import acknowledge, pass_time, receive, remember, unacknowledge
from notifier.rules.alerting.sightings import Reading

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
TTL = timedelta(minutes=15)
FIRING, RESOLVED, ACKNOWLEDGED = AlertStatus.FIRING, AlertStatus.RESOLVED, AlertStatus.ACKNOWLEDGED


def at(minutes: float) -> datetime:
    """Return the moment so many minutes after the start."""
    return START + timedelta(minutes=minutes)


def word(status: AlertStatus, minutes: float, **fields: object) -> Signal:
    """Return what was said so many minutes after the start; the text names the moment."""
    text = fields.pop("text", f"{status}@{minutes}")
    known = {"severity": 1, "labels": {"host": "web-1"}, **fields}
    newest = Newest(type="server.state", subject="web-1", data={"text": text})
    return Signal(status=status, at=at(minutes), newest=newest, **known)  # type: ignore[arg-type]


def hear(*words: Signal, state: AlertState | None = None, now: float | None = None, ttl: timedelta | None = None,
         flapping: Flapping | None = None) -> AlertState:  # fmt: skip
    """Return the state after these words, each heard when it was said, or all of them ``now``."""
    state = state or AlertState()
    for one in words:
        moment = one.at if now is None else at(now)
        state = receive(state, one, moment, ttl=ttl, flapping=flapping)
    return state


def text_of(state: AlertState) -> object:
    """Return the newest words."""
    return state.newest.data["text"] if state.newest is not None else None


def test_an_alert_begins_with_its_first_word() -> None:
    """From then on it fires, and has its first occurrence."""
    state = hear(word(FIRING, 3))

    assert (state.status, state.occurrence, state.started_at) == (FIRING, 1, at(3))
    assert (state.severity, state.labels, text_of(state)) == (1, {"host": "web-1"}, "firing@3")
    assert state.due_at is None


def test_the_same_again_is_no_new_occurrence() -> None:
    """It keeps its beginning and has the newest words, labels and severity."""
    state = hear(word(FIRING, 0), word(FIRING, 5, severity=3, labels={"host": "web-1", "site": "b"}))

    assert (state.occurrence, state.started_at, text_of(state)) == (1, at(0), "firing@5")
    assert (state.severity, state.labels) == (3, {"host": "web-1", "site": "b"})


def test_older_words_move_only_the_beginning() -> None:
    """What comes late may know of an earlier start, and nothing else."""
    state = hear(word(FIRING, 5), word(FIRING, 2, severity=3), now=6)

    assert (state.occurrence, state.started_at) == (1, at(2))
    assert (state.severity, text_of(state), state.heard_at) == (1, "firing@5", at(5))


def test_two_sources_give_the_earliest_beginning_and_the_newest_words() -> None:
    """Overlapping activity is one occurrence, whoever tells of it."""
    state = hear(
        word(FIRING, 10, begins_at=at(9)),
        word(FIRING, 11, begins_at=at(7)),
        word(FIRING, 12, begins_at=at(8)),
    )

    assert (state.occurrence, state.started_at, text_of(state)) == (1, at(7), "firing@12")


def test_of_two_ends_the_latest_counts() -> None:
    """Told twice that it is over, in any order: same occurrence, latest end."""
    words = (
        word(RESOLVED, 20, ends_at=at(18), text="first"),
        word(RESOLVED, 22, ends_at=at(21), text="second"),
        word(RESOLVED, 22, ends_at=at(15), text="second"),
    )

    for order in permutations(words):
        state = hear(word(FIRING, 10), *order, now=23)
        assert (state.occurrence, state.started_at, state.ended_at) == (1, at(10), at(21))
        assert text_of(state) == "second"


def test_of_two_ends_that_a_firing_word_brings_the_latest_counts() -> None:
    """As when a source says from when to when it fired."""
    words = (
        word(FIRING, 20, begins_at=at(14), ends_at=at(18), text="first"),
        word(FIRING, 22, begins_at=at(13), ends_at=at(21), text="second"),
        word(FIRING, 22, begins_at=at(13), ends_at=at(16), text="second"),
    )

    for last in (words[1:], words[:0:-1]):
        state = hear(word(FIRING, 12, begins_at=at(12)), words[0], *last)
        assert (state.status, state.occurrence) == (RESOLVED, 1)
        assert (state.started_at, state.ended_at, text_of(state)) == (at(12), at(21), "second")


def test_what_begins_after_the_end_is_another_occurrence() -> None:
    """No overlap, no merge."""
    state = hear(word(FIRING, 0), word(RESOLVED, 5), word(FIRING, 6, begins_at=at(5.5)))

    assert (state.status, state.occurrence, state.started_at) == (FIRING, 2, at(5.5))
    assert (state.ended_at, state.is_firing) == (at(5), True)


def test_what_was_taken_for_over_and_goes_on_has_its_old_beginning() -> None:
    """Silence ended it; the source says that it fires since before."""
    over = pass_time(hear(word(FIRING, 0, begins_at=at(0)), ttl=TTL), at(15), None)

    state = hear(word(FIRING, 20, begins_at=at(0)), state=over, ttl=TTL)

    assert (over.status, over.ended_at) == (RESOLVED, at(15))
    assert (state.status, state.occurrence, state.started_at) == (FIRING, 2, at(0))


@pytest.mark.parametrize(
    ("words", "status", "occurrence"),
    [
        pytest.param([word(FIRING, 1), word(RESOLVED, 3)], RESOLVED, 1, id="in order"),
        pytest.param([word(RESOLVED, 3), word(FIRING, 1)], AlertStatus.QUIET, 0, id="the end came first"),
        pytest.param([word(FIRING, 5), word(RESOLVED, 3)], FIRING, 1, id="an end from before"),
        pytest.param([word(FIRING, 1), word(RESOLVED, 3), word(FIRING, 2)], RESOLVED, 1, id="late, and over"),
        pytest.param([word(FIRING, 1), word(RESOLVED, 3), word(FIRING, 4)], FIRING, 2, id="again"),
        pytest.param([word(FIRING, 3), word(RESOLVED, 3)], RESOLVED, 1, id="of one moment the end counts"),
        pytest.param([word(RESOLVED, 3), word(FIRING, 3)], AlertStatus.QUIET, 0, id="in either order"),
        pytest.param([word(ACKNOWLEDGED, 3)], AlertStatus.QUIET, 0, id="nothing to take charge of"),
        pytest.param([word(FIRING, 1), word(ACKNOWLEDGED, 2)], ACKNOWLEDGED, 1, id="somebody has charge"),
        pytest.param([word(FIRING, 4), word(ACKNOWLEDGED, 2)], FIRING, 1, id="charge of what was before"),
        pytest.param(
            [word(FIRING, 1), word(ACKNOWLEDGED, 2), word(FIRING, 3)], ACKNOWLEDGED, 1, id="charge stays"
        ),
        pytest.param(
            [word(FIRING, 1), word(ACKNOWLEDGED, 2), word(RESOLVED, 3), word(FIRING, 4)],
            FIRING, 2, id="until it is over",
        ),
    ],
)  # fmt: skip
def test_the_newest_word_counts(words: list[Signal], status: AlertStatus, occurrence: int) -> None:
    """Whatever order they arrive in."""
    state = hear(*words, now=10)

    assert (state.status, state.occurrence) == (status, occurrence)


def test_an_end_that_comes_late_parts_two_occurrences() -> None:
    """It was over in between: what fires now began after, and charge of what was before is void."""
    before = hear(word(FIRING, 1), word(ACKNOWLEDGED, 2), word(FIRING, 5))

    state = hear(word(RESOLVED, 3), state=before, now=6)
    taken = hear(word(RESOLVED, 3), state=acknowledge(hear(word(FIRING, 5)), "Ann", at(6)), now=7)

    assert (state.status, state.occurrence, state.started_at, state.ended_at) == (FIRING, 2, at(5), at(3))
    assert (taken.status, taken.occurrence) == (ACKNOWLEDGED, 1)


def test_an_end_that_is_still_to_come_is_no_end() -> None:
    """Who says that it is over says so now."""
    state = hear(word(FIRING, 0), word(RESOLVED, 5, ends_at=at(60)))

    assert (state.status, state.ended_at) == (RESOLVED, at(5))


def test_what_was_not_heard_of_for_long_enough_is_over() -> None:
    """The wait runs from the newest word."""
    state = hear(word(FIRING, 0), word(FIRING, 10), ttl=TTL)

    assert state.due_at == at(25)
    assert pass_time(state, at(24.99), None) == state
    over = pass_time(state, at(25), None)
    assert (over.status, over.ended_at, over.due_at) == (RESOLVED, at(25), None)


@pytest.mark.parametrize(
    ("words", "due"),
    [
        pytest.param([word(FIRING, 0, ends_at=at(40))], 40, id="the source says until when"),
        pytest.param([word(FIRING, 0), word(FIRING, 3, ends_at=at(4))], 4, id="its newest word counts"),
        pytest.param([word(FIRING, 0, ends_at=at(4)), word(FIRING, 3)], 18, id="also when it says less"),
        pytest.param(
            [word(FIRING, 5, ends_at=at(9)), word(FIRING, 3, ends_at=at(99))], 9, id="not an older one"
        ),
    ],
)
def test_an_end_that_is_known_before_holds(words: list[Signal], due: float) -> None:
    """It is over then without another word."""
    state = hear(*words, ttl=TTL, now=None)

    assert state.due_at == at(due)


def test_what_was_over_before_it_was_heard_of_never_fires() -> None:
    """It has had its occurrence."""
    state = hear(word(FIRING, 0, ends_at=at(2)), now=10)

    assert (state.status, state.occurrence, state.ended_at) == (RESOLVED, 1, at(2))


def test_charge_is_taken_and_given_back() -> None:
    """By name and moment, and only of what fires."""
    state = hear(word(FIRING, 0))

    taken = acknowledge(state, "Ann", at(4))

    assert (taken.acknowledged_by, taken.acknowledged_at, taken.is_firing) == ("Ann", at(4), True)
    assert acknowledge(taken, "Bob", at(5)) == taken
    assert unacknowledge(taken) == state
    assert unacknowledge(state) == state
    assert acknowledge(AlertState(), "Ann", at(4)) == AlertState()


def test_what_changes_too_often_is_held_until_it_is_steady() -> None:
    """Two thresholds: held at four changes, let go at one."""
    flapping = Flapping(within=timedelta(minutes=10), hold_at=4, release_at=1)
    words = [word(FIRING if minute % 2 else RESOLVED, minute) for minute in range(1, 5)]

    third, fourth = hear(*words[:3], flapping=flapping), hear(*words, flapping=flapping)
    released = pass_time(fourth, at(13), flapping)

    assert (third.is_held, fourth.is_held) == (False, True)
    assert fourth.due_at == at(13)
    assert pass_time(fourth, at(12.9), flapping).is_held
    assert (released.is_held, released.due_at) == (False, None)


def test_a_detectors_memory_is_kept_beside_the_state() -> None:
    """Of a quiet alert also whom it is about: time alone may fire it."""
    reading = Reading(memory={"kind": "count"}, due_at=at(9))

    quiet = remember(AlertState(), reading, word(AlertStatus.QUIET, 0))
    firing = remember(hear(word(FIRING, 0)), reading, word(AlertStatus.QUIET, 1, labels={"host": "x"}))

    assert (quiet.memory, quiet.due_at, quiet.labels) == ({"kind": "count"}, at(9), {"host": "web-1"})
    assert (firing.labels, text_of(firing)) == ({"host": "web-1"}, "firing@0")


def test_words_of_one_moment_lead_to_one_state() -> None:
    """The order of arrival says nothing."""
    first, *others = word(FIRING, 1), word(FIRING, 2), word(RESOLVED, 2), word(RESOLVED, 2, ends_at=at(1.5))

    states = [hear(first, *order, now=5) for order in permutations(others)]

    assert {(one.status, one.occurrence, one.started_at, one.ended_at) for one in states} == {
        (RESOLVED, 1, at(1), at(2))
    }
