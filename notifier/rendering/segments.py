"""Count the segments an SMS takes, and so what it costs.

Knows the GSM 7-bit alphabet (3GPP TS 23.038 §6.2.1) and nothing of gateways.
"""

from typing import Final

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
# Each of these takes an escape before it.
_EXTENDED = frozenset("\f^{}\\[~]|€")

_GSM_ALONE: Final = 160
_GSM_JOINED: Final = 153
_UCS2_ALONE: Final = 70
_UCS2_JOINED: Final = 67


def segments(text: str) -> int:
    """Return how many segments the text takes; the header that joins several costs 7 or 3 characters each."""
    if not text:
        return 0
    if all(char in _BASIC or char in _EXTENDED for char in text):
        return _count([2 if char in _EXTENDED else 1 for char in text], _GSM_ALONE, _GSM_JOINED)
    # Outside the basic plane a character is two UTF-16 units, and a segment never cuts one in half.
    return _count([2 if ord(char) > 0xFFFF else 1 for char in text], _UCS2_ALONE, _UCS2_JOINED)  # noqa: PLR2004


def foreign(text: str) -> str:
    """Return the characters, each once, that GSM lacks: one is enough to more than halve a segment."""
    return "".join(dict.fromkeys(char for char in text if char not in _BASIC and char not in _EXTENDED))


def _count(widths: list[int], alone: int, joined: int) -> int:
    if sum(widths) <= alone:
        return 1
    count, used = 1, 0
    for width in widths:
        if used + width > joined:
            count, used = count + 1, 0
        used += width
    return count
