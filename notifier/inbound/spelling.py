"""Spell Latin letters without their accents: replies are ASCII (RFC 5321 §2.4), so servers leave accents out.

Leaves all other scripts as they are.
"""

import unicodedata

_WHOLE = {"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "\u0131": "i", "þ": "th", "ð": "d"}
_LATIN = (*range(0xC0, 0x250), *range(0x1E00, 0x1F00))
_MARKS = range(0x300, 0x370)


def _bases() -> dict[int, str | None]:
    """Return what stands for each letter with an accent; marks that stand alone go."""
    found: dict[int, str | None] = dict.fromkeys(_MARKS)
    for code in _LATIN:
        base = unicodedata.normalize("NFD", chr(code))[0]
        if base.isascii() and base.isalpha():
            found[code] = base
    return found | {ord(letter): plain for letter, plain in _WHOLE.items()}


_PLAIN = _bases()


def without_accents(text: str) -> str:
    """Return a text in lower case letters as servers without accents would write it; patterns stay patterns."""
    return text if text.isascii() else unicodedata.normalize("NFC", text).translate(_PLAIN)
