r"""Read matchers as an ``alertmanager.yml`` may hold them: the newer syntax, else the classic one.

Never used for what is written for us: the classic syntax guesses, and takes ``\d`` in quotes as it stands.

Alertmanager reads with both parsers and takes the classic result where they disagree (``matcher/compat``: fallback),
so that an older file keeps its meaning; the classic rules are those of ``pkg/labels``.
"""

import re
from dataclasses import dataclass
from typing import cast

from notifier.rules.alerting.matchers import Matcher, MatcherError, Op, parse_matchers


@dataclass(frozen=True, slots=True, kw_only=True)
class FallbackReading:
    """What a text holds; ``is_classic`` when the newer syntax refuses it or reads it otherwise."""

    matchers: tuple[Matcher, ...]
    is_classic: bool = False

    @property
    def suggestion(self) -> str:
        """The same in the newer syntax, unmistakably."""
        return ",".join(map(str, self.matchers))


def read_with_fallback(text: str) -> FallbackReading:
    """Return the matchers as Alertmanager understands them in its default mode.

    Raises:
        MatcherError: neither syntax has such a text; the message is about the newer one.
    """
    try:
        newer: tuple[Matcher, ...] | MatcherError = parse_matchers(text)
    except MatcherError as error:
        newer = error
    try:
        classic = parse_classic_matchers(text)
    except MatcherError:
        if isinstance(newer, MatcherError):
            raise newer from None
        return FallbackReading(matchers=newer)
    return FallbackReading(matchers=classic, is_classic=classic != newer)


_CLASSIC = re.compile(r"\s*([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(=~|=|!=|!~)\s*(.*?)\s*", re.DOTALL | re.ASCII)
# Commas part matchers, unless they stand in quotes; a backslash keeps a quote from being one, but not a comma.
_PIECE = re.compile(r'(?:[^,"\\]|\\[^,]|\\(?=,|\Z)|"(?:[^"\\]|\\.)*(?:"|\\?\Z))*', re.DOTALL)
_UNQUOTED = re.compile(r'(?:[^"\\]|\\.)*', re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


def parse_classic_matchers(text: str) -> tuple[Matcher, ...]:
    """Return the matchers of a text in the classic syntax.

    Raises:
        MatcherError: it is none.
    """
    inner = text.removeprefix("{").removesuffix("}")
    pieces = []
    position = 0
    while position <= len(inner):
        piece = _PIECE.match(inner, position)
        end = piece.end() if piece else position
        pieces.append(inner[position:end])
        position = end + 1
    if not pieces[-1].strip():  # a comma may end the list
        pieces.pop()
    return tuple(map(_classic_matcher, pieces))


def _classic_matcher(piece: str) -> Matcher:
    found = _CLASSIC.fullmatch(piece)
    if found is None:
        raise MatcherError(f"{piece!r}: write it as name=value")
    name, op, raw = found.groups()
    return Matcher(name=name, op=cast("Op", op), value=_classic_value(raw))


def _classic_value(raw: str) -> str:
    is_quoted = raw.startswith('"')
    inner = raw[1:] if is_quoted else raw
    quote = _first_bare_quote(inner)
    if quote != (len(inner) - 1 if is_quoted else None):
        raise MatcherError(f'{raw!r}: a quote inside a value is written \\"')
    return _ESCAPE.sub(_classic_escape, inner[:quote])


def _first_bare_quote(inner: str) -> int | None:
    """Return where the first quote without a backslash before it stands."""
    found = _UNQUOTED.match(inner)
    end = found.end() if found else 0
    return end if inner[end : end + 1] == '"' else None


def _classic_escape(escape: re.Match[str]) -> str:
    """Return a line break, a quote or a backslash; before anything else a backslash is itself."""
    character = escape[1]
    if character == "n":
        return "\n"
    return character if character in {'"', "\\"} else escape[0]
