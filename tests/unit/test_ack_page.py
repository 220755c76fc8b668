"""The page of an acknowledge link, and the throttle before it: pure."""

import pytest

from notifier.store.ack_links import LinkView
from notifier.web.ack_page import State, page, state_of
from notifier.web.throttle import Throttle


def view(**changes: object) -> LinkView:
    """Return the view of a fresh link whose one alert fires."""
    fields: dict[str, object] = {
        "rule": "server-down", "subject": "web-1", "locale": "en", "is_expired": False, "is_asked": False,
        "outcome": None, "firing": 1, "taken": 0,
    }  # fmt: skip
    return LinkView(**{**fields, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("seen", "state", "code"),
    [
        (view(), State.OPEN, 200),
        (view(is_asked=True), State.ASKED, 200),
        (view(firing=0, taken=1, outcome="taken"), State.YOURS, 200),
        (view(firing=0, taken=1), State.TAKEN, 200),
        (view(firing=0, taken=1, outcome="already"), State.TAKEN, 200),
        (view(firing=0), State.OVER, 200),
        (view(firing=0, outcome="taken"), State.OVER, 200),
        (view(outcome="taken"), State.OPEN, 200),
        (view(outcome="failed"), State.FAILED, 200),
        (view(is_expired=True), State.EXPIRED, 410),
        (view(is_expired=True, firing=0), State.OVER, 200),
        (None, State.UNKNOWN, 404),
    ],
)  # fmt: skip
def test_what_a_page_says_follows_from_what_is_so(seen: LinkView | None, state: State, code: int) -> None:
    """The button is there where pressing it would change something."""
    found = state_of(seen)

    assert (found, found.code) == (state, code)
    assert ("<button>" in page(found, seen)) == (state in (State.OPEN, State.FAILED))


@pytest.mark.parametrize("state", list(State))
def test_every_state_has_words_in_both_languages(state: State) -> None:
    """By the link's locale; without a link by the browser's."""
    english, german = page(state, view(locale="en")), page(state, view(locale="de-AT"))

    assert '<html lang="en">' in english
    assert '<html lang="de">' in german
    assert (
        english.partition("<title>")[2].partition("<")[0] != german.partition("<title>")[2].partition("<")[0]
    )
    assert '<html lang="de">' in page(state, None, languages="de-DE,de;q=0.9,en;q=0.5")
    assert '<html lang="en">' in page(state, None, languages="fr")


def test_words_from_outside_cannot_become_markup() -> None:
    """Subjects come from events."""
    shown = page(State.OPEN, view(subject="<script>alert(1)</script>", rule='"><img>'))

    assert "<script>" not in shown
    assert "<img>" not in shown
    assert "&lt;script&gt;" in shown


def test_a_client_that_goes_on_is_not_listened_to_until_its_minute_is_over() -> None:
    """Others are; going on meanwhile does not make it longer."""
    now = [0.0]
    throttle = Throttle(2, seconds=60, timer=lambda: now[0])

    for second in (0.0, 30.0):
        now[0] = second
        throttle.count("a")

    assert not throttle.is_open("a")
    assert throttle.is_open("b")
    now[0] = 61.0
    assert throttle.is_open("a")
