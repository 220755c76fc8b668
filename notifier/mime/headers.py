"""Write header fields: fold at 76 columns, encode words, quote names.

Knows three kinds of value: prose (may be encoded), names of people, and opaque tokens such as URLs and
message ids, which are never encoded. Never decides which headers a mail gets.
"""

import binascii
import re
from collections.abc import Callable, Iterable

from notifier.mime.errors import HeaderError

LINE_LIMIT = 998
# RFC 2047 §2: an encoded word has at most 75 characters, a line that holds one at most 76.
FOLD_AT = 76
_WORD = 75
_OPENING, _CLOSING = "=?utf-8?{}?", "?="
_WORD_FRAME = len(_OPENING.format("q")) + len(_CLOSING)

_FORBIDDEN = re.compile(r"[\r\n\x00]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_FIELD_NAME = re.compile(r"[!-9;-~]{1,76}")
# RFC 5322 §3.2.3 atoms joined by single blanks: a phrase that needs no quotes.
_PLAIN_PHRASE = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
# The set RFC 2047 §5 (3) allows within a phrase; safe everywhere else too.
_Q_SAFE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/")


def is_opaque(value: str) -> bool:
    """Say whether a value can be written as it is: printable ASCII."""
    return value.isascii() and not _CONTROL.search(value)


def check_name(name: str) -> str:
    """Return a field name fit for the wire.

    Raises:
        HeaderError: without quoting the name, which is as untrusted as a value.
    """
    if not _FIELD_NAME.fullmatch(name):
        raise HeaderError("header name", "must be printable ASCII without blank or colon, 76 at most")
    return name


def check_value(name: str, value: str) -> str:
    """Return a value that cannot end its own header.

    Raises:
        HeaderError: for CR, LF, NUL or a lone surrogate.
    """
    if _FORBIDDEN.search(value):
        raise HeaderError(name, "holds a line break or NUL")
    if not value.isascii() and _SURROGATE.search(value):
        raise HeaderError(name, "holds half of a character (a lone surrogate)")
    return value


def prose(name: str, value: str) -> str:
    """Write a header of human text, such as Subject."""
    check_value(name, value)
    if _is_plain(value):
        return fold(name, value.split(" "))
    return _fold_words(name, encoded_words(value, len(name) + 2))


def opaque(name: str, value: str) -> str:
    """Write a header of URLs, ids or keywords: folded between them, never encoded.

    Mailbox providers ignore List-Unsubscribe in encoded words (python/cpython#85725).
    """
    check_value(name, value)
    if not is_opaque(value):
        raise HeaderError(name, "must be ASCII: encode the URL or id first")
    return fold(name, value.split())


def mailbox(name: str, display: str | None, address: str) -> str:
    """Write a header of one mailbox: From, To, Reply-To. ``address`` is in wire form already."""
    if not display:
        return fold(name, [address])
    return fold(name, [*_phrase(name, display), f"<{address}>"])


def fold(name: str, tokens: Iterable[str]) -> str:
    """Join tokens by blanks and break the line before whichever passes 76 columns.

    Raises:
        HeaderError: when one token alone is longer than a line may be.
    """
    lines: list[str] = []
    line = f"{name}:"
    for token in tokens:
        if len(token) > LINE_LIMIT - FOLD_AT:
            raise HeaderError(name, f"holds a word longer than {LINE_LIMIT - FOLD_AT} octets")
        # The first token stays on the first line: some parsers dislike an empty one.
        if len(line) + 1 + len(token) > FOLD_AT and (lines or not line.endswith(":")):
            lines.append(line)
            line = ""
        line = f"{line} {token}"
    return "\r\n".join([*lines, line]) + "\r\n"


def encoded_words(value: str, used: int) -> list[str]:
    """Cut a text into RFC 2047 words on character boundaries; the first line has ``used`` columns taken."""
    encoding, encode, width = _cheaper_encoding(value)
    room = min(_WORD, FOLD_AT - used)
    if room < _WORD // 2:  # a long field name: the first word goes to the second line
        room = _WORD
    words, start, length = [], 0, 0
    room -= _WORD_FRAME
    for position, char in enumerate(value):
        more = width(char)
        if length and _coded(encoding, length + more) > room:
            words.append(value[start:position])
            start, length, room = position, 0, _WORD - _WORD_FRAME
        length += more
    words.append(value[start:])
    opening = _OPENING.format(encoding)
    return [f"{opening}{encode(word)}{_CLOSING}" for word in words]


def _fold_words(name: str, words: list[str]) -> str:
    opening = f"{name}: " if len(name) + 2 + len(words[0]) <= FOLD_AT else f"{name}:\r\n "
    return opening + "\r\n ".join(words) + "\r\n"


def _is_plain(value: str) -> bool:
    if not value.isascii() or "=?" in value or "  " in value or _CONTROL.search(value):
        return False
    if value != value.strip(" ") or not value:
        return not value
    return len(value) <= FOLD_AT // 2 or max(map(len, value.split(" "))) < FOLD_AT // 2


def _phrase(name: str, display: str) -> list[str]:
    check_value(f"{name} name", display)
    display = re.sub(r"[ \t]+", " ", display).strip(" ")
    if _is_plain(display):
        if _PLAIN_PHRASE.fullmatch(display):
            return display.split(" ")
        # Cut at blanks inside the quotes: the fold keeps them, so a comma cannot split the address.
        escaped = display.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'.split(" ") if display else []
    return encoded_words(display, len(name) + 2)


def _cheaper_encoding(value: str) -> tuple[str, Callable[[str], str], Callable[[str], int]]:
    quoted = sum(map(_q_width, value))
    if quoted <= _coded("b", len(value.encode())):
        return "q", _q_encode, _q_width
    return "b", _b_encode, _b_width


def _coded(encoding: str, length: int) -> int:
    return length if encoding == "q" else (length + 2) // 3 * 4


def _q_width(char: str) -> int:
    return 1 if char in _Q_SAFE or char == " " else 3 * len(char.encode())


def _b_width(char: str) -> int:
    return len(char.encode())


def _q_encode(text: str) -> str:
    return "".join(
        char if char in _Q_SAFE else "_" if char == " " else "".join(f"={byte:02X}" for byte in char.encode())
        for char in text
    )


def _b_encode(text: str) -> str:
    return binascii.b2a_base64(text.encode(), newline=False).decode()
