"""The shape of ``config/tests/*.yaml``: what is fed to the rules when, and who must then be told.

Shapes and their reading; ``testing`` runs them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, TypeVar

from pydantic import AwareDatetime, BeforeValidator, Field

from notifier.documents import ConfigErrors, Document, Strict
from notifier.errors import ConfigError
from notifier.events import Json, Urgency
from notifier.messages import ChannelName
from notifier.rules.shapes import EventName, Span, Wait, listed

Texts = Annotated[tuple[str, ...], BeforeValidator(listed)]
Subjects = Annotated[
    tuple[str, ...], BeforeValidator(lambda value: [value] if isinstance(value, str) else value)
]
Path_ = tuple[str | int, ...]
ModelT = TypeVar("ModelT", bound=Strict)


class EventStep(Strict):
    """An event comes in."""

    at: Wait = timedelta(0)
    type: EventName
    subject: str | None = Field(default=None, description="Else the type's sample subject.")
    data: Mapping[str, Json] = Field(default_factory=dict, description="Merged over the type's sample.")
    sample: bool = Field(default=True, description="False: the data is exactly what stands here.")
    time: Wait | None = Field(default=None, description="When it happened, if it comes late.")
    id: str | None = None
    source: str = "test"
    to: Texts = ()
    urgency: Urgency | None = None


class SilenceStep(Strict):
    """Somebody silences."""

    at: Wait = timedelta(0)
    silence: Texts
    lasts: Span = Field(alias="for")
    id: str | None = Field(default=None, description="To end it by; else its matchers.")


class ExpireStep(Strict):
    """Somebody ends a silence."""

    at: Wait = timedelta(0)
    expire: str


class AckStep(Strict):
    """Somebody takes charge of what fires for a subject."""

    at: Wait = timedelta(0)
    ack: str
    by: str = "somebody"


Step = EventStep | SilenceStep | ExpireStep | AckStep
_STEPS: Mapping[str, type[Step]] = {
    "type": EventStep,
    "silence": SilenceStep,
    "expire": ExpireStep,
    "ack": AckStep,
}


class Want(Strict):
    """Somebody is told; what is left out may be anything."""

    at: Wait
    to: Texts
    by: Annotated[tuple[ChannelName, ...], BeforeValidator(listed)] | None = Field(
        default=None, description="The first channel; a list of several is the whole plan."
    )
    rule: str | None = None
    why: str | None = Field(default=None, description="event, first, new_member, reminder …")
    template: str | None = None
    urgency: Urgency | None = None
    type: str | None = None
    subject: str | None = None
    firing: Subjects | None = Field(
        default=None, description="Where only one of the two stands, the other is empty."
    )
    resolved: Subjects | None = None


class _TestEntry(Strict):
    test: str = Field(min_length=1)
    start: AwareDatetime
    feed: tuple[Any, ...]
    want: tuple[Want, ...] = ()
    until: Span
    lists: Mapping[str, tuple[Mapping[str, str] | str, ...]] = Field(
        default_factory=dict, description="Instead of those of notifier.yaml."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A step or want, and the line it stands on."""

    line: int
    step: Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Test:
    """One test, as it stands in its file."""

    __test__ = False  # for pytest: this is no test of ours

    file: str
    line: int
    entry: _TestEntry
    steps: tuple[Placed, ...]
    want_lines: tuple[int, ...]


def read_tests(document: Document) -> tuple[Test, ...]:
    """Read the tests of a file.

    Raises:
        ConfigErrors: everything that is wrong, with line and mend.
    """
    value = document.value
    if not isinstance(value, Mapping) or not isinstance(value.get("tests"), list):
        raise ConfigErrors(
            [document.error("must be a mapping", mend="start the file with `tests:` and a list")]
        )
    errors = [
        document.error("unknown key", (str(key),), "only `tests:` stands at the top")
        for key in value
        if key != "tests"
    ]
    tests: list[Test] = []
    for index in range(len(value["tests"])):
        test = _read_test(document, ("tests", index), errors)
        if test is not None:
            tests.append(test)
    if errors:
        raise ConfigErrors(errors)
    return tuple(tests)


def _read_test(document: Document, path: Path_, errors: list[ConfigError]) -> Test | None:
    entry = _read(document, _TestEntry, path, errors)
    if entry is None:
        return None
    steps = []
    for number, value in enumerate(entry.feed):
        here = (*path, "feed", number)
        kinds = [kind for kind in _STEPS if isinstance(value, Mapping) and kind in value]
        if len(kinds) != 1:
            known = ", ".join(f"`{kind}:`" for kind in _STEPS)
            errors.append(document.error("not a step", here, f"give it exactly one of {known}"))
            continue
        step = _read(document, _STEPS[kinds[0]], here, errors)
        if step is not None:
            steps.append(Placed(line=document.line(here), step=step))
    lines = tuple(document.line((*path, "want", number)) for number in range(len(entry.want)))
    for number, want in enumerate(entry.want):
        if want.at > entry.until:
            mend = "let `until` be later"
            errors.append(
                document.error("comes after the end of the test", (*path, "want", number, "at"), mend)
            )
    return Test(
        file=str(document.file),
        line=document.line(path),
        entry=entry,
        steps=tuple(steps),
        want_lines=lines,
    )


def _read(document: Document, model: type[ModelT], path: Path_, errors: list[ConfigError]) -> ModelT | None:
    try:
        return document.read(model, path)
    except ConfigErrors as wrong:
        errors += wrong.errors
        return None
