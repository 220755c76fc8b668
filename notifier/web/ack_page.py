"""Write the page on which somebody takes charge of what a message told them, in German or English.

Pure: a link's view comes in, HTML comes out. Every word from outside is escaped.
"""

import base64
import hashlib
from enum import StrEnum
from html import escape

from notifier.store.ack_links import LinkView

_STYLE = (
    "body{margin:0;padding:2rem 1rem;background:#f3f4f6;color:#111827;font:16px/1.5 system-ui,sans-serif}"
    "main{max-width:34rem;margin:0 auto;padding:1.5rem;background:#fff;border-radius:8px}"
    "h1{margin:0 0 .5rem;font-size:1.4rem}p{margin:.5rem 0;overflow-wrap:anywhere}.about{color:#4b5563}"
    "button{margin-top:1rem;padding:.75rem 1.5rem;border:0;border-radius:6px;background:#1f4e8c;color:#fff;"
    "font:inherit;cursor:pointer}"
    "@media(prefers-color-scheme:dark){body{background:#111827;color:#f9fafb}main{background:#1f2937}"
    ".about{color:#d1d5db}}"
)
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
HEADERS = {
    "content-security-policy": (
        f"default-src 'none'; style-src 'sha256-{_HASH}'; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    ),
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-robots-tag": "noindex, nofollow",
}


class State(StrEnum):
    """What the page says."""

    OPEN = "open"
    ASKED = "asked"
    YOURS = "yours"
    TAKEN = "taken"
    OVER = "over"
    FAILED = "failed"
    EXPIRED = "expired"
    UNKNOWN = "unknown"
    TOO_MANY = "too_many"
    AWAY = "away"

    @property
    def code(self) -> int:
        """Return the status of the answer."""
        return _CODES.get(self, 200)


_CODES = {State.EXPIRED: 410, State.UNKNOWN: 404, State.TOO_MANY: 429, State.AWAY: 503}

_WORDS: dict[str, dict[State, tuple[str, str]]] = {
    "en": {
        State.OPEN: ("Is it yours?", "Say so, and nobody else is called."),
        State.ASKED: ("Noted", "It is being written down that you are on it. Reload the page to see it done."),
        State.YOURS: ("You are on it", "This is yours. Nobody else is called, and nobody is reminded."),
        State.TAKEN: ("Somebody is on it already", "There is nothing left for you to do here."),
        State.OVER: ("It is over", "Nothing of what the message told still goes on."),
        State.FAILED: ("It could not be written down", "Something went wrong on our side. Try again."),
        State.EXPIRED: ("This link has expired", "Use the one of the newest message."),
        State.UNKNOWN: ("This link is not valid", "It may be cut off: open it from the message once more."),
        State.TOO_MANY: ("Too many tries", "Wait a minute, then open the link again."),
        State.AWAY: ("Not right now", "We cannot look it up at the moment. Try again in a minute."),
    },
    "de": {
        State.OPEN: ("Übernehmen Sie es?", "Wenn ja, wird sonst niemand gerufen."),
        State.ASKED: ("Notiert", "Es wird gerade festgehalten. Laden Sie die Seite neu, um es zu sehen."),
        State.YOURS: ("Sie kümmern sich darum", "Sonst wird niemand gerufen und niemand erinnert."),
        State.TAKEN: ("Es kümmert sich schon jemand", "Für Sie bleibt hier nichts zu tun."),
        State.OVER: ("Es ist vorbei", "Nichts von dem, was in der Nachricht stand, dauert noch an."),
        State.FAILED: ("Es ließ sich nicht festhalten", "Bei uns ging etwas schief. Versuchen Sie es erneut."),
        State.EXPIRED: ("Dieser Link ist abgelaufen", "Nehmen Sie den der neuesten Nachricht."),
        State.UNKNOWN: ("Dieser Link gilt nicht", "Vielleicht fehlt ein Stück: Öffnen Sie ihn aus der Nachricht."),
        State.TOO_MANY: ("Zu viele Versuche", "Warten Sie eine Minute, dann öffnen Sie den Link erneut."),
        State.AWAY: ("Gerade nicht", "Wir können im Moment nicht nachsehen. Versuchen Sie es gleich noch einmal."),
    },
}  # fmt: skip
_BUTTON = {"en": "I am on it", "de": "Ich kümmere mich"}
_ABOUT = {"en": "About", "de": "Es geht um"}


def state_of(view: LinkView | None) -> State:
    """Return what there is to say of a link."""
    if view is None:
        return State.UNKNOWN
    if view.is_asked:
        return State.ASKED
    if view.firing:
        if view.is_expired:
            return State.EXPIRED
        return State.FAILED if view.outcome == "failed" else State.OPEN
    if view.taken:
        return State.YOURS if view.outcome == "taken" else State.TAKEN
    return State.OVER


def page(state: State, view: LinkView | None, *, languages: str = "") -> str:
    """Return the page; ``languages`` is the browser's wish, used where the link does not say whose it is."""
    language = _language(view.locale if view is not None else languages)
    title, text = _WORDS[language][state]
    about = ""
    if view is not None:
        subject, rule = escape(view.subject), escape(view.rule)
        about = f'<p class="about">{_ABOUT[language]}: <strong>{subject}</strong> ({rule})</p>'
    has_button = state in (State.OPEN, State.FAILED)
    form = f'<form method="post"><button>{_BUTTON[language]}</button></form>' if has_button else ""
    return (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head>"
        f"<body><main><h1>{title}</h1>{about}<p>{text}</p>{form}</main></body></html>\n"
    )


def _language(wish: str) -> str:
    return "de" if wish.strip().lower().startswith("de") else "en"
