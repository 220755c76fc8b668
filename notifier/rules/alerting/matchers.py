r"""Match labels: ``name="value"`` with ``=``, ``!=``, ``=~`` and ``!~``, as Alertmanager writes it.

Never looks further than the labels it is given; a label that is missing equals the empty text.

The syntax is that of Alertmanager's UTF-8 parser (``matcher/parse``): braces are optional, a comma may end the list,
names and values stand bare or in double quotes with the escapes of Go (``\n``, ``\"``, ``\xf0``, ``\U0001f642``).
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, NoReturn, cast, get_args

import re2

Labels = Mapping[str, str]
Op = Literal["=", "!=", "=~", "!~"]

OPS: Final[tuple[str, ...]] = get_args(Op)
_PATTERN_OPS = frozenset({"=~", "!~"})
_NEGATIVE_OPS = frozenset({"!=", "!~"})


class MatcherError(ValueError):
    """The text is no list of matchers, or a pattern no RE2; the message says where."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matcher:
    """One condition on one label; patterns are RE2 and match the whole value."""

    name: str
    op: Op
    value: str
    _pattern: "re2._Regexp[bytes] | None" = field(init=False, repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        if self.op not in OPS:
            raise MatcherError(f"{self.op!r} is no operator; write one of {', '.join(OPS)}")
        _check_unicode(self.name + self.value)
        if self.op in _PATTERN_OPS:
            object.__setattr__(self, "_pattern", _compiled(self.value))

    def __str__(self) -> str:
        """Return the canonical text; ``parse_matcher`` reads it back."""
        name = self.name if _BARE.fullmatch(self.name) else _quoted(self.name)
        return f"{name}{self.op}{_quoted(self.value)}"

    @property
    def is_negative(self) -> bool:
        """Whether this is one of ``!=`` and ``!~``."""
        return self.op in _NEGATIVE_OPS

    @property
    def takes_the_empty(self) -> bool:
        """Whether this chooses nothing; as in Alertmanager, host!="web-1" counts as a choice."""
        return not self.is_negative and self.matches_value("")

    def matches(self, labels: Labels) -> bool:
        """Return whether the labels fulfil the condition."""
        return self.matches_value(labels.get(self.name, ""))

    def matches_value(self, value: str) -> bool:
        """Return whether the label's value fulfils the condition."""
        if self._pattern is None:
            is_equal = value == self.value
        else:
            # Labels come out of events: what is no Unicode may fail to match, but never raise.
            is_equal = self._pattern.fullmatch(value.encode(errors="replace")) is not None
        return is_equal != self.is_negative


def all_match(matchers: Iterable[Matcher], labels: Labels) -> bool:
    """Return whether every matcher holds; none at all always do."""
    return all(matcher.matches(labels) for matcher in matchers)


def takes_everything(matchers: Iterable[Matcher]) -> bool:
    """Return whether no matcher chooses, as with none at all: what they mute would be everything."""
    return all(matcher.takes_the_empty for matcher in matchers)


def parse_matcher(text: str) -> Matcher:
    """Return the one matcher that ``text`` holds.

    Raises:
        MatcherError: the text is wrong, or holds none or several.
    """
    matchers = parse_matchers(text)
    if len(matchers) != 1:
        raise MatcherError(f"{text!r}: expected one matcher, found {len(matchers) or 'none'}")
    return matchers[0]


def parse_matchers(text: str) -> tuple[Matcher, ...]:
    """Return the matchers that ``text`` holds, in order; an empty text holds none.

    Raises:
        MatcherError: the text is wrong; the message names the character, counted from 1.
    """
    _check_unicode(text)
    reader = _Reader(text)
    has_brace = reader.takes("{")
    matchers = []
    while not reader.is_at("}", ""):
        matchers.append(_read_matcher(reader))
        if not reader.takes(","):
            break
    _read_close(reader, has_brace=has_brace)
    return tuple(matchers)


def _read_matcher(reader: "_Reader") -> Matcher:
    name = reader.word("a label name")
    op = reader.operator()
    start = reader.token.start
    value = reader.word("a label value")
    try:
        return Matcher(name=name, op=op, value=value)
    except MatcherError as error:
        reader.refuse(str(error), start)


def _read_close(reader: "_Reader", *, has_brace: bool) -> None:
    if not has_brace and reader.is_at("}"):
        reader.refuse("a closing brace without an opening one")
    if has_brace and not reader.takes("}"):
        reader.refuse("expected a comma or the closing brace")
    if not reader.is_at(""):
        reader.refuse("expected a comma or the end" if not has_brace else "expected the end")


# What Go's unicode.IsSpace takes for white space; Python's \s knows more.
_SPACE = r"\t\n\v\f\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_BARE = re.compile(rf"[^{_SPACE}{{}}!=~,\\\"'`]+")
_TOKEN = re.compile(
    rf"(?P<mark>=~|!=|!~|[={{}},])|(?P<quoted>\"(?:[^\"\\]|\\.)*\")|(?P<bare>{_BARE.pattern})", re.DOTALL
)
_BLANK = re.compile(rf"[{_SPACE}]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Token:
    """A piece of the text; the end is a mark with no text."""

    kind: str
    text: str
    start: int


class _Reader:
    """The tokens of a text, one ahead."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = self._scan()
        self.token = next(self._tokens)

    def _scan(self) -> Iterator[_Token]:
        position = self._skip_blank(0)
        while position < len(self._text):
            found = _TOKEN.match(self._text, position)
            if found is None:
                at_quote = self._text[position] == '"'
                self.refuse("a quote that is never closed" if at_quote else "must stand in quotes", position)
            yield _Token(kind=str(found.lastgroup), text=found[0], start=position)
            position = self._skip_blank(found.end())
        yield _Token(kind="mark", text="", start=len(self._text))

    def _skip_blank(self, position: int) -> int:
        blank = _BLANK.match(self._text, position)
        return blank.end() if blank else position

    def is_at(self, *marks: str) -> bool:
        """Return whether the next token is one of these marks; the empty one is the end."""
        return self.token.kind == "mark" and self.token.text in marks

    def takes(self, mark: str) -> bool:
        """Step over the mark if it is next."""
        if not self.is_at(mark):
            return False
        self._advance()
        return True

    def word(self, what: str) -> str:
        """Return the next token, a bare or quoted text."""
        token = self.token
        if token.kind == "mark":
            self.refuse(f"expected {what}")
        self._advance()
        return token.text if token.kind == "bare" else self._unquoted(token)

    def operator(self) -> Op:
        """Return the next token, an operator."""
        if not self.is_at(*OPS):
            self.refuse(f"expected one of {', '.join(OPS)}")
        op = cast("Op", self.token.text)
        self._advance()
        return op

    def refuse(self, problem: str, position: int | None = None) -> NoReturn:
        """Raise, with the place in the text."""
        at = self.token.start if position is None else position
        here = repr(self._text[at]) if at < len(self._text) else "the end"
        raise MatcherError(f"{self._text!r}: character {at + 1} ({here}): {problem}")

    def _advance(self) -> None:
        # At the end there is nothing after; staying there keeps every later question answerable.
        self.token = next(self._tokens, self.token)

    def _unquoted(self, token: _Token) -> str:
        try:
            return _unquote(token.text[1:-1])
        except ValueError as error:
            self.refuse(str(error), token.start)


_ESCAPE = re.compile(
    r"\\(?:(?P<sign>[abfnrtv\\\"])|x(?P<byte>[0-9a-fA-F]{2})|(?P<octal>[0-3][0-7]{2})"
    r"|(?:u(?P<short>[0-9a-fA-F]{4})|U(?P<long>[0-9a-fA-F]{8})))"
)
_SIGNS = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", '"': '"'}
_SIGN_OF = {character: sign for sign, character in _SIGNS.items()}


def _unquote(inner: str) -> str:
    r"""Resolve escapes as Go's ``strconv.Unquote`` does: ``\x`` and octal give bytes, the whole must be UTF-8."""
    if "\n" in inner:
        raise ValueError(r"a line break must be written \n")
    out = bytearray()
    position = 0
    while position < len(inner):
        if inner[position] != "\\":
            end = inner.find("\\", position)
            end = len(inner) if end < 0 else end
            out += inner[position:end].encode()
        else:
            escape = _ESCAPE.match(inner, position)
            if escape is None:
                raise ValueError(rf"no escape: {inner[position : position + 2]}; a backslash is written \\")
            out += _escaped(escape)
            end = escape.end()
        position = end
    try:
        return out.decode()
    except UnicodeDecodeError:
        raise ValueError("the escaped bytes are no UTF-8") from None


def _escaped(escape: re.Match[str]) -> bytes:
    if sign := escape["sign"]:
        return _SIGNS[sign].encode()
    if escape["byte"]:
        return bytes.fromhex(escape["byte"])
    if escape["octal"]:
        return bytes([int(escape["octal"], 8)])
    try:
        return chr(int(escape["short"] or escape["long"], 16)).encode()
    except (ValueError, OverflowError):  # surrogates, and beyond U+10FFFF
        raise ValueError(f"no character: {escape[0]}") from None


def _quoted(text: str) -> str:
    return '"' + "".join(map(_escape, text)) + '"'


def _escape(character: str) -> str:
    if character in _SIGN_OF:
        return f"\\{_SIGN_OF[character]}"
    return f"\\x{ord(character):02x}" if character < " " or character == "\x7f" else character


def _check_unicode(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise MatcherError(f"character {error.start + 1} is no Unicode character") from None


def _compiled(pattern: str) -> "re2._Regexp[bytes]":
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern.encode(), options)
    except re2.error as error:
        reason = error.args[0]
        told = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        raise MatcherError(f"{pattern!r} is no RE2 pattern: {told}") from None
