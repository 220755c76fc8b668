"""Run tests of rules on a virtual clock: feed, let time pass, and compare who was told with who should be.

Sends nothing, asks no database. The people told are compared by address: tests name addresses of examples.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from notifier.catalog import Catalog
from notifier.errors import EventRefused
from notifier.events import Event, Json, Recipient, read_recipients
from notifier.recipients.lists import read_list
from notifier.rules.alerting.matchers import MatcherError, parse_matchers
from notifier.rules.alerting.silences import Silence
from notifier.rules.reminders import offset_text
from notifier.rules.ruleset import RuleSet
from notifier.rules.simulation.told import Told
from notifier.rules.simulation.world import World
from notifier.rules.testing_model import AckStep, EventStep, ExpireStep, Placed, SilenceStep, Test, Want


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that did not come out as it should."""

    line: int
    """Of the step or want; of the test where nothing in it stands for the problem."""
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a test came out."""

    file: str
    line: int
    test: str
    problems: tuple[Problem, ...]
    messages: int
    """So many were told."""

    @property
    def is_passed(self) -> bool:
        """Tell whether all came out as it should."""
        return not self.problems


def run_test(
    test: Test, rules: RuleSet, catalog: Catalog, lists: Mapping[str, tuple[Recipient, ...]]
) -> Outcome:
    """Run one test.

    Raises:
        ConfigError: one of its own lists holds no recipients.
    """
    own = {name: read_list(name, entries) for name, entries in test.entry.lists.items()}
    world = World(rules, catalog, {**lists, **own}, start=test.entry.start)
    problems = list(_feed(world, test, catalog))
    world.advance(test.entry.start + test.entry.until)
    problems += (
        Problem(
            line=test.line,
            text=f"the event {one.type} made at {one.at.isoformat()} was refused: {one.reason}",
        )
        for one in world.refused
    )
    problems += _compare(world.told, test)
    return Outcome(
        file=test.file,
        line=test.line,
        test=test.entry.test,
        problems=tuple(sorted(problems, key=lambda one: one.line)),
        messages=len(world.told),
    )


def _feed(world: World, test: Test, catalog: Catalog) -> Iterator[Problem]:
    for number, placed in enumerate(sorted(test.steps, key=lambda one: one.step.at), start=1):
        world.reach(test.entry.start + placed.step.at)
        try:
            _do(world, placed, number, test.entry.start, catalog)
        except EventRefused as error:
            yield Problem(line=placed.line, text=f"the event was refused: {error}")
        except (MatcherError, LookupError) as error:
            yield Problem(line=placed.line, text=str(error))


def _do(world: World, placed: Placed, number: int, start: datetime, catalog: Catalog) -> None:
    match placed.step:
        case EventStep() as step:
            world.feed(_event(step, number, start, catalog))
        case SilenceStep() as step:
            world.silence(_silence(step, world.now))
        case ExpireStep() as step:
            world.expire(step.expire)
        case AckStep() as step:
            if not world.acknowledge(step.by, subject=step.ack):
                raise LookupError(f"nothing fires for {step.ack!r} then: there is nothing to take charge of")


def _event(step: EventStep, number: int, start: datetime, catalog: Catalog) -> Event:
    entry = catalog[step.type]
    return Event(
        id=step.id or f"step-{number}",
        source=step.source,
        type=step.type,
        subject=step.subject or entry.sample_subject,
        time=start + (step.at if step.time is None else step.time),
        data=_merged(entry.sample, step.data) if step.sample else dict(step.data),
        to=read_recipients(step.to),
        urgency=step.urgency,
    )


def _merged(sample: Mapping[str, Json], data: Mapping[str, Json]) -> dict[str, Json]:
    """Return the sample with what the test says instead; objects are merged, all else is replaced."""
    both = {
        name for name in data if isinstance(data[name], Mapping) and isinstance(sample.get(name), Mapping)
    }
    return {**sample, **data, **{name: _merged(sample[name], data[name]) for name in both}}


def _silence(step: SilenceStep, now: datetime) -> Silence:
    matchers = tuple(one for text in step.silence for one in parse_matchers(text))
    return Silence(
        id=step.id or ", ".join(step.silence),
        matcher_sets=(matchers,),
        starts_at=now,
        ends_at=now + step.lasts,
        created_by="a test",
        comment="a test",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """One message that should come."""

    line: int
    at: timedelta
    to: str
    want: Want


def _compare(told: Sequence[Told], test: Test) -> Iterator[Problem]:
    """Pair what came with what should have come at the same moment; of one moment the order is free."""
    start = test.entry.start
    left = list(told)
    missing: list[_Wanted] = []
    for line, want in zip(test.want_lines, test.entry.want, strict=True):
        for to in want.to:
            wanted = _Wanted(line=line, at=want.at, to=to, want=want)
            match = next((one for one in left if not _differences(wanted, one, start)), None)
            if match is None:
                missing.append(wanted)
            else:
                left.remove(match)
    for wanted in missing:
        nearest = min(left, key=lambda one: len(_differences(wanted, one, start)), default=None)
        if nearest is not None and len(_differences(wanted, nearest, start)) > _ALIKE:
            nearest = None
        if nearest is not None:
            left.remove(nearest)
        yield Problem(line=wanted.line, text=_missing_words(wanted, nearest, start))
    for one in left:
        yield Problem(line=test.line, text=f"not wanted: {_words(one, start)}")


_ALIKE = 2
"""What differs in so many points at most is shown as the message that was meant."""
_PLAIN = ("rule", "why", "template", "urgency")
"""What a want and a message call by the same name."""


def _differences(wanted: _Wanted, one: Told, start: datetime) -> list[str]:
    """Return what is other than wanted, in words."""
    want = wanted.want
    found: list[tuple[str, object, object]] = [
        ("at", _moment(wanted.at, start), _moment(one.at - start, start)),
        ("to", wanted.to.casefold(), wanted.to.casefold() if _is_for(one, wanted.to) else "somebody else"),
    ]
    if want.by is not None:
        plan = one.channels[: len(want.by)] if len(want.by) == 1 else one.channels
        found.append(("by", [by.value for by in want.by], [by.value for by in plan]))
    found += [(name, getattr(want, name), getattr(one, name)) for name in _PLAIN]
    found += [("type", want.type, one.event.type), ("subject", want.subject, one.event.subject)]
    if want.firing is not None or want.resolved is not None:
        found.append(("firing", sorted(want.firing or ()), sorted(one.firing)))
        found.append(("resolved", sorted(want.resolved or ()), sorted(one.resolved)))
    return [
        f"{name} is {_text(came)}, not {_text(should)}"
        for name, should, came in found
        if should is not None and should != came
    ]


def _is_for(one: Told, to: str) -> bool:
    person = one.recipient
    names = (person.email, person.phone, person.contact)
    return to.casefold() in {name.casefold() for name in names if name}


def _missing_words(wanted: _Wanted, nearest: Told | None, start: datetime) -> str:
    said = wanted.want.model_dump(mode="json", exclude_none=True, exclude={"at", "to"})
    details = ", ".join(f"{name} {_text(value)}" for name, value in said.items())
    text = f"missing: {_moment(wanted.at, start)} to {wanted.to}" + (f", {details}" if details else "")
    if nearest is None:
        return text
    return f"{text}; instead came {_words(nearest, start)}: {'; '.join(_differences(wanted, nearest, start))}"


def _words(one: Told, start: datetime) -> str:
    by = ", then ".join(channel.value for channel in one.channels)
    shown = "".join(
        f", {name} {_text(list(subjects))}"
        for name, subjects in (("firing", one.firing), ("resolved", one.resolved))
        if subjects
    )
    return (
        f"{_moment(one.at - start, start)} to {one.recipient.identity} by {by}, rule {one.rule}, why {one.why}, "
        f"template {one.template}{shown}"
    )


def _moment(span: timedelta, start: datetime) -> str:
    """Write a moment as tests do, and as the clock has it."""
    short = "0s" if not span else offset_text(span)
    return f"{short} ({(start + span).isoformat()})"


def _text(value: object) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(str, value))}]"
    return str(value)
