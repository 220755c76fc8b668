"""Say who is told, when, how and why: the part all kinds of rules share.

Values only; ``notifications`` makes of them whom an event or an alert tells.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from fnmatch import fnmatchcase

from notifier.decisions import ChannelStep
from notifier.events import Urgency
from notifier.recipients.sources import Source
from notifier.rules.conditions import Condition


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """Who is told, when, how and why."""

    condition: Condition | None
    sources: tuple[Source, ...]
    steps: tuple[ChannelStep, ...]
    reason: str | None = None
    urgency: Urgency | None = None
    template: str | None = None
    deadline: timedelta | None = None
    ignore_quiet: bool | None = None

    def template_for(self, event_type: str) -> str:
        """Return the template: the rule's, else the type's: ``a.b.c`` → ``a/b_c``."""
        return self.template or default_template(event_type)


NOBODY = Telling(condition=None, sources=(), steps=())
"""What a rule tells that only sets something in motion."""


def matches(patterns: Sequence[str], event_type: str) -> bool:
    """Tell whether one of the types or globs is meant; ``*`` also spans dots."""
    return any(fnmatchcase(event_type, pattern) for pattern in patterns)


def default_template(event_type: str) -> str:
    """Return the template named after a type: domain, then the rest with dots as underscores."""
    domain, _, rest = event_type.partition(".")
    return f"{domain}/{rest.replace('.', '_')}"
