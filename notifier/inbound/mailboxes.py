"""Split an mbox file into its mails (RFC 4155, and the older variants that quote ``From``).

Knows nothing of what the mails say.
"""

import re
from collections.abc import Iterator

_SEPARATOR = re.compile(rb"^From \S{1,300} {1,2}[^\n]{0,60}\d\d:\d\d[^\n]{0,40}$", re.MULTILINE)
_QUOTED = re.compile(rb"^>(>*From )", re.MULTILINE)


def split_mailbox(data: bytes) -> Iterator[bytes]:
    """Yield the mails of an mbox; what does not begin like one is a single mail.

    A separator is a ``From`` line with a time, at the beginning or behind an empty line. One ``>`` is taken from
    lines that quote it (mboxrd; mboxo loses nothing by it that matters here).
    """
    if not data.startswith(b"From "):
        yield data
        return
    starts = [
        found.start()
        for found in _SEPARATOR.finditer(data)
        if found.start() == 0
        or data[max(0, found.start() - 3) : found.start()].endswith((b"\n\n", b"\n\r\n"))
    ]
    if len(starts) < 2:  # noqa: PLR2004 - one mail with the line a mailbox gave it
        yield data
        return
    for start, end in zip(starts, [*starts[1:], len(data)], strict=True):
        yield _QUOTED.sub(rb"\1", data[start:end].partition(b"\n")[2])
