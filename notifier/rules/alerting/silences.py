"""Say what a silence mutes and when, and which changes keep its history true.

Never stores, ends or makes one: it answers for values, with the moment passed in.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from notifier.rules.alerting.matchers import Labels, Matcher, all_match, takes_everything

UNSET: Final = datetime.min.replace(tzinfo=UTC)
"""A time nobody gave: what a form or a foreign system sends for none. ``problems_of`` refuses it."""


class SilenceState(StrEnum):
    """Where a silence stands in its time."""

    PENDING = "pending"
    ACTIVE = "active"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """Mute what matches, from ``starts_at`` until before ``ends_at``.

    One of the sets is enough; of a set all matchers must hold.
    """

    id: str
    matcher_sets: tuple[tuple[Matcher, ...], ...]
    starts_at: datetime
    ends_at: datetime
    created_by: str
    comment: str
    updated_at: datetime | None = None

    def state(self, now: datetime) -> SilenceState:
        """Return where it stands at ``now``; one whose end came before its start has never been active."""
        if self.ends_at <= now:
            return SilenceState.EXPIRED
        return SilenceState.PENDING if now < self.starts_at else SilenceState.ACTIVE

    def matches(self, labels: Labels) -> bool:
        """Return whether it is about these labels, time left aside; an empty set is about nothing."""
        return any(matchers and all_match(matchers, labels) for matchers in self.matcher_sets)


def silencing(silences: Iterable[Silence], labels: Labels, now: datetime) -> tuple[Silence, ...]:
    """Return the silences that mute these labels at ``now``."""
    return tuple(
        silence
        for silence in silences
        if silence.state(now) is SilenceState.ACTIVE and silence.matches(labels)
    )


def may_update(old: Silence, new: Silence, now: datetime) -> bool:
    """Return whether ``new`` may take the place of ``old`` under the same id.

    It may not when that would rewrite what was muted so far: then the old one is ended and a new one made
    (Alertmanager, ``silence.go``: canUpdate).
    """
    if _sets_of(old) != _sets_of(new):
        return False
    match old.state(now):
        case SilenceState.EXPIRED:
            return False
        case SilenceState.PENDING:
            return new.starts_at >= now
        case SilenceState.ACTIVE:
            # Whole seconds, as there: a start that went through a form comes back without its fraction.
            is_same_start = int(new.starts_at.timestamp()) == int(old.starts_at.timestamp())
            return is_same_start and new.ends_at >= now


def expired(silence: Silence, at: datetime) -> Silence:
    """Return the silence ended by hand at ``at``; one that is over stays as it is."""
    match silence.state(at):
        case SilenceState.EXPIRED:
            return silence
        case SilenceState.PENDING:
            return replace(silence, starts_at=at, ends_at=at, updated_at=at)
        case SilenceState.ACTIVE:
            return replace(silence, ends_at=at, updated_at=at)


def problems_of(silence: Silence, now: datetime) -> tuple[str, ...]:
    """Return what keeps a new silence from being taken at ``now``; nothing when it is fine."""
    return (*_matcher_problems(silence), *_time_problems(silence, now), *_author_problems(silence))


def _sets_of(silence: Silence) -> frozenset[frozenset[Matcher]]:
    return frozenset(frozenset(matchers) for matchers in silence.matcher_sets)


def _matcher_problems(silence: Silence) -> Iterator[str]:
    if not silence.matcher_sets:
        yield "matchers: name at least one, such as host=web-1"
    for number, matchers in enumerate(silence.matcher_sets, start=1):
        where = f"matchers, set {number}" if len(silence.matcher_sets) > 1 else "matchers"
        if not matchers:
            yield f"{where}: name at least one, such as host=web-1"
        elif takes_everything(matchers):
            yield f"{where}: all of them match the empty text, so this would mute everything; name a value"
        if any(not matcher.name for matcher in matchers):
            yield f"{where}: a label has no name"


def _time_problems(silence: Silence, now: datetime) -> Iterator[str]:
    if UNSET in (silence.starts_at, silence.ends_at):
        yield from ("starts_at: is missing",) * (silence.starts_at == UNSET)
        yield from ("ends_at: is missing; a silence without an end is forgotten",) * (
            silence.ends_at == UNSET
        )
    elif silence.ends_at < silence.starts_at:
        yield "ends_at: is before starts_at"
    elif silence.ends_at < now:
        yield "ends_at: has passed already"


def _author_problems(silence: Silence) -> Iterator[str]:
    if not silence.created_by.strip():
        yield "created_by: say who silences"
    if not silence.comment.strip():
        yield "comment: say why"
