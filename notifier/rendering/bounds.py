"""Keep what a template writes within what a mail can be: its size, and a subject of one line.

Knows nothing of languages, channels or files.
"""

import re
from itertools import islice
from typing import Any, Final

from jinja2 import Template

from notifier.errors import TemplateError

SIZE_LIMIT: Final = 1_000_000
"""Characters one part of a message may have."""
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f]")


def bounded(template: Template, values: dict[str, Any], path: str) -> str:
    """Render, and stop as soon as it is more than a mail can be.

    Raises:
        TemplateError: it is; or what the template itself raises.
    """
    pieces: list[str] = []
    size = 0
    # Template.generate without its two wrappers around every piece; its error handling only rewrites
    # tracebacks, and explain() reads them as they are.
    writing = template.root_render_func(template.new_context(values, shared=False))
    while batch := list(islice(writing, 64)):
        pieces += batch
        size += sum(map(len, batch))
        if size > SIZE_LIMIT:
            raise TemplateError(f"writes more than {SIZE_LIMIT} characters", template=path)
    return "".join(pieces)


def subject_line(text: str, path: str) -> str:
    """Return the subject on one line; line breaks in data are spaces here, never headers (RFC 5322 §2.2).

    Raises:
        TemplateError: it is empty, or holds control characters.
    """
    if _CONTROL.search(text.strip()):
        raise TemplateError("the subject holds control characters", template=path)
    subject = " ".join(text.split())
    if not subject:
        raise TemplateError("the subject is empty", template=path)
    return subject
