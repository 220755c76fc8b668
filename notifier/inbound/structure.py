"""Take a mail apart, whatever its bytes: header fields, parts, decoded text.

Never raises and never follows a mail's own numbers: bytes, parts, depth, fields and lines are limited.
Own code, because the standard parser takes 2 ms for a 40 kB bounce, and longer for hostile ones.
"""

import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.errors import HeaderParseError
from email.header import decode_header
from functools import cached_property
from html import unescape

import re2

BYTES = 1 << 20
"""What is read of a mail. Reports stand first; what is longer is the returned message."""
TEXT = 1 << 16
"""Characters read of one part."""
_PARTS = 40
_DEPTH = 6
_SPACED = 20
"""Of base64 less than every so many-th byte is a blank."""
_FIELDS = 300
_VALUE = 4096
_HEADER_BYTES = 1 << 16

# The look behind keeps a mail of bare CRs from being searched anew at each of them.
_LINE_END = re.compile(rb"(?<!\r)\r+\n|\r")
_FIELD = re.compile(r"([!-9;-~]{1,80})[ \t]*:[ \t]?(.*)", re.DOTALL)
_FIELD_OF_MAIL = re.compile(rb"[A-Za-z][A-Za-z0-9-]{1,60}:")
_FIELD_OF_PART = re.compile(rb"(?:content-|mime-|x-)[a-z0-9-]{1,60}:", re.IGNORECASE)
_PARAMETER = re.compile(r';\s*([\w*-]{1,40})\s*=\s*(?:"([^"]{0,300})"|([^\s;"]{1,300}))')
_TAG = re.compile(r"<(?![^<>\s@]{1,200}@[^<>\s]{1,200}>)[^<>]{0,2000}>")
_BREAK = re.compile(r"<(?:br|/p|/div|/tr|/td|/li|/h\d|p|tr|div)\b[^<>]{0,500}>", re.IGNORECASE)
_CELLS = re.compile(r"</t[dh]\s{0,9}>\s{0,99}<t[dh]\b[^<>]{0,500}>", re.IGNORECASE)
"""Between two cells of a row: a label and its value are one line."""
# re2: linear however many of them are opened and never closed.
_UNSEEN = re2.compile(r"(?is)<style\b.*?</style\s*>|<script\b.*?</script\s*>|<head\b.*?</head\s*>")
_ISO_2022_JP = (b"\x1b$B", b"\x1b$@")
_NO_CHARSETS = frozenset(
    {"idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape", "mbcs", "oem"}
)
"""Codecs of Python that are no character sets, or slow."""
# In this order: a text of one is seldom valid in those before it, and never has their words.
_UNNAMED = (
    ("euc_jp", re.compile("[\u3040-\u30ff]{3}")),
    ("cp932", re.compile("[\u3040-\u30ff]{3}")),
    ("euc_kr", re.compile("[\uac00-\ud7a3]{3}")),
    ("gb18030", re.compile("[\u4e00-\u9fff]{6}")),
    ("koi8_r", re.compile("[\u0430-\u044f]{5}")),
)
_REPORTS = frozenset({"message/delivery-status", "message/global-delivery-status"})


@dataclass(frozen=True, slots=True)
class Fields:
    """Header fields in their order; names in lower case, values unfolded."""

    items: tuple[tuple[str, str], ...] = ()

    def get(self, name: str) -> str:
        """Return the first value of a field, or nothing."""
        return next((value for key, value in self.items if key == name), "")

    def all(self, name: str) -> list[str]:
        """Return every value of a field."""
        return [value for key, value in self.items if key == name]

    def words(self, name: str) -> str:
        """Return a field's text with encoded words decoded (RFC 2047)."""
        return decoded(self.get(name))


@dataclass(frozen=True)
class Part:
    """One part: leaf or container."""

    fields: Fields
    body: bytes
    type: str
    parameters: dict[str, str]
    children: tuple["Part", ...] = ()

    @cached_property
    def text(self) -> str:
        """The decoded text of a leaf; of HTML what a reader sees."""
        text = _as_text(_decoded_body(self.body, self.fields), self.parameters.get("charset", ""))
        return _seen(text) if self.type == "text/html" else text

    @property
    def is_status(self) -> bool:
        """Whether it is the machine's part of a delivery report (RFC 3464, RFC 6533)."""
        return self.type in _REPORTS

    def walk(self) -> Iterator["Part"]:
        """Yield this part and those in it; a message that is attached is one part."""
        yield self
        for child in self.children:
            yield from child.walk()


def read_mail(data: bytes) -> Part:
    """Return a mail as its outermost part."""
    data = data[:BYTES]
    if b"\r" in data:
        data = _LINE_END.sub(b"\n", data)
    if data.startswith((b"From ", b">From ")):
        data = data.partition(b"\n")[2]
    return _part(data.lstrip(b"\n"), _DEPTH, [_PARTS])


def read_fields(data: bytes | str) -> Fields:
    """Return the header fields a text begins with, up to the first empty line."""
    text = data if isinstance(data, str) else _as_text(data, "")
    items: list[tuple[str, str]] = []
    for line in text[:_HEADER_BYTES].split("\n"):
        if not line.strip():
            break
        if line[0] in " \t" and items:
            name, value = items[-1]
            items[-1] = (name, f"{value} {line.strip()}"[:_VALUE])
        elif found := _FIELD.fullmatch(line):
            if len(items) == _FIELDS:
                break
            items.append((found[1].lower(), found[2].strip()[:_VALUE]))
    return Fields(tuple(items))


def decoded(value: str) -> str:
    """Return a header value with its encoded words decoded; as it stands where they are broken."""
    if "=?" not in value:
        return value
    try:
        pieces = decode_header(value)
        return "".join(
            piece if isinstance(piece, str) else piece.decode(charset or "ascii", "replace")
            for piece, charset in pieces
        )
    except (HeaderParseError, LookupError, ValueError):
        return value


def _part(data: bytes, depth: int, budget: list[int]) -> Part:
    budget[0] -= 1
    if data.startswith(b"\n"):
        head, body = b"", data[1:]
    else:
        head, blank, body = data.partition(b"\n\n")
        if not blank:
            head, body = _without_blank(data, _FIELD_OF_PART if depth < _DEPTH else _FIELD_OF_MAIL)
    fields = read_fields(head)
    kind, parameters = _content_type(fields.get("content-type"))
    boundary = parameters.get("boundary", "").encode("utf-8", "replace")
    children: tuple[Part, ...] = ()
    if kind.startswith("multipart/") and boundary and depth > 0:
        children = tuple(_children(body, boundary, depth, budget))
    return Part(fields=fields, body=body, type=kind, parameters=parameters, children=children)


def _without_blank(data: bytes, field: re.Pattern[bytes]) -> tuple[bytes, bytes]:
    """Part header from body where no empty line does: at the first line that is no usual field."""
    place = 0
    for line in data[:_HEADER_BYTES].split(b"\n"):
        if not (field.match(line) or (place and line[:1] in b" \t")):
            return data[:place], data[place:]
        place += len(line) + 1
    return data, b""


def _children(body: bytes, boundary: bytes, depth: int, budget: list[int]) -> Iterator[Part]:
    pieces = (b"\n" + body).split(b"\n--" + boundary)
    for piece in pieces[1:]:
        if piece.startswith(b"--") or budget[0] <= 0:
            return
        yield _part(piece.partition(b"\n")[2], depth - 1, budget)


def _content_type(value: str) -> tuple[str, dict[str, str]]:
    kind = value.partition(";")[0].strip().lower() or "text/plain"
    found = _PARAMETER.findall(value[:_VALUE])
    return kind, {name.lower(): quoted or bare for name, quoted, bare in reversed(found)}


def _decoded_body(body: bytes, fields: Fields) -> bytes:
    encoding = fields.get("content-transfer-encoding").strip().lower()
    body = body[: TEXT * 2]
    if encoding == "quoted-printable":
        return binascii.a2b_qp(body)
    if encoding == "base64":
        if body.count(b" ") * _SPACED > len(body):
            return body  # declared, and not done
        compact = re.sub(rb"[^A-Za-z0-9+/]", b"", body)
        try:
            return binascii.a2b_base64(compact[: len(compact) // 4 * 4] + _tail(compact))
        except binascii.Error:
            return body
    return body


def _tail(compact: bytes) -> bytes:
    left = compact[len(compact) // 4 * 4 :]
    return left + b"=" * (4 - len(left)) if len(left) > 1 else b""


def _as_text(body: bytes, charset: str) -> str:
    first = "utf-8"
    if any(mark in body for mark in _ISO_2022_JP):
        first = "iso-2022-jp"
    elif charset.lower().startswith(("iso-2022", "hz", "utf-7")) or (
        charset.lower().startswith("utf-16") and b"\0" in body
    ):
        first = charset
    if charset.lower().replace("-", "_") in _NO_CHARSETS:
        charset = "latin-1"
    elif charset.lower() in {"gb2312", "gbk"}:
        charset = "gb18030"  # a superset, which senders mean
    for name in (first, charset):
        try:
            return body.decode(name)[:TEXT]
        except (LookupError, ValueError):
            continue
    return _guessed(body) or body.decode("latin-1")[:TEXT]


def _guessed(body: bytes) -> str | None:
    """Return a text in a charset nobody named, where the words it makes are those of its language."""
    for name, word in _UNNAMED:
        try:
            text = body.decode(name)[:TEXT]
        except ValueError:
            continue
        if word.search(text):
            return text
    return None


def _seen(markup: str) -> str:
    rows = _CELLS.sub("\t", _UNSEEN.sub(" ", markup))
    return unescape(_TAG.sub(" ", _BREAK.sub("\n", rows)))
