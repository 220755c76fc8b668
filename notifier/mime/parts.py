"""Write the parts of a body: text as quoted-printable, files as base64, multiparts around them.

Knows nothing of addresses or of the message's own headers.
"""

import binascii
import re
from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import quote

from notifier.messages import File
from notifier.mime.errors import HeaderError
from notifier.mime.headers import check_value

_BASE64_LINE = 76
# One parameter and its indent must fit a folded line; longer names are continued (RFC 2231 §3).
_PARAMETER_WIDTH = 60
_SEGMENT = 54
_WORD = r"[A-Za-z0-9!#$&^_.+-]{1,127}"
_MEDIA_TYPE = re.compile(rf'{_WORD}/{_WORD}(?:; ?{_WORD}=(?:{_WORD}|"[ !#-\[\]-~]{{0,60}}"))*')
_CID = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.@-]{1,200}")
_SIMPLE_NAME = re.compile(r"(?:[A-Za-z0-9._()+,@-]+(?: [A-Za-z0-9._()+,@-]+)*)?")
_TYPE_LIMIT = 200
# A known line and its code take at most four times this: 8 MiB in all.
_KNOWN_LINE = 2048


def text_part(subtype: str, text: str) -> bytes:
    """Write a text part; every kind of line end in it becomes CRLF (RFC 2046 §4.1.1)."""
    data = text.encode("utf-8", "replace")
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    head = f"Content-Type: text/{subtype}; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n"
    lines = [_quoted(line) if len(line) <= _KNOWN_LINE else _quote(line) for line in data.split(b"\n")]
    return b"\r\n".join([head.encode(), *lines])


def _quote(line: bytes) -> bytes:
    # Without a CRLF to copy, b2a_qp would write soft breaks with a bare LF: hence the one put in front.
    return binascii.b2a_qp(b"\r\n" + line, istext=True)[2:]


_quoted = lru_cache(maxsize=1024)(_quote)
"""Most lines of a mail are its template's, and the same in the next one: a look costs a third of coding them."""


def file_part(file: File) -> bytes:
    """Write an attachment, or an inline file where it has a cid (RFC 2392).

    Raises:
        HeaderError: for a name, type or cid that cannot stand in a header.
    """
    disposition = "inline" if file.cid is not None else "attachment"
    head = [
        f"Content-Type: {_media_type(file)}",
        "Content-Transfer-Encoding: base64",
        f"Content-Disposition: {disposition}{_file_name(file.name)}",
    ]
    if file.cid is not None:
        if not _CID.fullmatch(file.cid):
            raise HeaderError("Content-ID", "must be 1 to 200 characters of letters, digits and . @ - _")
        head.append(f"Content-ID: <{file.cid}>")
    return "\r\n".join(head).encode() + b"\r\n\r\n" + _base64(file.content)


def multipart(subtype: str, boundary: str, parts: Sequence[bytes]) -> bytes:
    """Put parts, each with its own headers, into one."""
    fence = f"\r\n--{boundary}".encode()
    head = f'Content-Type: multipart/{subtype};\r\n boundary="{boundary}"\r\n'.encode()
    return b"".join((head, *(fence + b"\r\n" + part for part in parts), fence, b"--\r\n"))


def _media_type(file: File) -> str:
    if len(file.media_type) > _TYPE_LIMIT or not _MEDIA_TYPE.fullmatch(file.media_type):
        raise HeaderError("Content-Type", "the media type of a file must have the form type/subtype")
    # RFC 2045 §6.4 forbids base64 around these two.
    if file.media_type.lower().startswith(("multipart/", "message/")):
        return "application/octet-stream"
    return "\r\n ".join(re.split(r"(?<=;) ?", file.media_type))


def _file_name(name: str) -> str:
    check_value("Content-Disposition", name)
    if len(name) <= _PARAMETER_WIDTH and _SIMPLE_NAME.fullmatch(name):
        return f';\r\n filename="{name}"'
    coded = quote(name, safe="")
    if len(coded) <= _SEGMENT:
        return f";\r\n filename*=utf-8''{coded}"
    first, *rest = _segments(coded)
    more = "".join(f";\r\n filename*{number}*={segment}" for number, segment in enumerate(rest, 1))
    return f";\r\n filename*0*=utf-8''{first}{more}"


def _segments(coded: str) -> list[str]:
    """Cut percent-encoded text so that no escape is torn."""
    segments, start = [], 0
    while start < len(coded):
        end = start + _SEGMENT
        torn = coded[max(start, end - 2) : end].find("%")
        if torn >= 0 and end < len(coded):
            end = max(start, end - 2) + torn
        segments.append(coded[start:end])
        start = end
    return segments


def _base64(content: bytes) -> bytes:
    coded = binascii.b2a_base64(content, newline=False)
    return b"\r\n".join(coded[at : at + _BASE64_LINE] for at in range(0, len(coded), _BASE64_LINE))
