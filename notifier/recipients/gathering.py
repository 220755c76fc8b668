"""Decide what one digest says of what waited, and what of it is no longer true.

Pure: values in, JSON for the template out; nothing is rendered, loaded or stored here.
"""

from collections.abc import Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, TypeVar

from notifier.events import Json

SHOWN = 20
"""Entries a digest shows; the others are counted."""

Id = TypeVar("Id", bound=Hashable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing that waited."""

    at: datetime
    title: str
    """Of its type: entries with the same one stand together."""
    subject: str
    headline: str
    severity: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Said(Generic[Id]):
    """A message of an alert group that waits."""

    id: Id
    group: str
    number: int
    """Of the group's messages; the first is 1."""
    is_firing: bool
    """Whether it says that something fires; else all that was told is over."""


def digest_data(entries: Iterable[Entry], *, shown: int = SHOWN) -> dict[str, Json]:
    """Return the data of a digest: the newest entries by their types, the type with the newest first."""
    newest = sorted(entries, key=lambda one: (one.at, one.subject), reverse=True)
    groups: dict[str, list[Entry]] = {}
    for entry in newest:
        groups.setdefault(entry.title, [])
    for entry in newest[:shown]:
        groups[entry.title].append(entry)
    counts = {title: sum(one.title == title for one in newest) for title in groups}
    return {
        "count": len(newest),
        "more": max(0, len(newest) - shown),
        "since": _moment(newest[-1].at),
        "until": _moment(newest[0].at),
        "kinds": len(groups),
        "groups": [
            {"title": title, "count": counts[title], "entries": [_entry(one) for one in seen]}
            for title, seen in groups.items()
            if seen
        ],
    }


def outdated(said: Sequence[Said[Id]], live: Collection[str]) -> dict[Id, str]:
    """Return what is not worth telling any more, and why; ``live`` are the groups in which something fires.

    Of a group the newest message says it all. Whoever was told that something fires is told that it is over;
    what began and ended while it waited is told to nobody.
    """
    groups: dict[str, list[Said[Id]]] = {}
    for one in sorted(said, key=lambda one: one.number):
        groups.setdefault(one.group, []).append(one)
    reasons: dict[Id, str] = {}
    for group, messages in groups.items():
        *older, newest = messages
        reasons |= {one.id: "superseded: a later message of the same alerts waited with it" for one in older}
        if newest.is_firing and group not in live:
            reasons[newest.id] = "resolved while it waited: nothing of it fires any more"
        elif not newest.is_firing and messages[0].number == 1:
            reasons[newest.id] = "resolved while it waited: nobody was told that it fired"
    return reasons


def _entry(one: Entry) -> dict[str, Json]:
    severity = {} if one.severity is None else {"severity": one.severity}
    return {"at": _moment(one.at), "subject": one.subject, "headline": one.headline, **severity}


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat()
