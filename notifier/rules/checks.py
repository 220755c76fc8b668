"""Check what rules refer to (event types, lists, templates, conditions), and collect what is wrong.

Knows names only; reads no file and compiles nothing but conditions.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches

from notifier.documents import Document, Path_
from notifier.errors import ConfigError
from notifier.recipients.sources import ListSource, Source
from notifier.rules.conditions import Condition, ConditionError, compile_condition
from notifier.rules.telling import Telling, default_template, matches


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a rule, a stage or a key stands."""

    document: Document
    path: Path_ = ()

    def at(self, *keys: str | int) -> "Place":
        """Return the place of what stands below."""
        return replace(self, path=(*self.path, *keys))

    @property
    def where(self) -> str:
        """The file and the line."""
        return f"{self.document.file}:{self.document.line(self.path)}"

    def error(self, problem: str, mend: str) -> ConfigError:
        """Return the error for what stands here."""
        return self.document.error(problem, self.path, mend)


@dataclass(slots=True, kw_only=True)
class Checks:
    """What exists, and the errors so far; by their text, as a journey's default fails once per stage."""

    types: Collection[str] | None
    templates: Callable[[str], bool] | None
    lists: Collection[str]
    errors: dict[str, ConfigError] = field(default_factory=dict)

    def wrong(self, *errors: ConfigError) -> None:
        """Keep errors for the end."""
        for error in errors:
            self.errors.setdefault(str(error), error)

    def event_type(self, place: Place, name: str) -> None:
        """Check that an event type is in the catalogue."""
        if self.types is not None and name not in self.types:
            mend = _near(name, self.types) or "add it to config/events"
            self.wrong(place.error(f"unknown event type {name!r}", mend))

    def patterns(self, place: Place, patterns: Sequence[str]) -> None:
        """Check that each type exists, and that each glob matches one."""
        for pattern in patterns:
            if "*" not in pattern and "?" not in pattern:
                self.event_type(place, pattern)
            elif self.types is not None and not any(matches((pattern,), name) for name in self.types):
                self.wrong(place.error(f"{pattern!r} matches no event type", "see config/events"))

    def recipients(self, place: Place, sources: Sequence[Source]) -> None:
        """Check that the lists exist."""
        for index, source in enumerate(sources):
            if isinstance(source, ListSource) and source.members_of not in self.lists:
                name = source.members_of
                mend = _near(name, self.lists) or "add it to `lists:` in notifier.yaml"
                self.wrong(place.at(index, "list").error(f"unknown list {name!r}", mend))

    def condition(self, place: Place, source: str | None, roots: frozenset[str]) -> Condition | None:
        """Compile a condition; a wrong one is as good as none until the errors are raised."""
        if source is None:
            return None
        try:
            return compile_condition(source, roots)
        except ConditionError as wrong:
            self.wrong(place.error(str(wrong), "see Conditions in docs/how-to/rules.md"))
            return None

    def template(self, place: Place, telling: Telling, patterns: Sequence[str], named_at: Place) -> None:
        """Check that the template exists: the one named, or the default one of each type."""
        if telling.template is not None:
            self.named_template(named_at, telling.template)
            return
        for name in sorted(self.types or ()):
            if matches(patterns, name):
                self.named_template(place, default_template(name))

    def named_template(self, place: Place, name: str) -> None:
        """Check that a template exists."""
        if self.templates is not None and not self.templates(name):
            self.wrong(place.error(f"there is no template {name!r}", f"add the folder templates/{name}"))


def _near(name: str, names: Collection[str]) -> str | None:
    near = get_close_matches(name, names, n=1)
    return f"did you mean {near[0]!r}?" if near else None
