"""Write the page on which somebody stops one kind of mail, or all that may be stopped, or takes that back.

Pure: a link's view comes in, HTML comes out. Every word from outside is escaped.
"""

from collections.abc import Mapping
from enum import StrEnum
from html import escape

from notifier.setting_tables import Brand
from notifier.store.person_links import PersonLinkView
from notifier.web.link_frame import frame, language_of, title_of
from notifier.web.page_words import page_words


class State(StrEnum):
    """What the page says."""

    OPEN = "open"
    ASKED = "asked"
    REFUSED = "refused"
    ALL = "all"
    UNDONE = "undone"
    FAILED = "failed"
    EXPIRED = "expired"
    NEUTRAL = "neutral"
    UNKNOWN = "unknown"
    TOO_MANY = "too_many"
    AWAY = "away"

    @property
    def code(self) -> int:
        """Return the status of the answer."""
        return _CODES.get(self, 200)


_CODES = {State.EXPIRED: 410, State.UNKNOWN: 404, State.TOO_MANY: 429, State.AWAY: 503}
_OFFERS: Mapping[State, tuple[str, ...]] = {
    State.OPEN: ("one", "all"),
    State.FAILED: ("one", "all"),
    State.UNDONE: ("one",),
    State.REFUSED: ("undo", "all"),
    State.ALL: ("undo",),
}
"""What each page lets its reader do; the first is the plain thing."""
_DOES = {"one": "unsubscribe", "all": "all", "undo": "undo"}
_LINKED = frozenset({*_OFFERS, State.ASKED})


def state_of(view: PersonLinkView | None) -> State:
    """Return what there is to say of a link."""
    if view is None:
        return State.UNKNOWN
    first = (
        (view.is_erased, State.NEUTRAL),
        (view.is_expired, State.EXPIRED),
        (view.is_asked, State.ASKED),
        (view.outcome == "failed", State.FAILED),
        (view.is_refused, State.ALL if view.outcome == "all" else State.REFUSED),
        (view.outcome == "undone", State.UNDONE),
    )
    return next((state for holds, state in first if holds), State.OPEN)


def page(
    state: State,
    view: PersonLinkView | None,
    *,
    brand: Brand,
    titles: Mapping[str, Mapping[str, str]],
    languages: str = "",
    preferences: str = "",
    is_offered: bool = True,
) -> str:
    """Return the page.

    Args:
        state: What it says.
        view: What the link is for; None for one that is none.
        brand: Whose mails they are.
        titles: What people call each category, by language.
        languages: The browser's wish, used where the link does not say whose it is.
        preferences: Where all settings are, relative to this page.
        is_offered: Show the buttons; elsewhere they would not know what to do.
    """
    words = page_words()
    language = language_of(words, view.locale if view is not None else "", languages)
    said = words[language]["unsubscribe"]
    title, text = said[state]["title"], said[state]["text"]
    what = title_of(view.category, titles, language) if view is not None else ""
    body = f'<p role="status">{escape(text).format(what=f"<strong>{escape(what)}</strong>")}</p>'
    buttons = "".join(
        f'<button name="do" value="{_DOES[offer]}"{"" if index == 0 else " class=second"}>'
        f"{escape(said['buttons'][offer])}</button>"
        for index, offer in enumerate(_OFFERS.get(state, ()))
    )
    if buttons and is_offered:
        body += f'<form method="post" class="row">{buttons}</form>'
    if preferences and state in _LINKED:
        body += f'<hr><p><a href="{escape(preferences)}">{escape(said["buttons"]["more"])}</a></p>'
    return frame(title, body, language=language, brand=brand)
