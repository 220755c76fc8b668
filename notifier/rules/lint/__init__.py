"""Find in rules what loading accepts and nobody can have meant: ``notifier rules check``.

Pure: entries, event types and lists in, findings out. What is wrong in itself is refused by ``load``.
"""

from collections.abc import Iterable, Mapping

from notifier.catalog.types import EventType
from notifier.documents import Document
from notifier.events import Recipient
from notifier.rules.lint.fields import fields
from notifier.rules.lint.known import Known, Lint
from notifier.rules.lint.labels import labels
from notifier.rules.lint.made import made
from notifier.rules.lint.names import names
from notifier.rules.lint.people import people
from notifier.rules.lint.reach import reach

__all__ = ["Lint", "lint"]


def lint(
    documents: Iterable[Document], types: Iterable[EventType], lists: Mapping[str, tuple[Recipient, ...]]
) -> tuple[Lint, ...]:
    """Return every finding once, in the order of the files and their lines."""
    known = Known.of(documents, types, lists)
    found: dict[str, Lint] = {}
    for check in (fields, reach, people, labels, names, made):
        for one in check(known):
            found.setdefault(str(one.error), one)
    return tuple(sorted(found.values(), key=lambda one: (str(one.error.file), one.error.line or 0)))
