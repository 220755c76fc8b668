"""Decide when a group of alerts is told, why, and what stands in the message.

Pure: a group, its members and the clock come in; a message, the group as it is then and the next moment to
look come out. Knows no recipients, no windows and no silences: who is muted is said by the caller.

The plan is Alertmanager's (``dispatch/dispatch.go``, ``notify/dedup_stage.go``) with four differences: a
reminder comes exactly when it is due, a raised severity is a reason of its own, whoever was told that an alert
fires is told that it ended, muted or not, and what still fires when a silence or window ends is told once then.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum


class Why(StrEnum):
    """Why a message of a group goes out."""

    FIRST = "first"
    NEW_MEMBER = "new_member"
    SEVERITY_RAISED = "severity_raised"
    ALL_RESOLVED = "all_resolved"
    MEMBER_RESOLVED = "member_resolved"
    REMINDER = "reminder"
    ESCALATION = "escalation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Remind:
    """How long after the last message the same is told again: intervals that grow up to a cap."""

    first: timedelta
    grow: float = 1.0
    cap: timedelta | None = None

    def after(self, reminders: int) -> timedelta:
        """Return the wait after so many reminders."""
        if self.grow == 1.0:
            return self.first
        ceiling = self.cap or timedelta(days=366)
        # Grown step by step: a power of a large count would overflow.
        wait = self.first
        for _ in range(reminders):
            if wait >= ceiling:
                break
            wait *= self.grow
        return max(self.first, min(wait, ceiling))


@dataclass(frozen=True, slots=True, kw_only=True)
class Cadence:
    """When a group may speak."""

    first_after: timedelta = timedelta(seconds=30)
    """From its first alert to its first message."""
    batch_every: timedelta = timedelta(minutes=5)
    """Later messages stand on a grid of this width, which begins with the first one."""
    remind: Remind | None = None
    send_resolved: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What was last told of a member."""

    is_firing: bool
    severity: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """An alert of the group, as it stands now."""

    id: str
    is_firing: bool
    severity: int
    started_at: datetime
    is_acknowledged: bool = False
    is_held: bool = False
    """It flaps: nothing of it is told until it is steady."""
    muted: str | None = None
    """Why nobody is to hear that it fires."""
    was_muted: str | None = None
    """Why that was so at a look since the last that was settled."""
    told: Told | None = None

    @property
    def is_told_firing(self) -> bool:
        """Tell whether somebody believes that it fires."""
        return self.told is not None and self.told.is_firing

    @property
    def is_over(self) -> bool:
        """Tell whether there is nothing to say about it any more."""
        return not self.is_firing and not self.is_told_firing

    @property
    def is_back(self) -> bool:
        """Tell whether people were spared it for a while, and it still waits for them.

        A stronger alert that ended said so itself: that is no reason to bring up what was known before.
        """
        is_spared = self.was_muted is not None and not self.was_muted.startswith("inhibit:")
        return is_spared and self.is_told_firing and not self.is_acknowledged


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """What is told together."""

    opened_at: datetime
    first_at: datetime | None = None
    """When it was first looked at: where its grid begins."""
    tick_at: datetime | None = None
    """When what changed is told."""
    told_at: datetime | None = None
    number: int = 0
    """Messages so far."""
    reminders: int = 0
    """Since something new was told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupMessage:
    """What a group says, by member ids."""

    why: Why
    firing: tuple[str, ...]
    resolved: tuple[str, ...]
    news: tuple[str, ...] = ()
    """Those it goes out for; a reminder has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What came of looking at a group."""

    group: Group
    message: GroupMessage | None
    told: dict[str, Told]
    """What has to be written down of which member."""
    next_at: datetime | None
    """When to look again, unless something happens before."""
    is_over: bool
    """Nothing fires and nobody believes that anything does: the group can go."""
    is_settled: bool
    """It told what changed, or there was nothing to tell: what muted a member before need not be remembered."""


def touch(group: Group, cadence: Cadence, now: datetime, started: Iterable[datetime] = ()) -> Group:
    """Return the group after something changed: it is told on the grid's next tick, or when the first is due.

    ``started``: when the alerts that joined began. One that is older than the first wait does not wait.
    """
    if group.first_at is None:
        due = group.opened_at + cadence.first_after
        if any(start + cadence.first_after <= now for start in started):
            due = min(due, now)
    else:
        due = _tick(group.first_at, cadence.batch_every, now)
        if due <= max(group.first_at, group.told_at or group.first_at):  # that tick has had its message
            due += cadence.batch_every
    return group if group.tick_at is not None and group.tick_at <= due else replace(group, tick_at=due)


def look(group: Group, members: Sequence[Member], cadence: Cadence, now: datetime) -> Look:
    """Return what is told now, if anything."""
    message = _message(group, members, cadence, now)
    is_tick = group.tick_at is not None and group.tick_at <= now
    told: dict[str, Told] = {}
    if is_tick:
        group = replace(group, first_at=group.first_at or now, tick_at=None)
        if message is None:
            told = _unsaid(members, cadence)
    if message is not None:
        is_news = message.why not in (Why.REMINDER, Why.MEMBER_RESOLVED)
        group = replace(
            group,
            told_at=now,
            number=group.number + 1,
            reminders=0 if is_news else group.reminders + (message.why is Why.REMINDER),
        )
        told = _told(message, members)
    after = [replace(one, told=told.get(one.id, one.told)) for one in members]
    return Look(
        group=group,
        message=message,
        told=told,
        next_at=_next(group, after, cadence),
        is_over=is_tick and all(one.is_over for one in after),
        is_settled=is_tick or message is not None,
    )


def _message(group: Group, members: Sequence[Member], cadence: Cadence, now: datetime) -> GroupMessage | None:
    firing = tuple(one for one in members if _is_shown(one))
    resolved = tuple(one for one in members if _is_resolved(one)) if cadence.send_resolved else ()
    is_tick = group.tick_at is not None and group.tick_at <= now
    is_reminder = _is_reminder_due(group, firing, cadence, now)
    # A reminder that overtakes the tick tells what is new as what it is.
    found = _news(members, firing, resolved) if is_tick or is_reminder else None
    if found is None:
        is_caught_up = is_tick and any(one.is_back for one in firing)
        if not is_caught_up and not is_reminder:
            return None
        found = Why.REMINDER, ()
    why, news = found
    return GroupMessage(
        why=why,
        firing=tuple(one.id for one in firing),
        resolved=tuple(one.id for one in resolved),
        news=tuple(one.id for one in news),
    )


def _news(
    members: Sequence[Member], firing: Sequence[Member], resolved: Sequence[Member]
) -> tuple[Why, Sequence[Member]] | None:
    """Return the first reason to speak, in Alertmanager's order, and who gives it."""
    new = [one for one in firing if not one.is_told_firing]
    known = [one for one in members if one.is_told_firing]
    raised = [one for one in firing if one.told is not None and _is_raised(one, one.told)]
    if new:
        return (Why.NEW_MEMBER if known else Why.FIRST), [*new, *raised, *resolved]
    if raised:
        return Why.SEVERITY_RAISED, [*raised, *resolved]
    if resolved:
        return (Why.MEMBER_RESOLVED if len(resolved) < len(known) else Why.ALL_RESOLVED), resolved
    return None


def _is_raised(one: Member, told: Told) -> bool:
    return told.is_firing and one.severity > told.severity


def _is_shown(one: Member) -> bool:
    return one.is_firing and one.muted is None and not one.is_held


def _is_resolved(one: Member) -> bool:
    return one.is_told_firing and not one.is_firing and not one.is_held


def _is_reminder_due(group: Group, firing: Sequence[Member], cadence: Cadence, now: datetime) -> bool:
    due = _reminder_at(group, firing, cadence)
    return due is not None and due <= now


def _reminder_at(group: Group, firing: Sequence[Member], cadence: Cadence) -> datetime | None:
    """Return when the next reminder is due; what somebody took charge of needs none."""
    is_open = any(one.is_told_firing and not one.is_acknowledged for one in firing)
    if cadence.remind is None or group.told_at is None or not is_open:
        return None
    return group.told_at + cadence.remind.after(group.reminders)


def _told(message: GroupMessage, members: Sequence[Member]) -> dict[str, Told]:
    severities = {one.id: one.severity for one in members}
    told = {name: Told(is_firing=True, severity=severities[name]) for name in message.firing}
    return told | {name: Told(is_firing=False, severity=severities[name]) for name in message.resolved}


def _unsaid(members: Sequence[Member], cadence: Cadence) -> dict[str, Told]:
    """Where nobody hears of the end, write it down once all is over; else the next firing would be no news."""
    known = [one for one in members if one.is_told_firing]
    if cadence.send_resolved or any(one.is_firing for one in known):
        return {}
    return {one.id: Told(is_firing=False, severity=one.severity) for one in known if not one.is_held}


def _next(group: Group, members: Sequence[Member], cadence: Cadence) -> datetime | None:
    firing = [one for one in members if _is_shown(one)]
    moments = (group.tick_at, _reminder_at(group, firing, cadence))
    return min((one for one in moments if one is not None), default=None)


def _tick(first: datetime, every: timedelta, now: datetime) -> datetime:
    """Return the grid's first moment that is not before now."""
    if every <= timedelta(0) or now <= first:
        return max(first, now)
    return first + -((first - now) // every) * every
