"""The words of the pages behind a mail's links: every language says everything."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from notifier.setting_tables import Brand
from notifier.store.person_links import PersonLinkView
from notifier.web.page_words import page_words
from notifier.web.unsubscribe_page import State, page, state_of


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _flat(item, f"{path}.{name}")
    else:
        assert isinstance(value, str), path
        yield path, value


@pytest.mark.parametrize("language", ["de", "fr", "es"])
def test_every_language_says_everything(language: str) -> None:
    """The same keys, with the same places to fill in."""
    english, other = (dict(_flat(page_words()[one])) for one in ("en", language))

    assert english.keys() == other.keys()
    for path, text in english.items():
        assert re.findall(r"{\w+}", text) == re.findall(r"{\w+}", other[path]), path
        assert other[path].strip() == other[path] != "", path


def view(**changes: object) -> PersonLinkView:
    """Return the view of a fresh link."""
    fields: dict[str, object] = {
        "category": "news", "locale": "en", "is_expired": False, "is_erased": False, "is_asked": False,
        "is_refused": False, "outcome": None,
    }  # fmt: skip
    return PersonLinkView(**{**fields, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("seen", "state", "code", "offers"),
    [
        (view(), State.OPEN, 200, ["unsubscribe", "all"]),
        (view(is_asked=True), State.ASKED, 200, []),
        (view(is_refused=True), State.REFUSED, 200, ["undo", "all"]),
        (view(is_refused=True, outcome="all"), State.ALL, 200, ["undo"]),
        (view(outcome="undone"), State.UNDONE, 200, ["unsubscribe"]),
        (view(outcome="unsubscribed"), State.OPEN, 200, ["unsubscribe", "all"]),
        (view(outcome="failed"), State.FAILED, 200, ["unsubscribe", "all"]),
        (view(is_expired=True), State.EXPIRED, 410, []),
        (view(is_erased=True, is_expired=True), State.NEUTRAL, 200, []),
        (None, State.UNKNOWN, 404, []),
    ],
)  # fmt: skip
def test_what_a_page_offers_follows_from_what_is_so(
    seen: PersonLinkView | None, state: State, code: int, offers: list[str]
) -> None:
    """A button is there where pressing it would change something."""
    found = state_of(seen)
    shown = page(found, seen, brand=Brand(), titles={})

    assert (found, found.code) == (state, code)
    assert re.findall(r'<button name="do" value="(\w+)"', shown) == offers


def test_words_from_outside_cannot_become_markup() -> None:
    """A category's title and a brand come from files, and are escaped all the same."""
    titles = {"news": {"en": "<b>{what}</b>"}}

    shown = page(State.OPEN, view(), brand=Brand(name="A & <i>B"), titles=titles, preferences='"><x>')

    assert "&lt;b&gt;{what}&lt;/b&gt;" in shown
    assert "A &amp; &lt;i&gt;B" in shown
    assert "<x>" not in shown


def test_a_category_has_the_name_people_give_it() -> None:
    """In their language, else in English, else its own name made readable."""
    titles = {"news": {"en": "News of the shop", "de": "Neues"}}
    shown = [
        page(State.OPEN, view(locale=locale, category=category), brand=Brand(), titles=titles)
        for locale, category in (("de-AT", "news"), ("fr", "news"), ("fr", "big_sale"))
    ]

    assert ["<strong>Neues<" in shown[0], "<strong>News of the shop<" in shown[1], "<strong>Big sale<" in shown[2]] == [
        True
    ] * 3  # fmt: skip
