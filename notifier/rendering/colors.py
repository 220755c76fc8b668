"""Read colours and judge whether text on them can be read (WCAG 2.2, contrast minimum 1.4.3).

Never guesses: what is not ``#rgb`` or ``#rrggbb`` is refused, so that no data reaches a style as CSS.
"""

import re
from functools import lru_cache

from notifier.rendering.formats import FormatError

CONTRAST = 4.5
"""The ratio text needs against its ground."""

_HEX = re.compile(r"#(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})")
_WHITE, _BLACK = "#ffffff", "#000000"
# WCAG 2.2, relative luminance: where the sRGB curve turns from a line into a power.
_LINEAR_BELOW = 0.04045


def css_color(value: object) -> str:
    """Return the colour as ``#rrggbb`` in small letters.

    Raises:
        FormatError: not a hexadecimal colour.
    """
    if not isinstance(value, str) or not _HEX.fullmatch(value):
        raise FormatError("must be a colour such as #1d4ed8")
    digits = value[1:].lower()
    return "#" + (digits if len(digits) == len("rrggbb") else "".join(digit * 2 for digit in digits))


def on_color(value: object) -> str:
    """Return white or black, whichever reads better on the colour; one of them always reaches 4.5.

    Raises:
        FormatError: not a hexadecimal colour.
    """
    return _ink_on(css_color(value))


@lru_cache(maxsize=256)
def _ink_on(ground: str) -> str:
    return max((_WHITE, _BLACK), key=lambda ink: contrast(ink, ground))


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colours, from 1 to 21."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(color: str) -> float:
    digits = css_color(color)[1:]
    red, green, blue = (_linear(int(digits[at : at + 2], 16) / 255) for at in (0, 2, 4))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= _LINEAR_BELOW else ((channel + 0.055) / 1.055) ** 2.4
