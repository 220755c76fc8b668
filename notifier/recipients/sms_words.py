"""Read what a person answered by SMS: a code, "all of it", stop, start, or something nobody can act on.

Pure: words in, meaning out. Whoever they come from and what is open is not known here.
"""

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum


class Wish(StrEnum):
    """What somebody wants."""

    ACKNOWLEDGE = "ack"
    STOP = "stop"
    START = "start"
    HELP = "help"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What somebody said; an acknowledgement may name a code."""

    wish: Wish
    code: str | None = None


# The carriers' words, as Twilio knows them (https://help.twilio.com/articles/223134027), and their German ones.
# Only alone: "stop the server" is no wish to be left alone.
_STOP = frozenset(
    "stop stopall stopp unsubscribe cancel end quit revoke optout abmelden beenden".split()  # noqa: SIM905
)
_START = frozenset("start unstop yes anmelden".split())  # noqa: SIM905
_HELP = frozenset("help info hilfe".split())  # noqa: SIM905
_TAKE = frozenset("a ack acknowledge ok taken übernehme übernommen".split())  # noqa: SIM905
_CODE = re.compile(r"([0-9])\s*([a-z])")


def read_sms(text: str) -> Said:
    """Return what a text wants."""
    words = re.sub(r"[^\w\s]|_", " ", unicodedata.normalize("NFKC", text).casefold()).split()
    said = " ".join(words)
    for known, wish in (
        (_STOP, Wish.STOP),
        (_START, Wish.START),
        (_HELP, Wish.HELP),
        (_TAKE, Wish.ACKNOWLEDGE),
    ):
        if said in known or said.replace(" ", "") in known & {"optout", "stopall"}:
            return Said(wish=wish)
    rest = " ".join(words[1:]) if len(words) > 1 and words[0] in _TAKE else said
    if found := _CODE.fullmatch(rest):
        return Said(wish=Wish.ACKNOWLEDGE, code=f"{found[1]}{found[2]}".upper())
    return Said(wish=Wish.UNKNOWN)
