"""Find the words of a report for people that are about one of its recipients.

Knows lists, blocks and transcripts; finds no recipient and decides no reason.
"""

import re
from collections.abc import Sequence
from typing import Protocol

from notifier.inbound.addresses import ADDRESS

_BLOCK = 60
"""Lines that are about one recipient at most."""
_ANSWER = 3
"""Lines behind one that names a recipient which may go on with it, or answer it."""
_HEAD = re.compile(r"^\s{0,8}-{3,}\s?\w.{0,100}\w\s?-{3,}\s{0,8}$")
"""A heading as Sendmail draws them."""
_PASSED = re.compile(r"\bsuccess", re.IGNORECASE)
_TAKEN = re.compile(r"(?<![\d.])2[0-5]\d[ -]{1,2}2\.\d{1,2}\.\d")
"""A reply that takes a recipient, or a message."""
_WORDS = re.compile(r"\w{3}")
_DATED = re.compile(r"([ \t]{0,40})\S.{0,200} (?:on|am|um|le|il|el|em|op) .{0,40}\d{1,2}[:.h]\d\d")
"""How Exchange begins what it says of a recipient, by address or by display name."""
_COMMAND = re.compile(r"^\W{0,6}(?:rcpt|mail) (?:to|from):\S{0,300}\s*$", re.IGNORECASE)


class Named(Protocol):
    """A recipient, and the lines that begin with them."""

    address: str
    line: int
    again: list[int]


def without_passed(lines: list[str]) -> list[str]:
    """Return lines with those blank that are of recipients who got it, as a heading says or the reply beside."""
    has_passed = False
    kept = []
    for line in lines:
        if _HEAD.match(line):
            has_passed = _PASSED.search(line) is not None
        kept.append("" if has_passed or _TAKEN.search(line) else line)
    return kept


def words_about(lines: list[str], one: Named, chosen: Sequence[Named]) -> str:
    """Return the lines about a recipient: from theirs to the next one's; a bare list shares what follows it.

    Of what is shared, as a transcript of all is, the lines that name the recipient say more.
    """
    starts = sorted(start for other in chosen for start in (other.line, *other.again))
    words = "\n".join(_block(lines, start, starts) for start in (one.line, *one.again))
    later = [other.line for other in chosen if other.line > one.line]
    is_bare = bool(later) and not _says(words)
    if is_bare or _names_another(words, one, chosen):
        own = _lines_naming(lines, one)
        if _says(own):
            return own
    if is_bare:
        last = max(later)
        return "\n".join(lines[last : last + _BLOCK])
    return words


def _block(lines: list[str], start: int, starts: list[int]) -> str:
    """Return the lines from one that begins with a recipient to the next such line."""
    end = min(min((other for other in starts if other > start), default=len(lines)), start + _BLOCK)
    if own := _DATED.match(lines[start]):
        nexts = ((number, _DATED.match(lines[number])) for number in range(start + 1, end))
        end = next((number for number, found in nexts if found and found[1] == own[1]), end)
    return "\n".join(lines[start:end])


def _says(words: str) -> bool:
    """Whether there is more than addresses and commands."""
    rest = "\n".join(line for line in words.split("\n") if not _COMMAND.match(line))
    return _WORDS.search(ADDRESS.sub("", rest)) is not None


def _names_another(words: str, one: Named, chosen: Sequence[Named]) -> bool:
    text = words.lower()
    return any(other.address.lower() in text for other in chosen if other is not one)


def _lines_naming(lines: list[str], one: Named) -> str:
    """Return the lines that name a recipient, each with what goes on with it or answers it."""
    address = one.address.lower()
    found: list[str] = []
    left = 0
    for line in lines[one.line + 1 :]:
        if "@" in line:
            left = _ANSWER + 1 if address in line.lower() else 0
        elif not line.strip():
            left = 0
        if left:
            found.append(line)
            left -= 1
    return "\n".join(found[:_BLOCK])
