"""Keep the state of one alert: firing, acknowledged or resolved, whatever order its events arrive in.

Pure: a state and a signal in, a state out. Knows nothing of groups, people and messages. Overlapping activity
is one occurrence, as in Alertmanager (``alert/alert.go``): earliest start, newest words, latest end.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from notifier.alerts import AlertState, AlertStatus, Signal
from notifier.rules.alerting.flapping import Flapping
from notifier.rules.alerting.sightings import Reading


def receive(
    state: AlertState, signal: Signal, now: datetime, *, ttl: timedelta | None, flapping: Flapping | None
) -> AlertState:
    """Return the state after a signal; one that is older than what is known changes only what it must."""
    if signal.status is AlertStatus.FIRING:
        after = _fired(state, signal, now, ttl)
    elif signal.status is AlertStatus.ACKNOWLEDGED:
        after = _acknowledged(state, signal)
    else:
        after = _resolved(state, signal)
    return _held(state, after, now, flapping)


def acknowledge(state: AlertState, by: str, at: datetime) -> AlertState:
    """Return the state after somebody took charge; nothing changes unless it fires."""
    if state.status is not AlertStatus.FIRING:
        return state
    return replace(state, status=AlertStatus.ACKNOWLEDGED, acknowledged_by=by, acknowledged_at=at)


def unacknowledge(state: AlertState) -> AlertState:
    """Return the state after nobody has charge any more."""
    if state.status is not AlertStatus.ACKNOWLEDGED:
        return state
    return replace(
        state,
        status=AlertStatus.FIRING,
        acknowledged_by=None,
        acknowledged_at=None,
        acknowledged_until=None,
    )


def pass_time(state: AlertState, now: datetime, flapping: Flapping | None) -> AlertState:
    """Return the state as time alone makes it: over when it was not heard of, steady when it stopped flapping."""
    after = state
    if state.is_firing and state.expires_at is not None and state.expires_at <= now:
        after = _over(state, state.expires_at)
    elif state.acknowledged_until is not None and state.acknowledged_until <= now:
        after = unacknowledge(state)
    return _held(state, after, now, flapping)


def remember(state: AlertState, reading: Reading, signal: Signal | None = None) -> AlertState:
    """Return the state with what its detector wants to remember, and of whom: time alone may fire it later."""
    state = replace(state, memory=reading.memory, look_at=reading.due_at)
    if signal is None or state.is_firing:
        return state
    return replace(state, labels=signal.labels, newest=signal.newest, severity=signal.severity)


def _fired(state: AlertState, signal: Signal, now: datetime, ttl: timedelta | None) -> AlertState:
    if not state.is_firing and _is_late(state, signal):
        return _ended_later(state, signal, now)  # it speaks of what is over
    is_new = not state.is_firing
    is_newest = is_new or state.heard_at is None or signal.at >= state.heard_at
    expires = _expiry(state, signal, now, ttl)
    is_over = expires is not None and expires <= now
    is_same = is_new and is_over and _is_overlapping(state, signal)
    after = replace(
        state,
        status=AlertStatus.FIRING if is_new else state.status,
        occurrence=state.occurrence + (is_new and not is_same),
        started_at=_start(state, signal),
        heard_at=signal.at if is_newest else state.heard_at,
        severity=signal.severity if is_newest else state.severity,
        labels=signal.labels if is_newest else state.labels,
        newest=signal.newest if is_newest else state.newest,
        expires_at=expires,
        acknowledged_by=None if is_new else state.acknowledged_by,
        acknowledged_at=None if is_new else state.acknowledged_at,
        acknowledged_until=None if is_new else state.acknowledged_until,
    )
    # It was over before we heard that it began; of several ends the latest counts.
    if expires is not None and is_over:
        return _over(after, max(expires, state.ended_at or expires) if is_same else expires)
    return after


def _is_late(state: AlertState, signal: Signal) -> bool:
    """Tell whether something newer was said: of the same moment, the end counts."""
    words = [one for one in (state.heard_at, state.ended_at) if one is not None]
    return bool(words) and signal.at <= max(words)


def _ended_later(state: AlertState, signal: Signal, now: datetime) -> AlertState:
    """Return the state of what is over, with the latest end that was said."""
    ends = signal.ends_at
    if state.ended_at is None or ends is None or not state.ended_at < ends <= now:
        return state
    return replace(state, ended_at=ends) if _is_overlapping(state, signal) else state


def _is_overlapping(state: AlertState, signal: Signal) -> bool:
    """Tell whether it speaks of the time before the last end: the same activity, told again."""
    if state.started_at is None or state.ended_at is None:
        return False
    return (signal.begins_at or signal.at) <= state.ended_at


def _start(state: AlertState, signal: Signal) -> datetime:
    """Return when it began: the earliest moment that was said since the last end."""
    begins = signal.begins_at or signal.at
    if state.started_at is None:
        return begins
    if not state.is_firing:
        return min(state.started_at, begins) if _is_overlapping(state, signal) else begins
    floor = state.ended_at or datetime.min.replace(tzinfo=UTC)
    return min(state.started_at, begins) if begins > floor else state.started_at


def _expiry(state: AlertState, signal: Signal, now: datetime, ttl: timedelta | None) -> datetime | None:
    """The newest word counts: its own end, else so long after we heard it."""
    if state.is_firing and state.heard_at is not None and signal.at < state.heard_at:
        return state.expires_at
    if signal.ends_at is not None:
        return signal.ends_at
    return now + ttl if ttl is not None else None


def _acknowledged(state: AlertState, signal: Signal) -> AlertState:
    if state.started_at is None or signal.at < state.started_at:
        return state
    return acknowledge(state, signal.by or signal.newest.type, signal.at)


def _resolved(state: AlertState, signal: Signal) -> AlertState:
    # Said to be over: an end that is still to come is no end.
    ended = min(signal.ends_at or signal.at, signal.at)
    heard = max(state.heard_at or signal.at, signal.at)
    if not state.is_firing:
        # What comes later and is older than this is over, too.
        is_newest = state.newest is not None and state.ended_at is not None and heard == signal.at
        return replace(
            state,
            ended_at=max(state.ended_at or ended, ended),
            heard_at=heard,
            newest=signal.newest if is_newest else state.newest,
        )
    if state.heard_at is not None and signal.at < state.heard_at:
        return _began_again(state, signal.at)
    started = state.started_at if signal.begins_at is None else _start(state, signal)
    return _over(replace(state, newest=signal.newest, heard_at=heard, started_at=started), ended)


def _began_again(state: AlertState, ended: datetime) -> AlertState:
    """Return the state after an end that is older than the newest word: since then it fires again."""
    after = replace(state, ended_at=max(state.ended_at or ended, ended))
    if state.started_at is None or ended < state.started_at:
        return after
    is_taken = state.acknowledged_at is not None and state.acknowledged_at > ended
    return replace(
        after if is_taken else unacknowledge(after),
        occurrence=state.occurrence + 1,
        started_at=state.heard_at,
    )


def _over(state: AlertState, at: datetime) -> AlertState:
    return replace(state, status=AlertStatus.RESOLVED, ended_at=at, expires_at=None)


def _held(before: AlertState, after: AlertState, now: datetime, flapping: Flapping | None) -> AlertState:
    """Count the change, and hold what changes too often."""
    if flapping is None:  # or it was taken out of the rule since
        return replace(after, changes=(), is_held=False, release_at=None) if after.changes else after
    changes = after.changes
    if before.is_firing != after.is_firing or before.occurrence != after.occurrence:
        changes = (*changes, now)
    is_held = flapping.is_held(changes, now, was_held=before.is_held)
    return replace(
        after,
        changes=flapping.recent(changes, now),
        is_held=is_held,
        release_at=flapping.look_at(changes, now) if is_held else None,
    )
