"""Hold what a look at an alert group gathers, and what has to be written down after it.

Decides nothing about when a group speaks: ``groups`` asks the rules that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from notifier.alerts import AlertState, AlertStatus
from notifier.crypto import Keyring
from notifier.decisions import Decision, Join
from notifier.events import Recipient
from notifier.pipeline.alerting.alert_states import open_state
from notifier.pipeline.incoming import Incoming
from notifier.rules.alerting.cadence import Look, Member, Told, Why
from notifier.rules.alerting.escalation import Chain
from notifier.rules.alerting.mutes import Mute, Mutes
from notifier.rules.alerting.plan import AlertPlan, AlertRule
from notifier.rules.alerting.routes import Node
from notifier.rules.alerting.tracking import is_at_home
from notifier.store.alert_groups import GroupRow, group_id
from notifier.store.alert_members import MemberRow
from notifier.store.database import Connection
from notifier.store.notifications import supersede

_LOOK_BACK = 20
"""Messages of a group that may still wait to be sent."""
PUT_OFF = timedelta(minutes=1)
_LOOK_AGAIN = timedelta(seconds=10)
"""Whoever ends what mutes may do so before we have written down whom it mutes, and find nobody: look once more."""
_ELSEWHERE = "route"


@dataclass(slots=True, kw_only=True)
class Round:
    """What one round writes."""

    connection: Connection
    events: list[Incoming] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    rows: list[GroupRow] = field(default_factory=list)
    members: list[tuple[UUID, UUID, bool | None, int | None, str | None]] = field(default_factory=list)
    dropped: list[tuple[UUID, UUID]] = field(default_factory=list)
    closed: list[UUID] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """A member as it stands: its row, its alert, and what mutes it."""

    row: MemberRow
    state: AlertState
    mute: Mute | None
    member: Member

    @property
    def is_open(self) -> bool:
        """Tell whether it fires, may be told of, and nobody took charge."""
        return (
            self.member.is_firing
            and self.mute is None
            and not (self.member.is_acknowledged or self.member.is_held)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Saying:
    """A group while it is looked at: its row, what it knows, and its members."""

    row: GroupRow
    rule: AlertRule
    plan: AlertPlan
    private: Mapping[str, Any]
    present: Sequence[Present]

    @property
    def chain(self) -> Chain | None:
        """The escalation that runs, or ran."""
        value = self.private.get("chain")
        return Chain.from_json(value) if value else None


def end_what_waits(connection: Connection, one: Incoming) -> None:
    """End what the group said before and could not send yet: the new message has it all."""
    group, _, number = one.event.id.rpartition(":")
    before = [f"{group}:{n}" for n in range(max(1, int(number) - _LOOK_BACK), int(number))]
    alert = one.event.alert or {}
    if before and alert.get("reason") != Why.ESCALATION.value:
        supersede(
            connection,
            one.id,
            tenant=one.event.tenant,
            source=one.event.source,
            before=before,
            reason="superseded: the group said more before this could be sent",
        )


def who_heard(private: Mapping[str, Any], alerts: Sequence[str]) -> tuple[Recipient, ...]:
    """Return who was told that one of the alerts fires, and was not erased since."""
    told, heard = private.get("told", ()), private.get("heard", {})
    places = sorted({place for alert in alerts for place in heard.get(alert, ())})
    return tuple(Recipient(**told[place]) for place in places if told[place] is not None)


def having_told(
    private: Mapping[str, Any], alerts: Sequence[str], people: Sequence[Mapping[str, str]], members: set[str]
) -> dict[str, Any]:
    """Return what a group remembers of whom it told of what: ``heard`` has places in ``told``, by alert."""
    told = list(private.get("told", ()))
    told += [one for one in people if one not in told]
    places = {told.index(one) for one in people}
    heard = {name: known for name, known in private.get("heard", {}).items() if name in members}
    heard |= {name: sorted({*heard.get(name, ()), *places}) for name in alerts}
    return {"told": told, "heard": heard}


def is_unmuted(present: Sequence[Present]) -> bool:
    """Tell whether something that was muted no longer is: what still fires is told on the next tick."""
    return any(one.row.muted_by is not None and one.mute is None for one in present)


def next_due(seen: Look, present: Sequence[Present], now: datetime) -> datetime | None:
    """Return when to look again: something to say, or the end of what mutes, or somebody was just muted."""
    moments = [one.mute.until for one in present if one.mute is not None]
    is_new = any(one.mute is not None and one.mute.reason != one.row.muted_by for one in present)
    moments += [seen.next_at, now + _LOOK_AGAIN if is_new else None]
    # What a stronger alert mutes has no end that is known; rules may change, too.
    is_inhibited = any(one.mute is not None and one.mute.until is None for one in present)
    moments += [now + PUT_OFF] if is_inhibited else []
    return min((one for one in moments if one is not None), default=None)


def remember(seen: Look, present: Sequence[Present], done: Round) -> None:
    """Write what people know of each member; who is over and known to be leaves."""
    for one in present:
        told = seen.told.get(one.member.id, one.member.told)
        after = replace(one.member, told=told)
        if after.is_over:
            done.dropped.append((one.row.group_id, one.row.alert_id))
            continue
        # What was muted is remembered until the tick that may tell of it.
        muted = after.muted or (None if seen.is_settled else one.row.muted_by)
        if told != one.member.told or muted != one.row.muted_by:
            done.members.append(
                (
                    one.row.group_id,
                    one.row.alert_id,
                    told.is_firing if told is not None else None,
                    told.severity if told is not None else None,
                    muted,
                )
            )


def present_of(keyring: Keyring, row: MemberRow, plan: AlertPlan, mutes: Mutes, now: datetime) -> Present:
    """Return a member as the rules look at it, muted or not."""
    state = open_state(keyring, row.data_key, row.sealed)
    mute = mutes.of(state.labels, plan, now) if state.is_firing else None
    told = None
    if row.told_firing is not None:
        told = Told(is_firing=row.told_firing, severity=row.told_severity or 0)
    member = Member(
        id=str(row.alert_id),
        is_firing=state.is_firing,
        severity=state.severity,
        started_at=state.started_at or now,
        is_acknowledged=state.status is AlertStatus.ACKNOWLEDGED,
        is_held=state.is_held,
        muted=mute.reason if mute is not None else None,
        was_muted=row.muted_by,
        told=told,
    )
    return Present(row=row, state=state, mute=mute, member=member)


def at_home(
    one: Present, keyring: Keyring, row: GroupRow, *, node: Node[AlertPlan], rule: AlertRule, home: str | None
) -> Present:
    """Hide an alert that another group tells of by now; whoever heard of it here hears of its end here."""

    def is_here(join: Join) -> bool:
        return group_id(keyring, row.tenant, join.rule, join.key)[2].hex() == home

    if home is None or not one.state.is_firing or is_at_home(rule, node, one.state, is_here):
        return one
    return replace(one, mute=Mute(reason=_ELSEWHERE), member=replace(one.member, muted=_ELSEWHERE))
