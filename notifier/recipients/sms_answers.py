"""Word what is answered to an SMS, in German or English, short enough for one.

Pure: says what came of it; decides nothing.
"""

from collections.abc import Sequence

_SHOWN = 4
_SUBJECT = 30

_WORDS = {
    "en": {
        "taken": "You are on it: {about}. Nobody else is called.",
        "already": "Somebody is on it already: {about}.",
        "over": "It is over already: {about}.",
        "which": "Several are open. Answer with the code of the one you take: {codes}",
        "none": "Nothing is open for you right now.",
        "no_code": "The code {code} is not open. {rest}",
        "stopped": "You get no more texts from us. Answer START to get them again.",
        "started": "You get texts from us again. Answer STOP to end them.",
        "help": "Answer with the code of an alert to take it, STOP to get no more texts. {rest}",
        "open": "Open: {codes}",
    },
    "de": {
        "taken": "Sie kümmern sich: {about}. Sonst wird niemand gerufen.",
        "already": "Es kümmert sich schon jemand: {about}.",
        "over": "Es ist schon vorbei: {about}.",
        "which": "Mehreres ist offen. Antworten Sie mit dem Code: {codes}",
        "none": "Für Sie ist gerade nichts offen.",
        "no_code": "Der Code {code} ist nicht offen. {rest}",
        "stopped": "Sie bekommen keine SMS mehr von uns. START schaltet sie wieder ein.",
        "started": "Sie bekommen wieder SMS von uns. STOP beendet sie.",
        "help": "Antworten Sie mit dem Code einer Meldung, um sie zu übernehmen, oder STOP. {rest}",
        "open": "Offen: {codes}",
    },
}


def answer(what: str, locale: str, *, about: str = "", code: str = "", codes: Sequence[str] = ()) -> str:
    """Return the words for what came of it; ``codes`` are those that are open, with what they stand for."""
    words = _WORDS["de" if locale.lower().startswith("de") else "en"]
    listed = ", ".join(codes[:_SHOWN]) + ("…" if len(codes) > _SHOWN else "")
    rest = words["open"].format(codes=listed) if codes else words["none"]
    return words[what].format(about=about, code=code, codes=listed, rest=rest)


def short(subject: str) -> str:
    """Return a subject as an SMS has room for it."""
    return subject if len(subject) <= _SUBJECT else subject[: _SUBJECT - 1] + "…"
